use http::StatusCode;

use super::*;
use crate::{NanoUsd, Usage, UsageSource};

fn deployment(id: &str) -> Arc<Deployment> {
    Arc::new(Deployment::new(id))
}

#[tokio::test(start_paused = true)]
async fn a_settled_row_keeps_its_result_and_times() {
    let trail = Trail::start();
    tokio::time::advance(Duration::from_millis(3)).await;
    let mut attempt = trail.attempt(&deployment("a"));
    tokio::time::advance(Duration::from_millis(5)).await;
    attempt.answered(Some(StatusCode::OK), Some("req_1".into()));
    attempt.used(Usage::reported(9, 4));
    tokio::time::advance(Duration::from_millis(7)).await;
    attempt.settle(Ok(()));

    let record = trail.snapshot();
    let attempt = &record.attempts[0];
    assert_eq!(attempt.started, Duration::from_millis(3));
    assert_eq!(attempt.first_content, Some(Duration::from_millis(5)));
    assert_eq!(attempt.duration, Some(Duration::from_millis(12)));
    assert_eq!(attempt.result, Some(Ok(())));
    assert_eq!(attempt.decision, Some(Decision::Done));
    assert_eq!(attempt.usage.map(|usage| usage.output), Some(4));
    assert_eq!(attempt.request_id.as_deref(), Some("req_1"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_not_taken_is_not_the_end() {
    let trail = Trail::start();
    let whole = trail.attempt(&deployment("a"));
    // Whoever looked at it asks another one; only then is it let go.
    trail.resume(3);
    whole.settle(Ok(()));
    let record = trail.snapshot();
    assert_eq!(record.attempts[0].result, Some(Ok(())));
    assert_eq!(record.attempts[0].decision, Some(Decision::Resume));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_row_is_cancelled_unless_somebody_else_ended_it() {
    let trail = Trail::start();
    drop(trail.attempt(&deployment("a")));
    let open = trail.attempt(&deployment("b"));
    trail.abandon(FailureKind::Deadline);
    drop(open);
    let record = trail.snapshot();
    assert_eq!(record.attempts[0].result, Some(Err(FailureKind::Cancelled)));
    assert_eq!(record.attempts[1].result, Some(Err(FailureKind::Deadline)));
}

#[tokio::test(start_paused = true)]
async fn a_repeat_says_why_and_how_long_it_waited() {
    let trail = Trail::start();
    let first = trail.attempt(&deployment("a"));
    first.settle(Err(
        &Failure::new(FailureKind::RateLimit).with_status(StatusCode::TOO_MANY_REQUESTS)
    ));
    trail.retry(FailureKind::RateLimit, Duration::from_millis(80));
    trail
        .attempt(&deployment("a"))
        .settle(Err(&Failure::new(FailureKind::Timeout)));
    trail.fallback(true);
    trail.attempt(&deployment("b")).settle(Ok(()));

    let record = trail.snapshot();
    assert_eq!(
        record.attempts[0].status,
        Some(StatusCode::TOO_MANY_REQUESTS)
    );
    assert_eq!(record.attempts[0].decision, Some(Decision::Retry));
    assert_eq!(
        record.attempts[1].retry_reason,
        Some(FailureKind::RateLimit)
    );
    assert_eq!(record.attempts[1].delay, Some(Duration::from_millis(80)));
    assert_eq!(record.attempts[1].decision, Some(Decision::Fallback));
    assert_eq!(
        record.attempts[2].retry_reason, None,
        "a fallback is not a retry"
    );
    assert_eq!((record.retries, record.fallbacks), (1, 1));
    assert_eq!(
        trail.last_asked().map(|d| d.id().to_string()).as_deref(),
        Some("b")
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_an_attempt() {
    let trail = Trail::start();
    trail.attempt(&deployment("a")).discard();
    trail.skip(
        &deployment("a"),
        &Failure::ineligible(crate::Ineligible::Cooling),
    );
    let record = trail.snapshot();
    assert!(record.attempts.is_empty());
    assert_eq!(record.skipped[0].reason.as_str(), "cooling");
}

#[tokio::test(start_paused = true)]
async fn an_estimate_fills_what_the_provider_has_not_said() {
    let estimate = Usage {
        source: UsageSource::Estimate,
        ..Usage::reported(100, 7)
    };
    let partial = Usage {
        source: UsageSource::Partial,
        ..Usage::reported(50, 1)
    };
    let cases = [
        (None, (100, 7, UsageSource::Estimate)),
        (Some(partial), (50, 7, UsageSource::Partial)),
        (Some(Usage::reported(50, 3)), (50, 3, UsageSource::Provider)),
    ];
    for (reported, expected) in cases {
        let trail = Trail::start();
        let mut attempt = trail.attempt(&deployment("a"));
        if let Some(reported) = reported {
            attempt.used(reported);
        }
        attempt.settle(Err(&Failure::new(FailureKind::Network)));
        trail.estimated(estimate);
        let usage = trail.snapshot().attempts[0].usage.expect("known");
        assert_eq!((usage.input, usage.output, usage.source), expected);
    }
    Trail::start().estimated(estimate);
}

#[tokio::test(start_paused = true)]
async fn the_first_outcome_stands() {
    let trail = Trail::start();
    trail.end(Outcome::Exhausted);
    trail.end(Outcome::UpstreamError);
    assert_eq!(trail.snapshot().outcome, Some(Outcome::Exhausted));
}

#[test]
fn what_was_spent_is_added_up_and_its_tokens_stand() {
    let trail = Trail::start();
    let mut first = trail.attempt(&deployment("a"));
    let row = trail.last_row();
    let second = trail.attempt(&deployment("b"));
    trail.spent(row, Usage::reported(9, 4), NanoUsd::from_nano(5));
    trail.spent(
        trail.last_row(),
        Usage::reported(1, 1),
        NanoUsd::from_nano(2),
    );
    trail.spent(None, Usage::reported(1, 1), NanoUsd::from_nano(1));
    first.used(Usage::reported(9, 1));
    second.discard();
    let record = trail.snapshot();
    assert_eq!(record.cost, Some(NanoUsd::from_nano(8)));
    assert_eq!(record.attempts[0].cost, Some(NanoUsd::from_nano(5)));
    assert_eq!(record.attempts[0].usage.map(|usage| usage.output), Some(4));
}

#[test]
fn a_ceiling_is_noted_once() {
    let trail = Trail::start();
    trail.ceiling("a day", "ada".into(), "refused");
    trail.ceiling("a day", "ada".into(), "refused");
    trail.ceiling("a day", "ada".into(), "soft");
    let effects: Vec<_> = trail
        .snapshot()
        .ceilings
        .iter()
        .map(|it| it.effect)
        .collect();
    assert_eq!(effects, ["refused", "soft"]);
}

#[tokio::test(start_paused = true)]
async fn notes_go_to_the_open_attempt() {
    let trail = Trail::start();
    trail.note("before any attempt");
    trail.note("before any attempt");
    let _open = trail.attempt(&deployment("a"));
    trail.note("temperature dropped");
    trail.note("temperature dropped".to_owned());
    let record = trail.snapshot();
    assert_eq!(record.notes, ["before any attempt"]);
    assert_eq!(record.attempts[0].notes, ["temperature dropped"]);
}

#[test]
fn the_last_handle_takes_what_others_copy() {
    let trail = Trail::with_id("r1");
    trail.asked("smart", true);
    trail
        .attempt(&Arc::new(Deployment::new("a")))
        .settle(Ok(()));
    let copied = trail.clone().into_snapshot();
    let taken = trail.into_snapshot();
    for snapshot in [copied, taken] {
        assert_eq!(&*snapshot.id, "r1");
        assert_eq!(snapshot.model.as_deref(), Some("smart"));
        assert_eq!(snapshot.attempts.len(), 1);
    }
}
