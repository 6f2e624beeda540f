//! What comes back, and who was asked for it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstop_core::{
    BoxError, ByStatus, Deadline, Decision, Deployment, Failure, FailureKind, Ineligible, Next,
    Outcome, Policy, Trail, failure_of,
};
use backstop_fallback::{Event, Fallback, NoTargets, Target};
use http::{Request, Response};
use tokio::time;
use tower::{Service, ServiceExt, service_fn};

use crate::support::{Act, Log, exhausted, own, request, target, target_at, trailed, who};

const KINDS: [FailureKind; 15] = [
    FailureKind::Network,
    FailureKind::Timeout,
    FailureKind::ServerError,
    FailureKind::Overloaded,
    FailureKind::RateLimit,
    FailureKind::QuotaExhausted,
    FailureKind::ContentFilter,
    FailureKind::ContextWindow,
    FailureKind::Auth,
    FailureKind::Permission,
    FailureKind::ModelNotFound,
    FailureKind::BadRequest,
    FailureKind::Ineligible(Ineligible::Capability),
    FailureKind::Cancelled,
    FailureKind::Deadline,
];

#[tokio::test]
async fn the_first_that_answers_is_the_last_that_is_asked() {
    let log = Log::default();
    let fallback = Fallback::in_order([
        target(&log, "a", Act::fail(FailureKind::ServerError)),
        target(&log, "b", Act::Answer),
        target(&log, "c", Act::Answer),
    ]);
    let (request, trail) = trailed(&log);
    let response = fallback.oneshot(request).await.expect("an answer");
    assert_eq!(response.body(), "b");
    assert_eq!(log.calls(), ["a 0/3", "b 1/3"]);
    assert_eq!(trail.fallbacks(), 1);
    assert_eq!(
        trail.snapshot().outcome,
        None,
        "whether it ends well is seen at its end"
    );
}

#[tokio::test]
async fn lower_tiers_come_first() {
    let log = Log::default();
    let failing = |id| target(&log, id, Act::fail(FailureKind::Network));
    let fallback = Fallback::in_order([
        failing("a").with_order(2),
        failing("b").with_order(1),
        failing("c").with_order(2),
        failing("d"),
    ]);
    let error = fallback.oneshot(request(&log)).await.expect_err("nobody");
    assert_eq!(who(exhausted(&error)), ["d", "b", "a", "c"]);
}

