//! Targets that are closed until a failure opens them.

use std::sync::{Arc, Mutex};

use backstop_core::{Continuing, Deployment, Failure, FailureKind, Ineligible, Next, Policy};
use backstop_fallback::{Event, Fallback, LeastBusy, NoTargets, Strategy, Target, Weighted};
use http::Request;
use tower::ServiceExt;

use crate::support::{
    Act, Log, Payload, Script, exhausted, own, request, target, target_at, trailed, who,
};

const TOO_LONG: &[FailureKind] = &[
    FailureKind::ContextWindow,
    FailureKind::Ineligible(Ineligible::Window),
];
const FILTERED: &[FailureKind] = &[FailureKind::ContentFilter];

fn down(log: &Log, id: &str) -> Target<Script> {
    target(log, id, Act::fail(FailureKind::Network))
}

fn too_long(log: &Log, id: &str) -> Target<Script> {
    target(log, id, Act::fail(FailureKind::ContextWindow))
}

fn up(log: &Log, id: &str) -> Target<Script> {
    target(log, id, Act::Answer)
}

#[tokio::test]
async fn unless_a_failure_opens_it_the_chain_is_as_if_it_were_not_there() {
    let log = Log::default();
    let events = Arc::new(Mutex::new(0));
    let counter = {
        let events = Arc::clone(&events);
        move |_: &Event<'_>| *events.lock().expect("no panic") += 1
    };
    let fallback = Fallback::in_order([
        up(&log, "large").only_after(TOO_LONG),
        down(&log, "a"),
        up(&log, "tolerant").only_after(FILTERED),
        down(&log, "b"),
    ])
    .observe(counter);
    let (request, trail) = trailed(&log);
    let error = fallback.oneshot(request).await.expect_err("both are down");
    assert_eq!(log.calls(), ["a 0/2", "b 1/2"]);
    assert_eq!(who(exhausted(&error)), ["a", "b"]);
    assert_eq!(exhausted(&error).verdict().kind(), FailureKind::Overloaded);
    let record = trail.snapshot();
    assert_eq!((record.skipped.len(), record.fallbacks), (0, 1));
    assert_eq!(
        *events.lock().expect("no panic"),
        4,
        "two failures, one move, one end"
    );
}

#[tokio::test]
async fn with_one_other_target_that_is_a_chain_of_one() {
    let log = Log::default();
    let fallback = Fallback::in_order([
        target(&log, "a", Act::deny(Ineligible::Cooling)),
        up(&log, "large").only_after(TOO_LONG),
    ]);
    let error = fallback.oneshot(request(&log)).await.expect_err("a rests");
    assert_eq!(own(&error), "a");
    assert_eq!(log.calls(), ["a 0/1 last"]);
}

#[tokio::test]
async fn once_opened_it_comes_before_all_that_are_left() {
    let log = Log::default();
    let fallback = Fallback::in_order([
        too_long(&log, "a"),
        up(&log, "b"),
        down(&log, "large").with_order(7).only_after(TOO_LONG),
    ]);
    let response = fallback.oneshot(request(&log)).await.expect("an answer");
    assert_eq!(response.body(), "b");
    assert_eq!(log.calls(), ["a 0/2", "large 1/3", "b 2/3"]);
}

#[tokio::test]
async fn a_window_that_we_know_to_be_too_small_opens_it_without_a_call() {
    let log = Log::default();
    let fallback = Fallback::in_order([
        target(&log, "a", Act::deny(Ineligible::Window)),
        up(&log, "large").only_after(TOO_LONG),
        up(&log, "tolerant").only_after(FILTERED),
    ]);
    let (request, trail) = trailed(&log);
    let response = fallback.oneshot(request).await.expect("an answer");
    assert_eq!(response.body(), "large");
    assert_eq!(trail.snapshot().skipped.len(), 1);
}

#[tokio::test]
async fn a_refusal_inside_a_200_opens_it_and_the_last_such_answer_is_handed_on() {
    let refused = || Act::Refuse(Failure::new(FailureKind::ContentFilter));
    for (act, expected) in [(Act::Answer, "tolerant"), (refused(), "tolerant")] {
        let log = Log::default();
        let fallback = Fallback::in_order([
            target(&log, "a", refused()),
            up(&log, "large").only_after(TOO_LONG),
            target(&log, "tolerant", act).only_after(FILTERED),
        ]);
        let response = fallback.oneshot(request(&log)).await.expect("a response");
        assert_eq!(response.body(), expected);
        assert_eq!(log.calls(), ["a 0/1 last", "tolerant 1/2"]);
    }
}

#[tokio::test]
async fn one_kind_may_open_another_target_that_another_kind_follows() {
    let log = Log::default();
    let filtered = Act::fail(FailureKind::ContentFilter);
    let fallback = Fallback::in_order([
        too_long(&log, "a"),
        target(&log, "large", filtered).only_after(TOO_LONG),
        up(&log, "tolerant").only_after(FILTERED),
    ]);
    let response = fallback.oneshot(request(&log)).await.expect("an answer");
    assert_eq!(response.body(), "tolerant");
    assert_eq!(log.calls(), ["a 0/1 last", "large 1/2", "tolerant 2/3"]);
}

