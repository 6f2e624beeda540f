//! Targets that refuse a request before anybody is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use backstop_core::{Deployment, Failure, FailureKind, Ineligible, Next, Outcome, Policy, Reach};
use backstop_fallback::{Fallback, Target};
use http::Extensions;
use tower::ServiceExt;

use crate::support::{Act, Log, Script, exhausted, own, request, target, target_at, trailed, who};

/// In the extensions of a request that not all may get.
#[derive(Clone)]
struct Secret;

fn check(extensions: &Extensions) -> Result<(), Failure> {
    match extensions.get::<Secret>() {
        Some(Secret) => Err(Failure::ineligible(Ineligible::Region).with_detail("a secret")),
        None => Ok(()),
    }
}

/// One that would answer, but gets no secrets.
fn outside(log: &Log, id: &str) -> Target<Script> {
    target(log, id, Act::Answer).admitting(check)
}

fn failing(log: &Log, id: &str) -> Target<Script> {
    target(log, id, Act::fail(FailureKind::ServerError))
}

#[tokio::test(start_paused = true)]
async fn the_check_is_made_of_each_request() {
    let log = Log::default();
    let fallback = Fallback::in_order([outside(&log, "a"), target(&log, "b", Act::Answer)]);
    let response = fallback.clone().oneshot(request(&log)).await;
    assert_eq!(response.expect("an answer").body(), "a");
    assert_eq!(log.calls(), ["a 0/2"]);

    let (mut request, trail) = trailed(&log);
    request.extensions_mut().insert(Secret);
    let response = fallback.oneshot(request).await.expect("an answer");
    assert_eq!(response.body(), "b");
    assert_eq!(log.calls(), ["b 0/1 last"], "it is alone");
    let record = trail.snapshot();
    assert_eq!(record.fallbacks, 1);
    assert_eq!(record.skipped.len(), 1);
    let skipped = &record.skipped[0];
    assert_eq!(&**skipped.deployment.id(), "a");
    assert_eq!(skipped.reason, FailureKind::Ineligible(Ineligible::Region));
    assert_eq!(skipped.detail.as_deref(), Some("a secret"));
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_is_skipped_when_it_would_have_been_asked() {
    let log = Log::default();
    let fallback = Fallback::in_order([
        failing(&log, "a"),
        outside(&log, "b"),
        target(&log, "c", Act::Answer),
        outside(&log, "d"),
    ]);
    let (mut request, trail) = trailed(&log);
    request.extensions_mut().insert(Secret);
    fallback.oneshot(request).await.expect("an answer");
    assert_eq!(log.calls(), ["a 0/2", "c 1/2"]);
    let record = trail.snapshot();
    assert_eq!(record.fallbacks, 2, "a and b were left behind");
    assert_eq!(record.skipped.len(), 1, "d had no turn");
    assert_eq!(&**record.skipped[0].deployment.id(), "b");
}

#[tokio::test(start_paused = true)]
async fn what_the_others_said_and_the_refusals_make_the_verdict() {
    for (targets, kind, reach) in [
        (
            2,
            FailureKind::Ineligible(Ineligible::Region),
            Reach::Refused,
        ),
        (3, FailureKind::Overloaded, Reach::Sent),
    ] {
        let log = Log::default();
        let chain = [outside(&log, "a"), outside(&log, "b"), failing(&log, "c")];
        let fallback = Fallback::new(chain.into_iter().take(targets)).expect("some");
        let mut request = request(&log);
        request.extensions_mut().insert(Secret);
        let error = fallback.oneshot(request).await.expect_err("nobody");
        let all = exhausted(&error);
        assert_eq!(who(all), ["a", "b", "c"][..targets]);
        assert_eq!(all.verdict().kind(), kind);
        assert_eq!(all.verdict().reach(), reach);
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_one_passes_its_refusal_on_and_so_does_a_policy_that_surfaces_it() {
    let region = FailureKind::Ineligible(Ineligible::Region);
    let log = Log::default();
    let one = Fallback::in_order([outside(&log, "a")]);
    let surfacing = Fallback::in_order([outside(&log, "a"), target(&log, "b", Act::Answer)])
        .policy(Policy::default().next(region, Next::Surface));
    for fallback in [one, surfacing] {
        let (mut request, trail) = trailed(&log);
        request.extensions_mut().insert(Secret);
        let error = fallback.oneshot(request).await.expect_err("refused");
        let failure: &Failure = error.downcast_ref().expect("its own");
        assert_eq!(failure.kind(), region);
        assert_eq!(failure.detail(), Some("a secret"));
        let record = trail.snapshot();
        assert_eq!(record.outcome, Some(Outcome::of(region)));
        assert_eq!(record.skipped.len(), 1);
        assert!(log.calls().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_another_is_not_its_own_beside_one_that_is_refused() {
    let log = Log::default();
    let fallback = Fallback::in_order([failing(&log, "a"), outside(&log, "b")]);
    let error = fallback.clone().oneshot({
        let mut request = request(&log);
        request.extensions_mut().insert(Secret);
        request
    });
    let error = error.await.expect_err("nobody");
    assert_eq!(who(exhausted(&error)), ["a", "b"]);
    assert_eq!(log.calls(), ["a 0/1"]);

    let alone = Fallback::in_order([failing(&log, "a")]);
    let error = alone.oneshot(request(&log)).await.expect_err("it fails");
    assert_eq!(own(&error), "a");
}

#[tokio::test(start_paused = true)]
async fn the_last_resort_counts_nobody_who_is_refused() {
    let log = Log::default();
    let resting = Failure::ineligible(Ineligible::Cooling).with_retry_after(Duration::from_secs(9));
    let rests = target_at(
        &log,
        Deployment::new("a"),
        Act::Fail(resting.clone()),
        Act::Answer,
    );
    let refused = target(&log, "b", Act::Answer).admitting(move |_| Err(resting.clone()));
    let fallback = Fallback::in_order([rests, refused]);
    fallback.oneshot(request(&log)).await.expect("an answer");
    assert_eq!(log.calls(), ["a 0/1", "a 0/1 last"]);
}

#[tokio::test(start_paused = true)]
async fn a_check_is_made_once_and_counts_as_a_refusal_whatever_it_says() {
    let log = Log::default();
    let checks = Arc::new(AtomicUsize::new(0));
    let counted = {
        let checks = Arc::clone(&checks);
        move |_: &Extensions| {
            checks.fetch_add(1, Relaxed);
            Err(Failure::new(FailureKind::ServerError))
        }
    };
    let refused = target(&log, "a", Act::Answer).admitting(counted);
    let fallback = Fallback::in_order([refused, target(&log, "b", Act::Answer)]);
    let (request, trail) = trailed(&log);
    fallback.oneshot(request).await.expect("an answer");
    assert_eq!(checks.load(Relaxed), 1);
    assert_eq!(log.calls(), ["b 0/1 last"]);
    assert_eq!(trail.snapshot().skipped.len(), 1);
}