#[tokio::test]
async fn the_policy_says_what_is_surfaced() {
    for kind in KINDS {
        for (policy, moves_on) in [
            (Policy::default(), Policy::default().moves_on(kind)),
            (Policy::default().next(kind, Next::Ask), true),
            (Policy::default().next(kind, Next::Surface), false),
        ] {
            let log = Log::default();
            let fallback = Fallback::in_order([
                target(&log, "a", Act::fail(kind)),
                target(&log, "b", Act::Answer),
            ])
            .policy(policy);
            let (request, trail) = trailed(&log);
            match fallback.oneshot(request).await {
                Ok(response) => {
                    assert!(moves_on, "{kind} is surfaced");
                    assert_eq!(response.body(), "b");
                }
                Err(error) => {
                    assert!(!moves_on, "{kind} moves on");
                    assert_eq!(own(&error), "a");
                    assert_eq!(log.calls().len(), 1, "{kind} ends it at once");
                    assert_eq!(trail.snapshot().outcome, Some(Outcome::of(kind)));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_surfaced_response_is_untouched() {
    let log = Log::default();
    let failure = Failure::new(FailureKind::ContentFilter);
    let fallback = Fallback::in_order([
        target(&log, "a", Act::Refuse(failure)),
        target(&log, "b", Act::Answer),
    ])
    .policy(Policy::default().next(FailureKind::ContentFilter, Next::Surface));
    let response = fallback.oneshot(request(&log)).await.expect("a response");
    assert_eq!(response.body(), "a");
    assert!(response.extensions().get::<Failure>().is_some());
}

#[tokio::test]
async fn a_failure_inside_a_200_moves_on_and_the_last_such_answer_is_handed_on() {
    let log = Log::default();
    let filtered = || Act::Refuse(Failure::new(FailureKind::ContentFilter));
    let fallback = Fallback::in_order([
        target(&log, "a", filtered()),
        target(&log, "b", Act::fail(FailureKind::Network)),
        target(&log, "c", filtered()),
    ]);
    let (request, trail) = trailed(&log);
    let response = fallback.oneshot(request).await.expect("a response");
    assert_eq!(response.body(), "c");
    assert_eq!(trail.fallbacks(), 2);
    assert_eq!(trail.snapshot().outcome, Some(Outcome::UpstreamError));
}

#[tokio::test]
async fn a_content_filters_error_is_handed_on_by_the_last() {
    let log = Log::default();
    let fallback = Fallback::in_order([
        target(&log, "a", Act::fail(FailureKind::Network)),
        target(&log, "b", Act::fail(FailureKind::ContentFilter)),
    ]);
    let error = fallback.oneshot(request(&log)).await.expect_err("blocked");
    assert_eq!(own(&error), "b");
}

#[tokio::test]
async fn whoever_may_not_be_asked_does_not_hide_a_content_filters_verdict() {
    let log = Log::default();
    let chain = |first, second| {
        Fallback::in_order([target(&log, "a", first), target(&log, "b", second)])
            .oneshot(request(&log))
    };
    let blocked = || Act::fail(FailureKind::ContentFilter);
    let refused = || Act::Refuse(Failure::new(FailureKind::ContentFilter));

    let error = chain(blocked(), Act::deny(Ineligible::Region)).await;
    assert_eq!(own(&error.expect_err("blocked")), "a");

    let error = chain(refused(), Act::deny(Ineligible::Region)).await;
    let error = error.expect_err("the response itself was let go");
    assert_eq!(
        failure_of(&*error).map(Failure::kind),
        Some(FailureKind::ContentFilter)
    );

    let error = chain(blocked(), Act::deny(Ineligible::Cooling)).await;
    let error = error.expect_err("nobody");
    assert_eq!(
        exhausted(&error).verdict().kind(),
        FailureKind::Overloaded,
        "one that rests may answer later"
    );
}

#[tokio::test]
async fn a_chain_of_one_hands_on_what_it_gets() {
    for kind in KINDS {
        let log = Log::default();
        let fallback = Fallback::in_order([target(&log, "a", Act::fail(kind))]);
        let (request, trail) = trailed(&log);
        let error = fallback.oneshot(request).await.expect_err("its own");
        assert_eq!(own(&error), "a");
        let record = trail.snapshot();
        assert_eq!(record.outcome, Some(Outcome::of(kind)));
        assert_eq!(record.fallbacks, 0);
    }
    let log = Log::default();
    let failing = Act::Refuse(Failure::new(FailureKind::ServerError));
    let fallback = Fallback::in_order([target(&log, "a", failing)]);
    let response = fallback.oneshot(request(&log)).await.expect("its own");
    assert_eq!(response.body(), "a");
}

#[tokio::test(start_paused = true)]
async fn exhaustion_keeps_every_error_and_says_when_to_come_back() {
    let log = Log::default();
    let hinted =
        |kind: FailureKind, secs| Failure::from(kind).with_retry_after(Duration::from_secs(secs));
    let fallback = Fallback::in_order([
        target(&log, "a", Act::Fail(hinted(FailureKind::RateLimit, 30))),
        target(&log, "b", Act::Refuse(hinted(FailureKind::Overloaded, 7))),
        target(
            &log,
            "c",
            Act::Fail(hinted(FailureKind::Ineligible(Ineligible::Budget), 1)),
        ),
        target(&log, "d", Act::Break(Failure::new(FailureKind::Network))),
    ]);
    let (request, trail) = trailed(&log);
    let error = fallback.oneshot(request).await.expect_err("nobody");

    let all = exhausted(&error);
    assert_eq!(who(all), ["a", "b", "c", "d"]);
    assert_eq!(own(&all.errors()[0].1), "a");
    assert_eq!(
        failure_of(&*all.errors()[1].1).map(Failure::kind),
        Some(FailureKind::Overloaded),
        "a failed response stands as its failure"
    );
    assert_eq!(all.verdict().kind(), FailureKind::Overloaded);
    assert_eq!(all.retry_after(), Some(Duration::from_secs(7)));

    let record = trail.snapshot();
    assert_eq!(record.outcome, Some(Outcome::Exhausted));
    assert_eq!(record.fallbacks, 3);
    assert_eq!(record.skipped.len(), 1);
    assert_eq!(&**record.skipped[0].deployment.id(), "c");
}

#[tokio::test]
async fn a_refusal_by_all_is_told_by_its_reason() {
    for (why, outcome) in [
        (Ineligible::Region, Outcome::RejectedRegion),
        (Ineligible::Budget, Outcome::RejectedBudget),
        (Ineligible::Window, Outcome::ClientError),
        (Ineligible::Capability, Outcome::ClientError),
    ] {
        let log = Log::default();
        let fallback = Fallback::in_order([
            target(&log, "a", Act::deny(why)),
            target(&log, "b", Act::deny(why)),
        ]);
        let (request, trail) = trailed(&log);
        let error = fallback.oneshot(request).await.expect_err("nobody");
        let verdict = exhausted(&error).verdict();
        assert_eq!(verdict.kind(), FailureKind::Ineligible(why));
        assert_eq!(verdict.reach(), backstop_core::Reach::Refused);
        assert_eq!(trail.snapshot().outcome, Some(outcome));
    }
}

#[tokio::test]
async fn after_a_full_window_only_larger_or_unknown_ones_are_asked() {
    let log = Log::default();
    let windowed = |id: &str, tokens: Option<u64>| {
        let deployment = Deployment::new(id);
        let deployment = match tokens {
            Some(tokens) => deployment.with_window(tokens),
            None => deployment,
        };
        let full = Act::fail(FailureKind::ContextWindow);
        target_at(&log, deployment, full.clone(), full)
    };
    let fallback = Fallback::in_order([
        windowed("unknown first", None),
        windowed("8k", Some(8)),
        windowed("16k", Some(16)),
        windowed("8k again", Some(8)),
        windowed("16k again", Some(16)),
        windowed("unknown", None),
        windowed("32k", Some(32)),
    ]);
    let (request, trail) = trailed(&log);
    let error = fallback.oneshot(request).await.expect_err("nobody");
    assert_eq!(
        log.calls(),
        [
            "unknown first 0/7",
            "8k 1/7",
            "16k 2/7",
            "unknown 5/7",
            "32k 6/7"
        ]
    );
    let all = exhausted(&error);
    assert_eq!(all.verdict().kind(), FailureKind::ContextWindow);
    assert_eq!(all.errors().len(), 7);
    let record = trail.snapshot();
    assert_eq!(record.outcome, Some(Outcome::ClientError));
    assert_eq!(record.fallbacks, 6);
    let skipped: Vec<_> = record
        .skipped
        .iter()
        .map(|skipped| (&**skipped.deployment.id(), skipped.reason))
        .collect();
    let window = FailureKind::Ineligible(Ineligible::Window);
    assert_eq!(skipped, [("8k again", window), ("16k again", window)]);
}

#[tokio::test]
async fn a_response_that_nobody_larger_follows_is_handed_on() {
    let log = Log::default();
    let full = Act::Refuse(Failure::new(FailureKind::ContextWindow));
    let small = Deployment::new("b").with_window(8);
    let fallback = Fallback::in_order([
        target_at(
            &log,
            Deployment::new("a").with_window(8),
            full.clone(),
            full,
        ),
        target_at(&log, small, Act::Answer, Act::Answer),
    ]);
    let response = fallback.oneshot(request(&log)).await.expect("a response");
    assert_eq!(response.body(), "a");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_after_the_deadline() {
    let slow = |id: &'static str| {
        let service = service_fn(move |_: Request<()>| async move {
            time::sleep(Duration::from_secs(3)).await;
            Err::<Response<()>, BoxError>(id.into())
        });
        Target::new(Deployment::new(id), service)
    };
    let fallback = Fallback::new(["a", "b", "c"].map(slow)).expect("targets");
    let mut request = Request::new(());
    let trail = Trail::of_or_start(request.extensions_mut());
    request
        .extensions_mut()
        .insert(Deadline::after(Duration::from_secs(6)));
    let error = fallback.oneshot(request).await.expect_err("too late");
    let all = exhausted(&error);
    assert_eq!(all.verdict().kind(), FailureKind::Deadline);
    assert_eq!(who(all), ["a", "b"], "c would have begun at the deadline");
    let record = trail.snapshot();
    assert_eq!(record.outcome, Some(Outcome::Deadline));
    assert_eq!(record.fallbacks, 1);
}

#[tokio::test]
async fn an_error_of_readiness_is_that_targets_failure() {
    let log = Log::default();
    let broken = |kind| Act::Break(Failure::new(kind));
    let chain = |kind| {
        Fallback::in_order([
            target(&log, "a", broken(kind)),
            target(&log, "b", Act::Answer),
        ])
        .oneshot(request(&log))
    };
    let response = chain(FailureKind::Network).await.expect("an answer");
    assert_eq!(response.body(), "b");
    let error = chain(FailureKind::Auth).await.expect_err("surfaced");
    assert_eq!(own(&error), "a");
}

#[tokio::test]
async fn a_stored_auth_failure_is_surfaced_without_a_call() {
    let log = Log::default();
    let stored = Failure::new(FailureKind::Auth).with_reach(backstop_core::Reach::Refused);
    let fallback = Fallback::in_order([
        target(&log, "a", Act::fail(FailureKind::Network)),
        target(&log, "b", Act::Fail(stored)),
        target(&log, "c", Act::Answer),
    ]);
    let (request, trail) = trailed(&log);
    let row = trail.attempt(&Arc::new(Deployment::new("a")));
    row.settle(Err(&Failure::new(FailureKind::Network)));
    let error = fallback.oneshot(request).await.expect_err("surfaced");
    assert_eq!(own(&error), "b");
    let record = trail.snapshot();
    assert_eq!(record.skipped[0].reason, FailureKind::Auth);
    assert_eq!(
        record.attempts[0].decision,
        Some(Decision::Fallback),
        "what followed the attempt before is not rewritten"
    );
}

#[tokio::test]
async fn the_trail_learns_what_follows_an_attempt_and_only_that() {
    // What the layers of a target do: the row of its attempt.
    let row = |trail: &Trail, result| {
        let attempt = trail.attempt(&Arc::new(Deployment::new("x")));
        attempt.settle(result);
    };
    let down = Failure::new(FailureKind::Network);
    let log = Log::default();

    let (mut fallback, (request, trail)) = (
        Fallback::in_order([target(&log, "a", Act::Fail(down.clone()))]),
        trailed(&log),
    );
    row(&trail, Err(&down));
    fallback.call(request).await.expect_err("its own");
    assert_eq!(
        trail.snapshot().attempts[0].decision,
        Some(Decision::Surface)
    );

    let (mut fallback, (request, trail)) = (
        Fallback::in_order([
            target(&log, "a", Act::deny(Ineligible::Cooling)),
            target(&log, "b", Act::Answer),
        ]),
        trailed(&log),
    );
    row(&trail, Ok(()));
    fallback.call(request).await.expect("an answer");
    assert_eq!(
        trail.snapshot().attempts[0].decision,
        Some(Decision::Done),
        "passing somebody over says nothing of an attempt before"
    );
}

#[tokio::test]
async fn statuses_are_failures_where_the_classifier_says_so() {
    let answering = |status: u16| {
        let service = service_fn(move |_: Request<()>| async move {
            Response::builder()
                .status(status)
                .body(status)
                .map_err(BoxError::from)
        });
        Target::new(Deployment::new(status.to_string()), service)
    };
    let chain = |statuses: [u16; 2]| {
        Fallback::in_order(statuses.map(answering))
            .classify(ByStatus)
            .oneshot(Request::new(()))
    };
    for (statuses, expected) in [
        ([500, 200], 200),
        ([429, 503], 503),
        ([404, 200], 404),
        ([200, 500], 200),
    ] {
        let response = chain(statuses).await.expect("a response");
        assert_eq!(*response.body(), expected, "{statuses:?}");
    }
}

#[tokio::test]
async fn the_observer_is_told_each_step() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let told = Arc::clone(&told);
        move |event: &Event<'_>| {
            let text = match event {
                Event::Skipped { deployment, .. } => format!("skipped {}", deployment.id()),
                Event::Failed {
                    deployment,
                    failure,
                } => {
                    format!("failed {} {}", deployment.id(), failure.kind())
                }
                Event::MovedOn { from, to, failure } => {
                    format!("{} -> {} {}", from.id(), to.id(), failure.kind())
                }
                Event::Exhausted { verdict } => format!("exhausted {}", verdict.kind()),
                _ => "?".to_owned(),
            };
            told.lock().expect("no panic").push(text);
        }
    };
    let log = Log::default();
    let fallback = Fallback::in_order([
        target(&log, "a", Act::fail(FailureKind::Timeout)),
        target(&log, "b", Act::deny(Ineligible::Budget)),
        target(&log, "c", Act::fail(FailureKind::Network)),
    ])
    .observe(observer);
    fallback.oneshot(request(&log)).await.expect_err("nobody");
    assert_eq!(
        *told.lock().expect("no panic"),
        [
            "failed a timeout",
            "a -> b timeout",
            "skipped b",
            "b -> c budget",
            "failed c network",
            "exhausted overloaded",
        ]
    );
}

#[test]
fn an_empty_list_is_refused_when_it_is_made() {
    let none: [Target<()>; 0] = [];
    let refused: NoTargets = Fallback::new(none).expect_err("empty");
    assert_eq!(
        refused.to_string(),
        "a fallback needs at least one target that is open from the start"
    );
}
