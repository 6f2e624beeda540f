//! The bound of a whole request.

mod support;

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use backstop_core::{
    BoxError, Deadline, Deployment, Failure, FailureKind, Outcome, Trail, failure_of,
};
use backstop_timeout::error::DeadlineExceeded;
use backstop_timeout::{DeadlineLayer, EnforceDeadline, future::DeadlineFuture};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock;

use support::{Feed, poll, secs, slow};

fn request(deadline: Option<Deadline>) -> Request<()> {
    let mut request = Request::new(());
    if let Some(deadline) = deadline {
        request.extensions_mut().insert(deadline);
    }
    request
}

/// What a service below the layer sees.
async fn seen_below(layer: DeadlineLayer, inbound: Option<Deadline>) -> Option<Deadline> {
    let service = service_fn(|request: Request<()>| async move {
        Ok::<_, BoxError>(request.extensions().get().copied())
    });
    let service = layer.layer(service);
    service.oneshot(request(inbound)).await.expect("in time")
}

/// A service that opens an attempt in the request's trail and never answers.
fn hanging() -> impl Service<
    Request<()>,
    Response = (),
    Error = BoxError,
    Future: Future<Output = Result<(), BoxError>>,
> {
    service_fn(|request: Request<()>| async move {
        let trail = Trail::of(request.extensions()).expect("the test put it there");
        let _attempt = trail.attempt(&Arc::new(Deployment::new("primary")));
        std::future::pending::<()>().await;
        Ok(())
    })
}

#[tokio::test(start_paused = true)]
async fn the_earliest_deadline_wins() {
    let (early, late) = (Deadline::after(secs(3)), Deadline::after(secs(300)));
    let ours = Deadline::after(secs(60));
    let layer = DeadlineLayer::new(secs(60));
    assert_eq!(seen_below(layer.clone(), None).await, Some(ours));
    assert_eq!(seen_below(layer.clone(), Some(late)).await, Some(ours));
    assert_eq!(seen_below(layer.clone(), Some(early)).await, Some(early));

    let begun = Instant::now();
    let service = layer.layer(slow(secs(100), Empty::<Bytes>::new()));
    let error = service.oneshot(request(Some(early))).await;
    assert!(error.expect_err("late").is::<DeadlineExceeded>());
    assert_eq!((Instant::now() - begun).as_secs(), 3, "and it is enforced");
}

#[tokio::test(start_paused = true)]
async fn the_record_says_that_the_deadline_ended_the_attempt() {
    let trail = Trail::start();
    let mut request = request(None);
    request.extensions_mut().insert(trail.clone());
    let mut service = DeadlineLayer::new(secs(60)).layer(hanging());
    let mut call = pin!(service.call(request));
    assert!(poll(call.as_mut()).is_pending());
    advance(secs(61)).await;
    let Poll::Ready(Err(error)) = poll(call.as_mut()) else {
        panic!("its time is over");
    };
    assert_eq!(
        failure_of(&*error).map(Failure::kind),
        Some(FailureKind::Deadline)
    );
    let record = trail.snapshot();
    assert_eq!(record.outcome, Some(Outcome::Deadline));
    assert_eq!(record.attempts[0].result, Some(Err(FailureKind::Deadline)));
}

#[tokio::test(start_paused = true)]
async fn what_is_inside_goes_when_its_time_is_over() {
    let feed = Feed::default();
    let layer = DeadlineLayer::new(secs(60));
    let mut call = pin!(
        layer
            .layer(slow(secs(100), feed.clone()))
            .call(request(None))
    );
    assert!(poll(call.as_mut()).is_pending());
    assert!(feed.is_alive());
    advance(secs(61)).await;
    assert!(poll(call.as_mut()).is_ready());
    assert!(!feed.is_alive(), "though the future is still held");
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_is_no_deadline() {
    let trail = Trail::start();
    let mut request = request(None);
    request.extensions_mut().insert(trail.clone());
    let mut service = DeadlineLayer::new(secs(60)).layer(hanging());
    let mut call = Box::pin(service.call(request));
    assert!(poll(call.as_mut()).is_pending());
    drop(call);
    let record = trail.snapshot();
    assert_eq!(record.outcome, None);
    assert_eq!(record.attempts[0].result, Some(Err(FailureKind::Cancelled)));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_there_wins_over_the_clock() {
    let mut service = DeadlineLayer::new(secs(60)).layer(slow(secs(50), Empty::<Bytes>::new()));
    let mut call = pin!(service.call(request(None)));
    assert!(poll(call.as_mut()).is_pending());
    advance(secs(100)).await;
    assert!(matches!(poll(call), Poll::Ready(Ok(_))));
}

#[tokio::test(start_paused = true)]
async fn the_body_is_not_bounded() {
    let feed = Feed::default();
    let service = DeadlineLayer::new(secs(60)).layer(slow(secs(1), feed.clone()));
    let mut response = service.oneshot(request(None)).await.expect("in time");
    advance(secs(3600)).await;
    feed.push("late");
    let frame = response.body_mut().frame().await.expect("a frame");
    assert_eq!(frame.expect("no error").into_data().expect("data"), "late");
}

#[test]
fn nothing_that_is_ready_needs_a_timer() {
    // No runtime: making a timer would panic.
    let ready = service_fn(|_: Request<()>| std::future::ready(Ok::<_, BoxError>("ready")));
    let mut service = DeadlineLayer::new(secs(1)).layer(ready);
    assert!(matches!(
        poll(pin!(service.call(request(None)))),
        Poll::Ready(Ok("ready"))
    ));
}

#[test]
fn readiness_is_the_inner_services() {
    let (mut service, mut handle) =
        mock::spawn_layer::<Request<()>, Response<()>, _>(DeadlineLayer::new(secs(1)));
    handle.allow(0);
    assert!(service.poll_ready::<Request<()>>().is_pending());
    handle.allow(1);
    assert!(service.poll_ready::<Request<()>>().is_ready());

    let mut clone = service.clone();
    handle.allow(0);
    assert!(
        clone.poll_ready::<Request<()>>().is_pending(),
        "a clone is not ready because its original was"
    );
}

#[tokio::test]
async fn an_error_of_the_service_passes_as_it_is() {
    let failing =
        service_fn(|_: Request<()>| async { Err::<(), _>(Failure::new(FailureKind::Auth)) });
    let service = DeadlineLayer::new(secs(1)).layer(failing);
    let error = service.oneshot(request(None)).await.expect_err("it failed");
    assert!(error.is::<Failure>(), "not wrapped");
}

#[test]
fn everything_can_be_sent_and_shown() {
    fn check<T: Send + Sync + std::fmt::Debug>() {}
    fn clone<T: Clone>() {}
    check::<DeadlineFuture<std::future::Ready<()>>>();
    check::<EnforceDeadline<()>>();
    check::<DeadlineLayer>();
    clone::<DeadlineLayer>();
    clone::<EnforceDeadline<()>>();
}
