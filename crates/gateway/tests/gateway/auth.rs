//! Client keys.

use http::{HeaderName, HeaderValue, StatusCode};

use crate::support::{Gateway, ask, config, deployment, get, sim};

#[tokio::test]
async fn only_who_shows_the_key_is_served() {
    let sim = sim().await;
    let text = config(
        &[deployment("smart", "openai/gpt-4o")],
        "general_settings: {master_key: sk-master}",
    );
    let gateway = Gateway::start(&sim, &text).await;
    let with = |name: &'static str, value: &'static str| {
        let mut request = ask("smart", false);
        request.headers_mut().insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        request
    };

    for (name, value) in [
        ("authorization", "Bearer sk-master"),
        ("x-api-key", "sk-master"),
        ("api-key", "sk-master"),
    ] {
        assert_eq!(
            gateway.send(with(name, value)).await.status,
            StatusCode::OK,
            "{name}"
        );
    }
    for request in [
        ask("smart", false),
        with("authorization", "Bearer sk-other"),
        with("x-api-key", ""),
    ] {
        let refused = gateway.send(request).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert_eq!(refused.code(), "invalid_api_key");
        assert_eq!(refused.header("x-should-retry"), "false");
        assert_eq!(refused.header("www-authenticate"), "Bearer");
        let record = gateway.record(refused.request_id()).await;
        assert_eq!(record["outcome"], "rejected_auth");
        assert_eq!(record["http_status"], 401);
        assert_eq!(record["attempt_count"], 0);
    }
    assert_eq!(
        sim.journal().entries().len(),
        3,
        "nothing is sent for strangers"
    );
    let keys: Vec<_> = gateway
        .records(6)
        .await
        .iter()
        .map(|record| record["key_id"].clone())
        .collect();
    assert_eq!(keys.iter().filter(|id| *id == "master").count(), 3);

    for path in ["/v1/models", "/models", "/v1/models/smart"] {
        let refused = gateway.send(get(path)).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (StatusCode::UNAUTHORIZED, "invalid_api_key"),
            "{path}"
        );
    }
    for path in ["/health/liveness", "/health/readiness"] {
        assert_eq!(
            gateway.send(get(path)).await.status,
            StatusCode::OK,
            "probes have no key: {path}"
        );
    }
}

#[tokio::test]
async fn a_clients_key_is_not_handed_on() {
    let sim = sim().await;
    let text = config(
        &[deployment("smart", "openai/gpt-4o").param("api_key: sk-bad")],
        "general_settings: {master_key: sk-master}",
    );
    let gateway = Gateway::start(&sim, &text).await;
    let mut request = ask("smart", false);
    request.headers_mut().insert(
        "authorization",
        HeaderValue::from_static("Bearer sk-master"),
    );
    let answer = gateway.send(request).await;
    // The simulator refuses keys with `bad` in them, and would have taken the client's.
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (StatusCode::BAD_GATEWAY, "upstream_auth_failed")
    );
}
