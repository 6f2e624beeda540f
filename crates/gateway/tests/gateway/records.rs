//! One record for each chat request, and what it says.

use http::StatusCode;
use serde_json::json;

use crate::support::{Gateway, ask, config, deployment, post, sim};

#[tokio::test]
async fn a_record_tells_what_the_headers_tell() {
    let sim = sim().await;
    let deployments = [
        deployment("smart", "openai/gpt-4o+500").id("first"),
        deployment("smart", "bedrock/us.anthropic.claude-sonnet-4-6").id("second"),
    ];
    let gateway = Gateway::start(&sim, &config(&deployments, "")).await;
    for stream in [false, true] {
        let answer = gateway.ask("smart", stream).await;
        assert_eq!(answer.status, StatusCode::OK);
        let record = gateway.record(answer.request_id()).await;
        for (field, expected) in [
            ("requested_model", json!("smart")),
            ("model", json!("us.anthropic.claude-sonnet-4-6")),
            ("deployment", json!(answer.header("x-backstop-deployment"))),
            ("provider", json!("bedrock")),
            // Not the region that was called: its profile may take the request to any of these.
            ("region", json!("us")),
            ("stream", json!(stream)),
            ("outcome", json!("ok")),
            ("http_status", json!(200)),
            ("attempt_count", json!(2)),
            ("fallback_count", json!(1)),
            ("retry_count", json!(0)),
        ] {
            assert_eq!(record[field], expected, "{field}");
        }
        assert_eq!(answer.header("x-backstop-attempts"), "2");
        assert_eq!(answer.header("x-backstop-fallbacks"), "1");
        assert_eq!(record["attempts"][0]["result"], "server_error");
        assert_eq!(record["attempts"][0]["next_action"], "fallback");
        assert_eq!(record["attempts"][1]["result"], "ok");
        assert!(record["usage"]["output"].as_u64() > Some(0));
        assert!(record["latency_ms"].as_f64() >= record["overhead_ms"].as_f64());
    }
}

#[tokio::test]
async fn refusals_are_recorded_and_nothing_that_was_said() {
    let sim = sim().await;
    let deployments = [
        deployment("smart", "openai/gpt-4o"),
        deployment("down", "openai/gpt-4o+500"),
    ];
    let gateway = Gateway::start(
        &sim,
        &config(&deployments, "router_settings: {num_retries: 0}"),
    )
    .await;
    let said = "a secret of the caller";
    let body =
        json!({"model": "smart", "user": "u-1", "messages": [{"role": "user", "content": said}]});
    let answer = gateway.send(post(body.to_string())).await;
    for (request, outcome, status) in [
        (post("{"), "client_error", 400),
        (ask("unknown", false), "client_error", 404),
        (ask("down", true), "upstream_error", 502),
    ] {
        let refused = gateway.send(request).await;
        let record = gateway.record(refused.request_id()).await;
        assert_eq!(
            (&record["outcome"], &record["http_status"]),
            (&json!(outcome), &json!(status)),
            "{record}"
        );
    }
    let finished = gateway.stop().await;
    let records = finished.records();
    assert_eq!(records.len(), 4, "one record for each request");
    let text = serde_json::to_string(&records).expect("JSON");
    let (first, _) = answer
        .said()
        .split_once(' ')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("words");
    assert!(
        !text.contains(said) && !text.contains(&format!("{first} ")),
        "neither prompt nor completion"
    );
}

#[tokio::test]
async fn no_records_when_they_are_turned_off() {
    let sim = sim().await;
    let text = config(&[deployment("smart", "openai/gpt-4o")], "audit: off");
    let gateway = Gateway::start(&sim, &text).await;
    for stream in [false, true] {
        let answer = gateway.ask("smart", stream).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(!answer.request_id().is_empty());
    }
    let finished = gateway.stop().await;
    assert_eq!(finished.status.code(), Some(0));
    assert!(!finished.dir.path().join("backstop-audit").exists());
}
