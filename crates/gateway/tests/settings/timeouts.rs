//! How long anybody may take.

use crate::support::{Deployment, Gateway, config, deployment, sim};
use crate::{calls, each, pair};

#[tokio::test]
async fn timeout_bounds_an_attempt_of_any_deployment() {
    let sim = sim().await;
    for (stream, fault) in [
        (false, "hang"),
        (true, "hang"),
        (true, "stall=0"),
        (false, "stall=0"),
    ] {
        let [primary, second] = pair("smart", fault);
        let settings = "router_settings: {timeout: 0.1}";
        let deployments = [primary, second.param("timeout: 30")];
        let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
        let response = gateway.ask("smart", stream).await;
        assert_eq!(
            response.header("x-backstop-deployment"),
            "smart-second",
            "{fault}, streamed: {stream}"
        );
        assert_eq!(response.answer().finish, ["stop"]);
        let record = gateway.record(response.request_id()).await;
        assert_eq!(each(&record, "result"), ["timeout", "ok"]);
    }
}

#[tokio::test]
async fn a_deployment_has_a_timeout_of_its_own() {
    let sim = sim().await;
    let [hanging, second] = pair("shorter", "hang");
    let patient = deployment("longer", "openai/gpt-4o+latency=150")
        .id("longer")
        .param("timeout: 30");
    let deployments = [hanging.param("timeout: 0.1"), second, patient];
    let gateway = Gateway::start(
        &sim,
        &config(&deployments, "router_settings: {num_retries: 0}"),
    )
    .await;
    assert_eq!(
        gateway
            .ask("shorter", false)
            .await
            .header("x-backstop-deployment"),
        "shorter-second"
    );

    let gateway = Gateway::start(
        &sim,
        &config(&deployments, "router_settings: {timeout: 0.05}"),
    )
    .await;
    let response = gateway.ask("longer", false).await;
    assert_eq!(
        response.header("x-backstop-deployment"),
        "longer",
        "{}",
        response.text()
    );
}

#[tokio::test]
async fn stream_timeout_ends_a_stream_that_stalls_with_a_typed_error() {
    let sim = sim().await;
    let stalling = || deployment("smart", "openai/gpt-4o+stall=3");
    for (deployment, settings) in [
        (stalling(), "router_settings: {stream_timeout: 0.1}"),
        (stalling().param("stream_timeout: 0.1"), ""),
        (
            stalling().param("stream_timeout: 0.1"),
            "router_settings: {stream_timeout: 30}",
        ),
    ] {
        let gateway = Gateway::start(&sim, &config(&[deployment], settings)).await;
        let stream = gateway.ask("smart", true).await;
        let answer = stream.answer();
        assert_eq!(answer.error.expect("an error")["code"], "upstream_timeout");
        assert!(answer.finish.is_empty(), "it does not look complete");
        let whole = backstop_sim::text("gpt-4o+stall=3");
        assert!(
            !answer.text.is_empty() && whole.starts_with(&answer.text),
            "what had come stays"
        );
        let record = gateway.record(stream.request_id()).await;
        assert_eq!(record["outcome"], "upstream_error");
        // Whoever else was to go on with it stalled as well.
        let results = each(&record, "result");
        assert!(
            results.iter().all(|result| *result == "timeout"),
            "{record}"
        );
    }
}

#[tokio::test]
async fn pings_count_as_life() {
    let sim = sim().await;
    let slow = |ping: &str| -> Deployment {
        let model = format!("openai/gpt-4o+slow=400+tokens=2{ping}");
        deployment("smart", &model).param("stream_timeout: 0.2")
    };
    let gateway = Gateway::start(&sim, &config(&[slow("+ping=20")], "")).await;
    let answer = gateway.ask("smart", true).await.answer();
    assert_eq!(answer.error, None);
    assert_eq!(answer.text, backstop_sim::text("gpt-4o+tokens=2"));

    let gateway = Gateway::start(&sim, &config(&[slow("")], "")).await;
    let answer = gateway.ask("smart", true).await.answer();
    assert_eq!(
        answer.error.expect("silence is none")["code"],
        "upstream_timeout"
    );
}

#[tokio::test]
async fn an_attempt_gets_its_share_of_the_deadline() {
    let sim = sim().await;
    let gateway = Gateway::start(
        &sim,
        &config(&pair("smart", "hang"), "router_settings: {deadline: 0.8}"),
    )
    .await;
    let response = gateway.ask("smart", false).await;
    assert_eq!(
        response.header("x-backstop-deployment"),
        "smart-second",
        "the first leaves time for the second: {}",
        response.text()
    );
}

#[tokio::test]
async fn a_deadline_ends_the_whole_chain() {
    let sim = sim().await;
    let chain = ["openai/gpt-4o+hang", "anthropic/claude-sonnet-4-6+hang"]
        .map(|model| deployment("smart", model));
    let alone = deployment("alone", "openai/gpt-4.1+latency=1000");
    let settings = "router_settings: {deadline: 0.2}";
    let gateway = Gateway::start(&sim, &config(&[&chain[..], &[alone]].concat(), settings)).await;

    let response = gateway.ask("smart", false).await;
    assert!((1..=2).contains(&calls(&sim, "gpt-4o")) && calls(&sim, "claude") <= 1);
    let verdict = (response.status.as_u16(), &*response.code());
    assert!(
        [(503, "all_deployments_failed"), (504, "deadline_exceeded")].contains(&verdict),
        "the last one's time ends with the deadline, whichever is noticed first: {verdict:?}"
    );
    assert_eq!(
        response.header("x-should-retry"),
        "false",
        "nobody knows when it would help"
    );

    let response = gateway.ask("alone", false).await;
    let verdict = (response.status.as_u16(), &*response.code());
    assert!(
        [(504, "upstream_timeout"), (504, "deadline_exceeded")].contains(&verdict),
        "{verdict:?}"
    );
}