#[tokio::test]
async fn what_is_surfaced_opens_nothing() {
    let log = Log::default();
    let fallback = Fallback::in_order([
        target(&log, "a", Act::fail(FailureKind::ContentFilter)),
        up(&log, "tolerant").only_after(FILTERED),
    ])
    .policy(Policy::default().next(FailureKind::ContentFilter, Next::Surface));
    let error = fallback.oneshot(request(&log)).await.expect_err("surfaced");
    assert_eq!(own(&error), "a");
}

#[tokio::test]
async fn an_opened_one_whose_window_is_not_larger_is_skipped() {
    let log = Log::default();
    let sized = |id: &str, window, act: Act| {
        target_at(
            &log,
            Deployment::new(id).with_window(window),
            act.clone(),
            act,
        )
    };
    let fallback = Fallback::in_order([
        sized("a", 200, Act::fail(FailureKind::ContextWindow)),
        sized("same", 200, Act::Answer).only_after(TOO_LONG),
        sized("large", 1_000, Act::Answer).only_after(TOO_LONG),
    ]);
    let (request, trail) = trailed(&log);
    let response = fallback.oneshot(request).await.expect("an answer");
    assert_eq!(response.body(), "large");
    assert_eq!(log.calls(), ["a 0/1 last", "large 2/3"]);
    let record = trail.snapshot();
    let reasons: Vec<_> = record
        .skipped
        .iter()
        .map(|row| (&**row.deployment.id(), row.reason))
        .collect();
    assert_eq!(
        reasons,
        [("same", FailureKind::Ineligible(Ineligible::Window))]
    );
}

/// Who is asked when a prompt fits nowhere.
async fn asked(strategy: impl Strategy<Request<Payload>> + Clone) -> Vec<String> {
    let log = Log::default();
    let fallback = Fallback::in_order([
        too_long(&log, "large a").only_after(TOO_LONG),
        too_long(&log, "a"),
        too_long(&log, "large b").only_after(TOO_LONG),
        too_long(&log, "larger").with_order(1).only_after(TOO_LONG),
        too_long(&log, "tolerant").only_after(FILTERED),
    ])
    .strategy(strategy);
    let error = fallback.oneshot(request(&log)).await.expect_err("too long");
    let verdict = exhausted(&error).verdict().kind();
    assert_eq!(verdict, FailureKind::ContextWindow);
    who(exhausted(&error)).into_iter().map(Into::into).collect()
}

#[tokio::test]
async fn a_strategy_picks_among_those_that_are_opened_tier_by_tier() {
    let by_weight = Weighted::with_random(|below| below - 1);
    for asked in [asked(by_weight).await, asked(LeastBusy::new()).await] {
        assert_eq!(asked, ["a", "large b", "large a", "larger"]);
    }
}

#[tokio::test]
async fn it_goes_on_with_an_answer_only_once_it_is_opened() {
    for (act, expected) in [
        (
            Act::fail(FailureKind::Network),
            vec!["a 0/3", "b 1/3", "broke 2/3"],
        ),
        (
            Act::fail(FailureKind::ContextWindow),
            vec!["a 0/3", "large 1/4", "b 2/4", "broke 3/4"],
        ),
    ] {
        let log = Log::default();
        let exact = Deployment::new("large").with_model("m").with_prefill(true);
        let failing = Act::fail(FailureKind::Network);
        let fallback = Fallback::in_order([
            down(&log, "broke"),
            target(&log, "a", act),
            target_at(&log, exact, failing.clone(), failing).only_after(TOO_LONG),
            down(&log, "b"),
        ]);
        let mut request = request(&log);
        let continuing = Continuing::new("m", ["broke".into()]);
        request.extensions_mut().insert(continuing);
        fallback.oneshot(request).await.expect_err("nobody goes on");
        assert_eq!(log.calls(), expected);
    }
}

#[tokio::test]
async fn a_deployment_that_stands_in_both_ways_is_asked_once() {
    let chain = |log: &Log, first| {
        Fallback::in_order([
            target(log, "a", Act::fail(first)),
            down(log, "b"),
            too_long(log, "large"),
            down(log, "large").only_after(TOO_LONG),
        ])
    };
    let log = Log::default();
    let moved = chain(&log, FailureKind::ContextWindow).oneshot(request(&log));
    moved.await.expect_err("nobody");
    assert_eq!(log.calls(), ["a 0/3", "large 1/3", "b 2/3"]);

    let in_order = chain(&log, FailureKind::Network).oneshot(request(&log));
    in_order.await.expect_err("nobody");
    assert_eq!(log.calls(), ["a 0/3", "b 1/3", "large 2/3"]);
}

#[tokio::test]
async fn a_last_resort_may_open_it() {
    let log = Log::default();
    let resting = |id: &str, last| {
        let resting = Act::deny(Ineligible::Cooling);
        target_at(&log, Deployment::new(id), resting, last)
    };
    let fallback = Fallback::in_order([
        resting("a", Act::fail(FailureKind::ContextWindow)),
        resting("b", Act::Answer),
        up(&log, "large").only_after(TOO_LONG),
    ]);
    let response = fallback.oneshot(request(&log)).await.expect("an answer");
    assert_eq!(response.body(), "large");
    assert_eq!(log.calls(), ["a 0/2", "b 1/2", "a 1/2 last", "large 2/3"]);
}

#[test]
fn somebody_has_to_be_open_from_the_start() {
    let log = Log::default();
    let closed = up(&log, "a").only_after(TOO_LONG);
    let NoTargets { .. } = Fallback::new([closed]).expect_err("all are closed");
}
