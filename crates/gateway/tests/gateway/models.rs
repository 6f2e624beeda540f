//! The names that can be asked for.

use http::StatusCode;
use serde_json::Value;

use crate::support::{Gateway, config, deployment, get, request, sim};

#[tokio::test]
async fn each_model_is_listed_once_and_found_by_name() {
    let sim = sim().await;
    let deployments = [
        deployment("smart/balanced", "openai/gpt-4o"),
        deployment("smart/balanced", "anthropic/claude-sonnet-4-6"),
        deployment("fast", "openai/gpt-4o-mini"),
    ];
    let gateway = Gateway::start(&sim, &config(&deployments, "")).await;
    for path in ["/v1/models", "/models"] {
        let list = gateway.send(get(path)).await;
        assert_eq!(list.status, StatusCode::OK);
        assert!(!list.request_id().is_empty());
        let list = list.json();
        assert_eq!(list["object"], "list");
        let ids: Vec<&Value> = list["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|model| &model["id"])
            .collect();
        assert_eq!(ids, ["fast", "smart/balanced"]);
        assert!(list["data"][0]["created"].is_u64());
    }
    for path in [
        "/v1/models/smart/balanced",
        "/v1/models/smart%2Fbalanced",
        "/models/smart/balanced",
    ] {
        let model = gateway.send(get(path)).await.json();
        assert_eq!(model["id"], "smart/balanced", "{path}");
        assert_eq!(model["object"], "model");
    }
    let unknown = gateway.send(get("/v1/models/smarter")).await;
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (StatusCode::NOT_FOUND, "model_not_found")
    );
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_in_the_same_format() {
    let sim = sim().await;
    let gateway = Gateway::start(&sim, &config(&[deployment("smart", "openai/gpt-4o")], "")).await;
    for (method, path, status, code) in [
        ("GET", "/", StatusCode::NOT_FOUND, "unknown_url"),
        (
            "POST",
            "/v1/completions",
            StatusCode::NOT_FOUND,
            "unknown_url",
        ),
        ("GET", "/v1/models/", StatusCode::NOT_FOUND, "unknown_url"),
        (
            "GET",
            "/v1/chat/completions",
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
        ),
        (
            "DELETE",
            "/v1/models",
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
        ),
        (
            "POST",
            "/v1/models/smart",
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
        ),
    ] {
        let refused = gateway.send(request(method, path, "")).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (status, code),
            "{method} {path}"
        );
        assert!(!refused.request_id().is_empty(), "{method} {path}");
    }
    let head = gateway.send(request("HEAD", "/v1/models", "")).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
}
