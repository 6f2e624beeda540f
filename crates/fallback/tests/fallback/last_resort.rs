//! When health alone has emptied the chain.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstop_core::{
    Deadline, Deployment, Failure, FailureKind, Ineligible, LastResort, Outcome, Reach,
};
use backstop_fallback::{Event, Fallback, Target};
use tower::ServiceExt;

use crate::support::{Act, Log, Script, exhausted, own, request, target, target_at, trailed, who};

fn cooling(secs: u64) -> Act {
    Act::Fail(Failure::ineligible(Ineligible::Cooling).with_retry_after(Duration::from_secs(secs)))
}

/// Rests for `secs`; does `last` if it is asked as the last resort.
fn resting(log: &Log, id: &str, secs: u64, last: Act) -> Target<Script> {
    target_at(log, Deployment::new(id), cooling(secs), last)
}

#[tokio::test(start_paused = true)]
async fn the_one_that_recovers_first_is_asked_first_until_one_is_admitted() {
    let log = Log::default();
    let told = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let told = Arc::clone(&told);
        move |event: &Event<'_>| {
            if let Event::LastResort { deployment } = event {
                told.lock()
                    .expect("no panic")
                    .push(deployment.id().to_string());
            }
        }
    };
    let fallback = Fallback::in_order([
        resting(&log, "a", 30, Act::Answer),
        resting(&log, "b", 10, cooling(9)),
        resting(&log, "c", 20, Act::Answer),
    ])
    .observe(observer);
    let (request, trail) = trailed(&log);
    let response = fallback.oneshot(request).await.expect("an answer");
    assert_eq!(response.body(), "c");
    assert_eq!(
        log.calls(),
        ["a 0/3", "b 1/3", "c 2/3", "b 2/3 last", "c 2/3 last"]
    );
    let record = trail.snapshot();
    assert_eq!(record.fallbacks, 2, "a and b were left behind");
    assert_eq!(
        record.skipped.len(),
        3,
        "who rests on is not recorded twice"
    );
    assert_eq!(*told.lock().expect("no panic"), ["b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_that_is_admitted_decides() {
    let log = Log::default();
    let fallback = Fallback::in_order([
        resting(&log, "a", 5, Act::fail(FailureKind::ServerError)),
        resting(&log, "b", 9, Act::Answer),
    ]);
    let (request, trail) = trailed(&log);
    let error = fallback.oneshot(request).await.expect_err("a decided");
    assert_eq!(log.calls(), ["a 0/2", "b 1/2", "a 1/2 last"]);
    let all = exhausted(&error);
    assert_eq!(who(all), ["b", "a"], "a's refusal gave way to its failure");
    assert_eq!(all.verdict().kind(), FailureKind::Overloaded);
    assert_eq!(all.verdict().reach(), Reach::Sent);
    assert_eq!(all.retry_after(), Some(Duration::from_secs(9)));
    assert_eq!(trail.snapshot().outcome, Some(Outcome::Exhausted));
}

#[tokio::test(start_paused = true)]
async fn if_no_circuit_admits_it_the_earliest_return_is_told() {
    let log = Log::default();
    let fallback = Fallback::in_order([
        resting(&log, "a", 5, cooling(5)),
        resting(&log, "b", 9, cooling(2)),
    ]);
    let error = fallback.oneshot(request(&log)).await.expect_err("nobody");
    let all = exhausted(&error);
    assert_eq!(all.errors().len(), 2);
    assert_eq!(all.verdict().reach(), Reach::Refused);
    assert_eq!(all.retry_after(), Some(Duration::from_secs(2)));
}

#[tokio::test(start_paused = true)]
async fn a_rule_is_never_relaxed() {
    for why in [
        Ineligible::Region,
        Ineligible::Budget,
        Ineligible::Window,
        Ineligible::Capability,
        Ineligible::Saturated,
    ] {
        let log = Log::default();
        let barred = |id| target_at(&log, Deployment::new(id), Act::deny(why), Act::Answer);
        let fallback =
            Fallback::in_order([barred("a"), resting(&log, "b", 5, cooling(5)), barred("c")]);
        let error = fallback.oneshot(request(&log)).await.expect_err("nobody");
        assert_eq!(
            log.calls(),
            ["a 0/3", "b 1/3", "c 2/3", "b 2/3 last"],
            "{why:?} keeps a and c out"
        );
        assert_eq!(exhausted(&error).verdict().kind(), FailureKind::Overloaded);
    }
}

#[tokio::test(start_paused = true)]
async fn there_is_none_once_somebody_was_asked() {
    let log = Log::default();
    let fallback = Fallback::in_order([
        resting(&log, "a", 5, Act::Answer),
        target(&log, "b", Act::fail(FailureKind::Timeout)),
        resting(&log, "c", 5, Act::Answer),
    ]);
    fallback.oneshot(request(&log)).await.expect_err("nobody");
    assert_eq!(log.calls(), ["a 0/3", "b 1/3", "c 2/3"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_alone_can_be_resting_is_told_at_once() {
    let log = Log::default();
    let fallback = Fallback::in_order([resting(&log, "a", 5, Act::Answer)]);
    let response = fallback.oneshot(request(&log)).await.expect("an answer");
    assert_eq!(response.body(), "a");
    assert_eq!(log.calls(), ["a 0/1 last"]);

    let fallback = Fallback::in_order([
        target(&log, "a", Act::deny(Ineligible::Region)),
        resting(&log, "b", 5, Act::Answer),
    ]);
    let response = fallback.oneshot(request(&log)).await.expect("an answer");
    assert_eq!(response.body(), "b");
    assert_eq!(log.calls(), ["a 0/2", "b 1/2 last"]);
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_one_that_rests_hands_its_refusal_on() {
    let log = Log::default();
    let fallback = Fallback::in_order([resting(&log, "a", 5, cooling(5))]);
    let (request, trail) = trailed(&log);
    let error = fallback.oneshot(request).await.expect_err("rests");
    assert_eq!(own(&error), "a");
    let record = trail.snapshot();
    assert_eq!(record.skipped.len(), 1);
    assert_eq!(record.outcome, Some(Outcome::Exhausted));
}

#[tokio::test(start_paused = true)]
async fn a_stored_failure_is_judged_by_its_kind() {
    let stored = Failure::new(FailureKind::Auth).with_reach(Reach::Refused);
    let log = Log::default();
    let fallback = Fallback::in_order([
        resting(&log, "a", 5, Act::Fail(stored)),
        resting(&log, "b", 9, Act::Answer),
    ]);
    let error = fallback.oneshot(request(&log)).await.expect_err("surfaced");
    assert_eq!(own(&error), "a");
    assert_eq!(log.calls().last().map(String::as_str), Some("a 1/2 last"));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_for_it_too() {
    // The second target's refusal comes when the deadline has passed.
    let log = Log::default();
    let late = tower::service_fn(async |_: http::Request<()>| {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let failure = Failure::ineligible(Ineligible::Cooling);
        Err::<http::Response<()>, backstop_core::BoxError>(failure.into())
    });
    let fallback = Fallback::in_order(["a", "b"].map(|id| Target::new(Deployment::new(id), late)));
    let mut request = http::Request::new(());
    request
        .extensions_mut()
        .insert(Deadline::after(Duration::from_secs(3)));
    let error = fallback.oneshot(request).await.expect_err("too late");
    assert_eq!(exhausted(&error).verdict().kind(), FailureKind::Deadline);
    assert!(log.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_said_to_a_chain_above_does_not_reach_this_chain() {
    let log = Log::default();
    let fallback = Fallback::in_order([
        resting(&log, "a", 5, Act::Answer),
        target(&log, "b", Act::Answer),
    ]);
    let mut request = request(&log);
    request.extensions_mut().insert(LastResort);
    let response = fallback.oneshot(request).await.expect("an answer");
    assert_eq!(response.body(), "b", "a rests, and b is healthy");
}

#[tokio::test(start_paused = true)]
async fn the_request_itself_goes_to_the_last_that_is_asked() {
    let log = Log::default();
    let fallback = Fallback::in_order([
        resting(&log, "a", 5, cooling(5)),
        resting(&log, "b", 9, Act::Answer),
    ]);
    fallback.oneshot(request(&log)).await.expect("an answer");
    let clones = log
        .take()
        .iter()
        .filter(|entry| *entry == "clone request")
        .count();
    assert_eq!(clones, 3, "four calls, three clones");
}
