use super::*;
use backstop_core::{Ineligible, Trail, UsageSource};
use serde_json::Value;
use tokio::time::advance;

fn deployment(id: &str) -> Arc<Deployment> {
    let deployment = Deployment::new(id)
        .with_provider("openai")
        .with_model("gpt-4o")
        .with_region("eu-west-1");
    Arc::new(deployment)
}

fn seen(end: End, status: impl Into<Option<u16>>) -> Seen {
    Seen {
        status: status
            .into()
            .map(|code| StatusCode::from_u16(code).expect("a status")),
        first_data: None,
        failure: None,
        end,
    }
}

fn outcome(trail: &Trail, seen: &Seen) -> Outcome {
    Record::from_trail(trail.snapshot(), seen).outcome
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_named_the_outcome_is_believed() {
    let trail = Trail::start();
    trail.end(Outcome::RejectedAuth);
    assert_eq!(
        outcome(&trail, &seen(End::Complete, 401)),
        Outcome::RejectedAuth
    );
    let mut error = seen(End::Failed, None);
    error.failure = Some(Failure::new(FailureKind::Timeout));
    assert_eq!(outcome(&trail, &error), Outcome::RejectedAuth);
}

#[tokio::test(start_paused = true)]
async fn what_happened_after_the_head_is_believed_more() {
    let trail = Trail::start();
    trail.end(Outcome::Ok);
    assert_eq!(
        outcome(&trail, &seen(End::Abandoned, 200)),
        Outcome::Cancelled
    );
    assert_eq!(
        outcome(&trail, &seen(End::Broken, 200)),
        Outcome::UpstreamError
    );
    assert_eq!(
        outcome(&trail, &seen(End::Abandoned, None)),
        Outcome::Cancelled
    );
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_nobody_named_is_told_from_failure_status_and_attempts() {
    let trail = Trail::start();
    assert_eq!(outcome(&trail, &seen(End::Complete, 200)), Outcome::Ok);
    assert_eq!(
        outcome(&trail, &seen(End::Complete, 404)),
        Outcome::ClientError
    );
    assert_eq!(
        outcome(&trail, &seen(End::Complete, 502)),
        Outcome::UpstreamError
    );
    assert_eq!(
        outcome(&trail, &seen(End::Failed, None)),
        Outcome::UpstreamError
    );

    let mut refused = seen(End::Failed, None);
    refused.failure = Some(Failure::ineligible(Ineligible::Region));
    assert_eq!(outcome(&trail, &refused), Outcome::RejectedRegion);

    trail
        .attempt(&deployment("a"))
        .settle(Err(&Failure::new(FailureKind::Network)));
    assert_eq!(
        outcome(&trail, &seen(End::Complete, 200)),
        Outcome::UpstreamError,
        "a failure in the middle of a 200 is still one"
    );
    drop(trail.attempt(&deployment("b")));
    assert_eq!(
        outcome(&trail, &seen(End::Complete, 200)),
        Outcome::Ok,
        "an answer may be complete before its body is read to the end"
    );
}

#[tokio::test(start_paused = true)]
async fn only_a_success_has_somebody_who_served() {
    let trail = Trail::start();
    trail.attempt(&deployment("a")).settle(Ok(()));
    let served = |end| Record::from_trail(trail.snapshot(), &seen(end, 200)).served;
    assert_eq!(
        served(End::Complete).map(|d| d.id().to_string()).as_deref(),
        Some("a")
    );
    assert_eq!(served(End::Abandoned), None);
    assert_eq!(served(End::Broken), None);

    trail
        .attempt(&deployment("b"))
        .settle(Err(&Failure::new(FailureKind::Network)));
    trail.end(Outcome::Ok);
    assert_eq!(
        served(End::Complete),
        None,
        "what answered was not the deployment that failed"
    );
}

#[tokio::test(start_paused = true)]
async fn overhead_is_the_time_outside_attempts_counted_once() {
    let ms = Duration::from_millis;
    let trail = Trail::start();
    advance(ms(2)).await;
    let first = trail.attempt(&deployment("a"));
    advance(ms(10)).await;
    let second = trail.attempt(&deployment("b"));
    advance(ms(10)).await;
    first.settle(Err(&Failure::new(FailureKind::Timeout)));
    advance(ms(5)).await;
    second.settle(Ok(()));
    advance(ms(3)).await;
    let _open = trail.attempt(&deployment("c"));
    advance(ms(4)).await;

    let record = Record::from_trail(trail.snapshot(), &seen(End::Complete, 200));
    assert_eq!(record.latency, ms(34));
    assert_eq!(record.overhead, ms(5));
}

#[tokio::test(start_paused = true)]
async fn usage_is_the_sum_of_attempts_and_as_weak_as_its_weakest() {
    let trail = Trail::start();
    let record = Record::from_trail(trail.snapshot(), &seen(End::Complete, 200));
    assert_eq!(record.usage, None);

    let mut partial = Usage::reported(10, 1);
    partial.source = UsageSource::Partial;
    for usage in [Usage::reported(10, 5), partial] {
        let mut attempt = trail.attempt(&deployment("a"));
        attempt.used(usage);
        attempt.settle(Ok(()));
    }
    trail.attempt(&deployment("a")).settle(Ok(()));
    let record = Record::from_trail(trail.snapshot(), &seen(End::Complete, 200));
    let usage = record.usage.expect("two attempts reported");
    assert_eq!((usage.input, usage.output), (20, 6));
    assert_eq!(usage.source, UsageSource::Partial);

    // A provider may report any number.
    let mut attempt = trail.attempt(&deployment("a"));
    attempt.used(Usage::reported(u64::MAX, 1));
    attempt.settle(Ok(()));
    let record = Record::from_trail(trail.snapshot(), &seen(End::Complete, 200));
    let usage = record.usage.expect("three attempts reported");
    assert_eq!((usage.input, usage.output), (u64::MAX, 7));
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_of_an_error_is_no_token() {
    let trail = Trail::start();
    let mut seen = seen(End::Complete, 503);
    seen.first_data = Some(Duration::from_millis(3));
    assert_eq!(Record::from_trail(trail.snapshot(), &seen).ttft, None);
    seen.status = Some(StatusCode::OK);
    assert_eq!(
        Record::from_trail(trail.snapshot(), &seen).ttft,
        seen.first_data
    );
}

#[tokio::test(start_paused = true)]
async fn the_names_of_the_json_are_a_contract() {
    let trail = Trail::with_id("req-1");
    trail.asked("smart", true);
    trail.asked_by("web");
    trail.governed_by("eu-only");
    advance(Duration::from_micros(1500)).await;
    trail.skip(
        &deployment("resting"),
        &Failure::ineligible(Ineligible::Cooling).with_retry_after(Duration::from_secs(2)),
    );
    trail.fallback(false);
    let limited = trail.attempt(&deployment("primary"));
    advance(Duration::from_millis(3)).await;
    limited.settle(Err(&Failure::new(FailureKind::RateLimit)
        .with_status(StatusCode::TOO_MANY_REQUESTS)
        .with_request_id("up-1")));
    trail.retry(FailureKind::RateLimit, Duration::from_millis(80));
    advance(Duration::from_millis(80)).await;
    let mut served = trail.attempt(&deployment("primary"));
    trail.note("temperature dropped");
    advance(Duration::from_millis(10)).await;
    served.answered(Some(StatusCode::OK), Some("up-2".into()));
    advance(Duration::from_micros(10_250)).await;
    served.used(Usage::reported(9, 4));
    served.settle(Ok(()));

    let mut snapshot = trail.snapshot();
    snapshot.started_at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_042);
    let mut seen = seen(End::Complete, 200);
    seen.first_data = Some(Duration::from_micros(94_500));
    let record = Record::from_trail(snapshot, &seen);
    let written = serde_json::to_string_pretty(&record).expect("serialisable");
    assert_eq!(written, include_str!("golden.json").trim_end());
    let line = serde_json::to_string(&record).expect("serialisable") + "\n";
    crate::line::with_line(&record, |written| assert_eq!(written, line.as_bytes()));
}

#[tokio::test(start_paused = true)]
async fn money_is_whole_nano_dollars_and_text() {
    let trail = Trail::start();
    let cost = NanoUsd::from_nano;
    for nano in [1_000_000_000, 2_500_000] {
        let attempt = trail.attempt(&deployment("a"));
        trail.spent(trail.last_row(), Usage::reported(9, 4), cost(nano));
        attempt.settle(Ok(()));
    }
    trail.ceiling("key=web/usd/total", "web".into(), "soft");
    let record = Record::from_trail(trail.snapshot(), &seen(End::Complete, 200));
    assert_eq!(record.usage.map(|usage| usage.input), Some(18));
    let json = serde_json::to_value(&record).expect("serialisable");
    assert_eq!(json["cost_nano_usd"], 1_002_500_000);
    assert_eq!(json["cost_usd"], "1.0025");
    assert_eq!(json["attempts"][1]["cost_nano_usd"], 2_500_000);
    let expected =
        serde_json::json!([{"budget": "key=web/usd/total", "id": "web", "effect": "soft"}]);
    assert_eq!(json["budget"], expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_null_not_empty() {
    let trail = Trail::start();
    drop(trail.attempt(&Arc::new(Deployment::new("a"))));
    trail.skip(
        &deployment("b"),
        &Failure::ineligible(Ineligible::Cooling).with_retry_after(Duration::MAX),
    );
    let record = Record::from_trail(trail.snapshot(), &seen(End::Abandoned, None));
    let json = serde_json::to_value(&record).expect("serialisable");
    for name in [
        "requested_model",
        "model",
        "deployment",
        "provider",
        "region",
        "http_status",
        "ttft_ms",
        "key_id",
    ] {
        assert_eq!(json[name], Value::Null, "{name}");
    }
    assert_eq!(json["attempts"][0]["provider"], Value::Null);
    assert_eq!(json["attempts"][0]["result"], "cancelled");
    assert_eq!(json["skipped"][0]["until"], Value::Null);
}
