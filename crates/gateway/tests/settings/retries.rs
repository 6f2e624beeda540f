//! What is asked again, where, and when.

use crate::support::{Gateway, config, deployment, sim};
use crate::{calls, each, pair};

/// A name that YAML takes for text.
fn group(fault: &str) -> String {
    format!("on-{fault}")
}

#[tokio::test]
async fn retry_on_surfaces_what_it_leaves_out_and_nothing_else() {
    let faults = [
        ("5xx", "500", 502, "upstream_error"),
        ("5xx", "503", 503, "upstream_overloaded"),
        ("5xx", "reset", 502, "upstream_error"),
        ("timeout", "504", 504, "upstream_timeout"),
        ("timeout", "hang", 504, "upstream_timeout"),
        ("content_filter", "filter", 400, "content_filter"),
    ];
    for words in [
        &["5xx", "timeout", "content_filter"][..],
        &["timeout", "content_filter"],
        &["5xx", "content_filter"],
        &["5xx", "timeout"],
        &[],
    ] {
        let sim = sim().await;
        let deployments = faults.map(|(_, fault, ..)| {
            let [primary, second] = pair(&group(fault), fault);
            // Only what hangs has to be fast: the others may take their time on a busy machine.
            let timeout = if fault == "hang" {
                "timeout: 0.1"
            } else {
                "timeout: 30"
            };
            [primary.param(timeout), second]
        });
        let list = words.join(", ");
        let settings = format!("router_settings: {{retry_on: [{list}]}}");
        let gateway = Gateway::start(&sim, &config(&deployments.concat(), &settings)).await;
        for (word, fault, status, code) in faults {
            let response = gateway.ask(&group(fault), false).await;
            let case = format!("{fault} under [{list}]: {}", response.text());
            assert_eq!(
                calls(&sim, &format!("gpt-4o+{fault}")),
                1,
                "asked once: {case}"
            );
            if words.contains(&word) {
                assert_eq!(response.status, 200, "{case}");
                assert_eq!(
                    response.header("x-backstop-deployment"),
                    format!("{}-second", group(fault)),
                    "{case}"
                );
            } else {
                assert_eq!(
                    (response.status.as_u16(), &*response.code()),
                    (status, code),
                    "{case}"
                );
                assert_eq!(response.header("x-backstop-attempts"), "1", "{case}");
            }
        }
    }
}

#[tokio::test]
async fn retry_on_without_content_filter_hands_on_a_verdict_in_a_200() {
    let sim = sim().await;
    let settings = "router_settings: {retry_on: [5xx, timeout]}";
    let gateway = Gateway::start(&sim, &config(&pair("smart", "filter200"), settings)).await;
    let response = gateway.ask("smart", false).await;
    assert_eq!(response.status, 200);
    assert_eq!(
        response.json()["choices"][0]["finish_reason"],
        "content_filter"
    );
    assert_eq!(response.header("x-backstop-deployment"), "smart-primary");
    assert_eq!(calls(&sim, "claude"), 0);
}

#[tokio::test]
async fn num_retries_counts_repeats() {
    let sim = sim().await;
    for (retries, key) in [
        (2, ""),
        (0, "num_retries: 0"),
        (1, "num_retries: 1"),
        (4, "num_retries: 4"),
    ] {
        sim.journal().clear();
        let settings =
            format!("router_settings: {{retry_after: 0.001, disable_cooldowns: true, {key}}}");
        let alone = deployment("smart", "openai/gpt-4o+500");
        let gateway = Gateway::start(&sim, &config(&[alone], &settings)).await;
        let response = gateway.ask("smart", false).await;
        assert_eq!(
            (response.status.as_u16(), &*response.code()),
            (502, "upstream_error")
        );
        assert_eq!(calls(&sim, "gpt-4o"), 1 + retries, "{key}");
        assert_eq!(
            response.header("x-backstop-attempts"),
            (1 + retries).to_string()
        );
        assert_eq!(response.header("x-backstop-retries"), retries.to_string());
    }
}

