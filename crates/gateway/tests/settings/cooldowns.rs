//! When a deployment rests, and for how long.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::support::{Gateway, config, deployment, sim};
use crate::{calls, each, pair};

fn moment(value: &Value) -> Timestamp {
    value.as_str().expect("a moment").parse().expect("RFC 3339")
}

#[tokio::test]
async fn cooldown_time_is_how_long_a_deployment_rests() {
    let sim = sim().await;
    let [primary, second] = pair("own", "500");
    let deployments = [
        pair("usual", "503"),
        [primary.info("cooldown_time: 20"), second],
    ]
    .concat();
    let settings = "router_settings: {cooldown_time: 50, allowed_fails: 0}";
    let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
    for (group, seconds) in [("usual", 50), ("own", 20)] {
        let opening = gateway.ask(group, false).await;
        let skipping = gateway.ask(group, false).await;
        let opening = gateway.record(opening.request_id()).await;
        let skipping = gateway.record(skipping.request_id()).await;
        assert_eq!(
            skipping["skipped"][0]["deployment"],
            format!("{group}-primary")
        );
        // It opened between both, and jitter adds a fifth at the most.
        let until = moment(&skipping["skipped"][0]["until"]);
        assert!(
            until >= moment(&opening["ts"]) + SignedDuration::from_secs(seconds),
            "{opening}{skipping}"
        );
        let latest = moment(&skipping["ts"]) + SignedDuration::from_millis(seconds * 1200 + 1);
        assert!(until <= latest, "{opening}{skipping}");
    }
}

#[tokio::test]
async fn disable_cooldowns_and_a_cooldown_time_of_zero_skip_nobody() {
    let sim = sim().await;
    for settings in ["disable_cooldowns: true", "cooldown_time: 0"] {
        sim.journal().clear();
        let settings = format!("router_settings: {{allowed_fails: 0, {settings}}}");
        let gateway = Gateway::start(&sim, &config(&pair("smart", "500"), &settings)).await;
        for _ in 0..12 {
            assert_eq!(gateway.ask("smart", false).await.status, 200);
        }
        assert_eq!(calls(&sim, "gpt-4o"), 12, "{settings}");
    }
}

#[tokio::test]
async fn allowed_fails_is_how_many_are_tolerated() {
    let sim = sim().await;
    let [primary, second] = pair("own", "500");
    let deployments = [
        pair("usual", "500+tokens=9"),
        [primary.info("allowed_fails: 4"), second],
    ]
    .concat();
    for (settings, tolerated) in [
        ("", 3),
        ("router_settings: {allowed_fails: 1}", 1),
        ("router_settings: {allowed_fails: 0}", 0),
    ] {
        sim.journal().clear();
        let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
        for _ in 0..7 {
            for group in ["usual", "own"] {
                assert_eq!(gateway.ask(group, false).await.status, 200);
            }
        }
        let called = |model: &str| {
            sim.journal()
                .entries()
                .iter()
                .filter(|entry| entry.model == model)
                .count()
        };
        assert_eq!(called("gpt-4o+500+tokens=9"), 1 + tolerated, "{settings}");
        assert_eq!(called("gpt-4o+500"), 1 + 4, "{settings}");
    }
}

#[tokio::test]
async fn auth_error_next_asks_the_next_deployment() {
    let sim = sim().await;
    for settings in ["", "router_settings: {auth_error: next}"] {
        sim.journal().clear();
        let gateway = Gateway::start(&sim, &config(&pair("smart", "401"), settings)).await;
        let responses = [
            gateway.ask("smart", false).await,
            gateway.ask("smart", true).await,
        ];
        for response in &responses {
            assert_eq!(response.header("x-backstop-deployment"), "smart-second");
        }
        assert_eq!(
            calls(&sim, "gpt-4o"),
            1,
            "a key that was rejected is not tried again"
        );
        let first = gateway.record(responses[0].request_id()).await;
        assert_eq!(each(&first, "result"), ["auth", "ok"]);
        assert_eq!(each(&first, "http_status"), [401, 200]);
    }
}

#[tokio::test]
async fn auth_error_surface_tells_every_caller_the_same_after_one_call() {
    let sim = sim().await;
    let settings = "router_settings: {auth_error: surface}";
    let alone = deployment("alone", "openai/gpt-4.1+401").param("api_key: sk-other");
    let deployments = [&pair("smart", "401")[..], &[alone]].concat();
    let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
    for (group, model) in [("smart", "gpt-4o"), ("alone", "gpt-4.1")] {
        for _ in 0..3 {
            let response = gateway.ask(group, false).await;
            assert_eq!(
                (response.status.as_u16(), &*response.code()),
                (502, "upstream_auth_failed"),
                "{group}"
            );
            assert_eq!(
                response.header("x-should-retry"),
                "false",
                "{group}: {:?}",
                response.headers
            );
            assert_eq!(response.header("retry-after"), "");
        }
        assert_eq!((calls(&sim, model), calls(&sim, "claude")), (1, 0));
    }
}

#[tokio::test]
async fn a_rejected_key_is_told_though_no_circuit_opens() {
    let sim = sim().await;
    let settings = "router_settings: {cooldown_time: 0}";
    let gateway = Gateway::start(&sim, &config(&pair("smart", "401"), settings)).await;
    assert_eq!(gateway.ask("smart", false).await.status, 200);
    gateway
        .logged(&["WARN", "key rejected", "deployment="])
        .await;
}
