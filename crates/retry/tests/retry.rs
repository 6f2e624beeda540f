//! The policy in Tower's own retry layer.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use backstop_core::{
    BoxError, ByStatus, Decision, Deployment, Failure, FailureKind, Position, Reach, Trail,
    failure_of,
};
use backstop_retry::{RetryBudget, RetryPolicy, Situation, future::Pause};
use http::{Request, Response};
use tokio::time::{Instant, advance};
use tower::retry::{Retry, RetryLayer};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn limited() -> Failure {
    Failure::new(FailureKind::RateLimit).with_retry_after(ms(300))
}

fn unsent() -> Failure {
    Failure::new(FailureKind::Network).with_reach(Reach::Unsent)
}

/// A service that fails `times`, then answers; with the count of its calls. Each call is a row of the trail, if any.
fn fails(times: u32, failure: Failure) -> (Flaky, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let flaky = Flaky {
        failure,
        times,
        calls: Arc::clone(&calls),
    };
    (flaky, calls)
}

#[derive(Clone)]
struct Flaky {
    failure: Failure,
    times: u32,
    calls: Arc<AtomicU32>,
}

impl<T> Service<Request<T>> for Flaky {
    type Response = Response<u32>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response<u32>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<T>) -> Self::Future {
        let row = Trail::of(request.extensions())
            .map(|trail| trail.attempt(&Arc::new(Deployment::new("primary"))));
        let number = self.calls.fetch_add(1, Relaxed) + 1;
        let result = if number <= self.times {
            Err(self.failure.clone())
        } else {
            Ok(Response::new(number))
        };
        if let Some(row) = row {
            row.settle(result.as_ref().map(|_| ()));
        }
        std::future::ready(result.map_err(Into::into))
    }
}

fn retry<S, C>(policy: RetryPolicy<C>, inner: S) -> Retry<RetryPolicy<C>, S>
where
    C: Clone,
{
    RetryLayer::new(policy).layer(inner)
}

fn request(trail: &Trail) -> Request<()> {
    let mut request = Request::new(());
    request.extensions_mut().insert(trail.clone());
    request
}

#[tokio::test(start_paused = true)]
async fn a_short_hint_is_slept_through() {
    let (inner, calls) = fails(1, limited());
    let begun = Instant::now();
    let response = retry(RetryPolicy::new(), inner)
        .oneshot(Request::new(()))
        .await
        .expect("the second call answers");
    assert_eq!(*response.body(), 2);
    assert_eq!(calls.load(Relaxed), 2);
    let slept = Instant::now() - begun;
    assert!(slept >= ms(300) && slept < ms(302), "slept {slept:?}");
}

#[tokio::test(start_paused = true)]
async fn a_long_hint_is_passed_on_at_once() {
    let (inner, calls) = fails(9, limited().with_retry_after(ms(1001)));
    let begun = Instant::now();
    let error = retry(RetryPolicy::new(), inner)
        .oneshot(Request::new(()))
        .await
        .expect_err("others can answer sooner");
    assert_eq!(calls.load(Relaxed), 1);
    assert_eq!(Instant::now(), begun);
    let failure = failure_of(&*error).expect("as it came");
    assert_eq!(failure.retry_after(), Some(ms(1001)));
}