#[tokio::test]
async fn num_retries_is_summed_over_the_request() {
    let sim = sim().await;
    let deployments = [
        "openai/gpt-4o+429",
        "anthropic/claude-sonnet-4-6+429",
        "openai/gpt-4.1+429",
    ];
    let deployments = deployments.map(|model| deployment("smart", model));
    let settings = "router_settings: {retry_after: 0.001, num_retries: 3}";
    let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
    let response = gateway.ask("smart", false).await;
    assert_eq!(
        (response.status.as_u16(), &*response.code()),
        (503, "all_deployments_failed")
    );
    assert_eq!(
        ["gpt-4o", "claude", "gpt-4.1"].map(|model| calls(&sim, model)),
        [4, 1, 1],
        "layers do not multiply their repeats"
    );
    assert_eq!(response.header("x-backstop-retries"), "3");
    assert_eq!(response.header("x-backstop-fallbacks"), "2");
}

#[tokio::test]
async fn retry_after_is_the_base_of_a_backoff_that_doubles() {
    let sim = sim().await;
    for base_ms in [0.0, 10.0] {
        let base = base_ms / 1000.0;
        let settings = format!(
            "router_settings: {{retry_after: {base}, num_retries: 4, disable_cooldowns: true}}"
        );
        let alone = deployment("smart", "openai/gpt-4o+500");
        let gateway = Gateway::start(&sim, &config(&[alone], &settings)).await;
        gateway.ask("smart", false).await;
        let record = &gateway.records(1).await[0];
        assert_eq!(record["retry_count"], 4);
        assert!(
            each(record, "next_action")[..4]
                .iter()
                .all(|action| *action == "retry"),
            "{record}"
        );
        assert!(
            each(record, "retry_reason")[1..]
                .iter()
                .all(|reason| *reason == "server_error"),
            "{record}"
        );
        let delays: Vec<f64> = each(record, "delay_ms")[1..]
            .iter()
            .map(|delay| delay.as_f64().expect("a delay"))
            .collect();
        for (repeat, delay) in delays.iter().enumerate() {
            let longest = base_ms * f64::from(1 << repeat);
            assert!((0.0..=longest).contains(delay), "{delays:?} from {base_ms}");
        }
        // Drawn from a continuous range, four times.
        assert_eq!(
            delays.iter().any(|delay| *delay > 0.0),
            base_ms > 0.0,
            "{delays:?}"
        );
    }
}

#[tokio::test]
async fn a_hint_within_patience_is_waited_for() {
    let sim = sim().await;
    let gateway = Gateway::start(
        &sim,
        &config(
            &pair("smart", "429=0.05+first=1"),
            "router_settings: {patience: 0.2}",
        ),
    )
    .await;
    let response = gateway.ask("smart", false).await;
    assert_eq!(response.header("x-backstop-deployment"), "smart-primary");
    assert_eq!((calls(&sim, "gpt-4o"), calls(&sim, "claude")), (2, 0));
    let record = gateway.record(response.request_id()).await;
    assert_eq!(each(&record, "result"), ["rate_limit", "ok"]);
    let delay = record["attempts"][1]["delay_ms"].as_f64().expect("a delay");
    assert!(delay >= 50.0, "not before the hint is over: {record}");
}

#[tokio::test]
async fn a_hint_beyond_patience_moves_on_and_rests_the_deployment() {
    let sim = sim().await;
    let gateway = Gateway::start(
        &sim,
        &config(
            &pair("smart", "429=30+first=1"),
            "router_settings: {patience: 0.2}",
        ),
    )
    .await;
    for _ in 0..2 {
        let response = gateway.ask("smart", false).await;
        assert_eq!(response.header("x-backstop-deployment"), "smart-second");
        assert_eq!(response.header("x-backstop-retries"), "0");
    }
    assert_eq!((calls(&sim, "gpt-4o"), calls(&sim, "claude")), (1, 2));
    let records = gateway.records(2).await;
    assert_eq!(each(&records[0], "next_action"), ["fallback", "done"]);
    assert_eq!(records[1]["skipped"][0]["deployment"], "smart-primary");
    assert_eq!(records[1]["skipped"][0]["reason"], "cooling");
}

#[tokio::test]
async fn no_patience_never_waits() {
    let sim = sim().await;
    let gateway = Gateway::start(
        &sim,
        &config(
            &pair("smart", "429=0.05+first=1"),
            "router_settings: {patience: 0}",
        ),
    )
    .await;
    let response = gateway.ask("smart", false).await;
    assert_eq!(response.header("x-backstop-deployment"), "smart-second");
    assert_eq!((calls(&sim, "gpt-4o"), calls(&sim, "claude")), (1, 1));
}
