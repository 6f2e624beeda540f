//! What stands before the chains: who may ask, and what answers tell.

use bytes::Bytes;
use http::Request;
use serde_json::json;

use crate::calls;
use crate::support::{Gateway, Response, Setup, ask, config, deployment, get, sim};

fn with_key(mut request: Request<Bytes>, key: &str) -> Request<Bytes> {
    let value = format!("Bearer {key}").parse().expect("a header");
    request.headers_mut().insert("authorization", value);
    request
}

fn refused(response: &Response) -> bool {
    response.status == 401 && response.code() == "invalid_api_key"
}

#[tokio::test]
async fn master_key_is_asked_of_every_client() {
    let sim = sim().await;
    let deployments = [deployment("smart", "openai/gpt-4o")];
    for value in ["sk-master", "os.environ/ADMIN_KEY", "file:key"] {
        let config = config(
            &deployments,
            &format!("general_settings: {{master_key: '{value}'}}"),
        );
        let gateway = Setup::serve(&config)
            .before(&sim)
            .env("ADMIN_KEY", "sk-master")
            .file("key", "sk-master\n")
            .start()
            .await;
        sim.journal().clear();
        for request in [
            ask("smart", false),
            with_key(ask("smart", true), "sk-wrong"),
            get("/v1/models"),
        ] {
            assert!(refused(&gateway.send(request).await), "{value}");
        }
        assert_eq!(
            calls(&sim, ""),
            0,
            "{value}: nothing is asked for strangers"
        );
        let response = gateway
            .send(with_key(ask("smart", false), "sk-master"))
            .await;
        assert_eq!(response.status, 200, "{value}");
        let record = gateway.record(response.request_id()).await;
        assert_eq!(record["key_id"], "master");
        let outcomes: Vec<_> = gateway
            .records(3)
            .await
            .iter()
            .map(|record| record["outcome"].clone())
            .collect();
        assert_eq!(
            outcomes,
            ["rejected_auth", "rejected_auth", "ok"],
            "{value}"
        );
        let finished = gateway.stop().await;
        assert!(
            !finished.stderr.contains("sk-master"),
            "{}",
            finished.stderr
        );
    }
}

#[tokio::test]
async fn without_a_master_key_nobody_is_asked_for_one() {
    let sim = sim().await;
    let gateway = Gateway::start(&sim, &config(&[deployment("smart", "openai/gpt-4o")], "")).await;
    let response = gateway.ask("smart", false).await;
    assert_eq!(response.status, 200);
    assert!(gateway.record(response.request_id()).await["key_id"].is_null());
}

#[tokio::test]
async fn expose_attempts_lists_them_in_errors() {
    let sim = sim().await;
    let deployments = [
        deployment("smart", "openai/gpt-4o+500").id("primary"),
        deployment("smart", "anthropic/claude-sonnet-4-6+529").id("second"),
    ];
    for (settings, exposed) in [
        ("", false),
        ("general_settings: {expose_attempts: false}", false),
        ("general_settings: {expose_attempts: true}", true),
    ] {
        let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
        let response = gateway.ask("smart", false).await;
        assert_eq!(response.code(), "all_deployments_failed");
        let attempts = response.json()["error"]["backstop"]["attempts"].clone();
        let expected = json!([
            {"deployment": "primary", "provider": "openai", "failure": "server_error", "status": 500},
            {"deployment": "second", "provider": "anthropic", "failure": "overloaded", "status": 529},
        ]);
        assert_eq!(
            attempts,
            if exposed { expected } else { json!(null) },
            "{settings}"
        );
        if !exposed {
            for infrastructure in [
                "primary",
                "second",
                "openai",
                "anthropic",
                "gpt-4o",
                "claude",
            ] {
                assert!(
                    !response.text().contains(infrastructure),
                    "{}",
                    response.text()
                );
            }
        }
    }
}

#[tokio::test]
async fn expose_served_by_names_who_served() {
    const NAMES: [&str; 6] = [
        "x-backstop-deployment",
        "x-backstop-provider",
        "x-backstop-model",
        "x-backstop-region",
        "x-litellm-model-id",
        "x-backstop-upstream-request-id",
    ];
    let sim = sim().await;
    let deployments = [deployment("smart", "bedrock/anthropic.claude-sonnet-4-6").id("primary")];
    for (settings, exposed) in [
        ("", true),
        ("general_settings: {expose_served_by: true}", true),
        ("general_settings: {expose_served_by: false}", false),
    ] {
        let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
        for stream in [false, true] {
            let response = gateway.ask("smart", stream).await;
            assert_eq!(response.status, 200);
            for name in NAMES {
                assert_eq!(
                    response.headers.contains_key(name),
                    exposed,
                    "{name}: {settings}"
                );
            }
            assert_eq!(
                response.header("x-backstop-attempts"),
                "1",
                "counts are always told"
            );
        }
    }
}