#[test]
fn what_was_never_sent_is_sent_again_without_a_timer() {
    // No runtime: making a timer would panic.
    let (inner, calls) = fails(1, unsent());
    let mut service = retry(RetryPolicy::new(), inner);
    let call = pin!(service.call(Request::new(())));
    assert!(matches!(poll(call), Poll::Ready(Ok(_))));
    assert_eq!(calls.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_servers_failure_is_repeated_only_where_nobody_else_can_answer() {
    for (position, expected) in [
        (None, 2),
        (Some(Position::new(0, 1)), 2),
        (Some(Position::new(0, 2)), 1),
        // The last one of several is not alone either.
        (Some(Position::new(1, 2)), 1),
    ] {
        let (inner, calls) = fails(1, Failure::new(FailureKind::ServerError));
        let mut request = Request::new(());
        if let Some(position) = position {
            request.extensions_mut().insert(position);
        }
        let _ = retry(RetryPolicy::new(), inner).oneshot(request).await;
        assert_eq!(calls.load(Relaxed), expected, "{position:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn repeats_of_two_services_add_up_in_the_trail() {
    let trail = Trail::start();
    let policy = RetryPolicy::new().retries(3);
    let (first, first_calls) = fails(2, limited());
    let (second, second_calls) = fails(9, limited());

    let answered = retry(policy.clone(), first).oneshot(request(&trail)).await;
    assert!(answered.is_ok());
    let failed = retry(policy, second).oneshot(request(&trail)).await;
    assert!(failed.is_err());
    assert_eq!(first_calls.load(Relaxed), 3);
    assert_eq!(second_calls.load(Relaxed), 2, "one repeat was left");
    assert_eq!(trail.retries(), 3);
}

#[tokio::test(start_paused = true)]
async fn without_a_trail_each_call_has_its_own_count() {
    let (inner, calls) = fails(9, limited());
    let service = retry(RetryPolicy::new(), inner);
    for expected in [3, 6] {
        let failed = service.clone().oneshot(Request::new(())).await;
        assert!(failed.is_err());
        assert_eq!(calls.load(Relaxed), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_trail_says_why_and_after_how_long() {
    let trail = Trail::start();
    let (inner, _) = fails(1, limited());
    let answered = retry(RetryPolicy::new(), inner)
        .oneshot(request(&trail))
        .await;
    assert!(answered.is_ok());

    let record = trail.snapshot();
    assert_eq!(record.retries, 1);
    assert_eq!(record.attempts[0].decision, Some(Decision::Retry));
    assert_eq!(record.attempts[0].delay, None);
    assert_eq!(
        record.attempts[1].retry_reason,
        Some(FailureKind::RateLimit)
    );
    assert_eq!(record.attempts[1].delay, Some(ms(300)));
}

#[tokio::test(start_paused = true)]
async fn a_response_can_be_a_failure() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let unavailable = service_fn(move |_: Request<()>| {
        let number = counted.fetch_add(1, Relaxed) + 1;
        let response = Response::builder().status(503).body(number);
        std::future::ready(response.map_err(BoxError::from))
    });
    let policy = RetryPolicy::new().classify(ByStatus);
    let response = retry(policy, unavailable).oneshot(Request::new(())).await;
    assert_eq!(
        *response.expect("a response").body(),
        3,
        "the last one is handed on"
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_ends_the_repeats() {
    let budget = Arc::new(RetryBudget::with_capacity(1));
    let policy = RetryPolicy::new().budget(budget);
    let (inner, calls) = fails(1000, unsent());
    let service = retry(policy, inner);
    let mut repeated = Vec::new();
    for call in 1..=11 {
        let before = calls.load(Relaxed);
        let failed = service.clone().oneshot(Request::new(())).await;
        assert!(failed.is_err());
        if calls.load(Relaxed) > before + 1 {
            repeated.push(call);
        }
    }
    // One at first, and one for each five calls from there on: a repeat pays nothing in.
    assert_eq!(repeated, [1, 6, 11]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_repeated_costs_no_budget() {
    let budget = Arc::new(RetryBudget::with_capacity(1));
    let policy = RetryPolicy::new().budget(Arc::clone(&budget));
    let (inner, _) = fails(9, limited().with_retry_after(ms(5000)));
    let failed = retry(policy, inner).oneshot(Request::new(())).await;
    assert!(failed.is_err());
    assert!(budget.withdraw(), "the token is still there");
}

#[test]
fn a_request_is_copied_only_while_it_may_be_repeated() {
    fn copies(policy: &mut impl tower::retry::Policy<Request<()>, (), ()>) -> bool {
        policy.clone_request(&Request::new(())).is_some()
    }
    let always = |_: Result<&(), &()>| Some(unsent());
    let mut policy = RetryPolicy::new().classify(always).retries(1);
    assert!(copies(&mut policy));
    let pause = tower::retry::Policy::retry(&mut policy, &mut Request::new(()), &mut Ok(()));
    assert!(pause.is_some());
    assert!(!copies(&mut policy), "the only repeat has been used");
    assert!(!copies(&mut RetryPolicy::new().classify(always).retries(0)));
}

#[tokio::test(start_paused = true)]
async fn dropping_it_at_any_point_leaves_nothing() {
    /// Lives as long as the request or a copy of it.
    fn tracked() -> (Request<Arc<()>>, Weak<()>) {
        let payload = Arc::new(());
        let alive = Arc::downgrade(&payload);
        (Request::new(payload), alive)
    }
    for polls in 0..3 {
        let (request, alive) = tracked();
        let (inner, calls) = fails(9, limited());
        let mut service = retry(RetryPolicy::new(), inner);
        let mut call = Box::pin(service.call(request));
        for _ in 0..polls {
            assert!(poll(call.as_mut()).is_pending(), "it pauses");
            advance(ms(301)).await;
        }
        assert!(alive.upgrade().is_some());
        drop(call);
        assert!(alive.upgrade().is_none(), "after {polls} polls");
        let made = calls.load(Relaxed);
        advance(ms(5000)).await;
        assert_eq!(calls.load(Relaxed), made, "nothing goes on by itself");
    }
}

#[tokio::test(start_paused = true)]
async fn each_repeat_waits_until_the_service_is_ready() {
    let (mut service, mut handle) =
        mock::spawn_layer::<Request<()>, Response<()>, _>(RetryLayer::new(RetryPolicy::new()));
    handle.allow(0);
    assert!(service.poll_ready::<Request<()>>().is_pending());
    handle.allow(1);
    assert!(service.poll_ready::<Request<()>>().is_ready());

    let mut clone = service.clone();
    let mut call = Box::pin(service.call(Request::new(())));
    assert!(
        clone.poll_ready::<Request<()>>().is_pending(),
        "a clone is not ready because its original was"
    );

    let (_, reply) = handle.next_request().await.expect("the first attempt");
    reply.send_error(unsent());
    assert!(poll(call.as_mut()).is_pending(), "no permit, no repeat");
    handle.allow(1);
    assert!(poll(call.as_mut()).is_pending());
    let (_, reply) = handle.next_request().await.expect("the repeat");
    reply.send_response(Response::new(()));
    assert!(matches!(poll(call.as_mut()), Poll::Ready(Ok(_))));
}

#[test]
fn everything_can_be_sent_and_shown() {
    fn check<T: Send + Sync + std::fmt::Debug>() {}
    fn classifier(_: Result<&Response<()>, &BoxError>) -> Option<Failure> {
        None
    }
    fn policy<P: tower::retry::Policy<Request<()>, Response<()>, BoxError> + Clone>(_: &P) {}
    check::<Pause>();
    check::<RetryBudget>();
    check::<RetryPolicy>();
    check::<Situation>();
    policy(&RetryPolicy::new());
    policy(&RetryPolicy::new().classify(classifier));
}
