//! Keys that are rotated, and configurations that are exchanged, under a running gateway.

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use rustix::process::Signal;

use crate::support::{Gateway, Setup, ask, config, deployment, get, sim};

fn with_key(key: &str) -> Request<Bytes> {
    let mut request = ask("smart", false);
    let value = HeaderValue::from_str(&format!("Bearer {key}")).expect("visible ASCII");
    request.headers_mut().insert("authorization", value);
    request
}

async fn status(gateway: &Gateway, key: &str) -> StatusCode {
    gateway.send(with_key(key)).await.status
}

#[tokio::test]
async fn a_providers_key_is_read_again_when_its_file_changes() {
    let sim = sim().await;
    let text = config(
        &[deployment("smart", "openai/gpt-4o").param("api_key: file:key")],
        "",
    );
    let gateway = Setup::serve(&text)
        .before(&sim)
        .file("key", "sk-bad\n")
        .start()
        .await;
    let refused = gateway.ask("smart", false).await;
    assert_eq!(refused.code(), "upstream_auth_failed");
    assert_eq!(
        gateway.ask("smart", false).await.code(),
        "upstream_auth_failed"
    );
    assert_eq!(
        sim.journal().entries().len(),
        1,
        "the circuit of a rejected key stays open"
    );

    std::fs::write(gateway.path("key"), "sk-good\n").expect("writable");
    gateway
        .logged(&["INFO", "configuration reloaded", "file"])
        .await;
    assert_eq!(
        gateway.ask("smart", false).await.status,
        StatusCode::OK,
        "a new key is a new chance"
    );
}

#[tokio::test]
async fn the_clients_key_is_read_again_and_a_bad_file_changes_nothing() {
    let sim = sim().await;
    let text = config(
        &[deployment("smart", "openai/gpt-4o")],
        "general_settings: {master_key: file:key}",
    );
    let gateway = Setup::serve(&text)
        .before(&sim)
        .file("key", "sk-one")
        .start()
        .await;
    assert_eq!(status(&gateway, "sk-one").await, StatusCode::OK);

    // As secrets are rotated by those who know how: another file under the same name.
    std::fs::write(gateway.path("next"), "sk-two").expect("writable");
    std::fs::rename(gateway.path("next"), gateway.path("key")).expect("writable");
    gateway.logged(&["configuration reloaded"]).await;
    assert_eq!(status(&gateway, "sk-two").await, StatusCode::OK);
    assert_eq!(status(&gateway, "sk-one").await, StatusCode::UNAUTHORIZED);

    std::fs::remove_file(gateway.path("key")).expect("writable");
    gateway
        .logged(&["ERROR", "not reloaded", "backstop.yaml:"])
        .await;
    assert_eq!(
        status(&gateway, "sk-two").await,
        StatusCode::OK,
        "the old key stays in force"
    );
}

#[tokio::test]
async fn sighup_reads_the_configuration_again() {
    let sim = sim().await;
    let text = config(&[deployment("smart", "openai/gpt-4o")], "");
    let gateway = Gateway::start(&sim, &text).await;
    let models = async || {
        let list = gateway.send(get("/v1/models")).await.json();
        let ids = list["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|model| model["id"].to_string());
        ids.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(models().await, "\"smart\"");

    std::fs::write(
        gateway.path("backstop.yaml"),
        text.replace("model_list", "model_lits"),
    )
    .expect("writable");
    gateway.signal(Signal::HUP);
    gateway
        .logged(&[
            "ERROR",
            "not reloaded",
            "SIGHUP",
            "backstop.yaml:1:1",
            "model_list",
        ])
        .await;
    assert_eq!(models().await, "\"smart\"");
    assert_eq!(gateway.ask("smart", false).await.status, StatusCode::OK);

    let text = config(
        &[
            deployment("smart", "openai/gpt-4o+500"),
            deployment("more", "openai/gpt-4o"),
        ],
        "general_settings: {expose_attempts: true}\naudit: off",
    );
    std::fs::write(gateway.path("backstop.yaml"), text).expect("writable");
    gateway.signal(Signal::HUP);
    gateway
        .logged(&["INFO", "configuration reloaded", "SIGHUP"])
        .await;
    assert_eq!(models().await, "\"more\" \"smart\"");
    let failed = gateway.ask("smart", false).await;
    assert_eq!(
        failed.json()["error"]["backstop"]["attempts"][0]["failure"],
        "server_error"
    );
    // What cannot be exchanged is said.
    gateway.logged(&["WARN", "audit", "restart"]).await;
    gateway.record(failed.request_id()).await;
}

#[tokio::test]
async fn a_reload_forgets_no_open_circuit() {
    let sim = sim().await;
    let text = config(&[deployment("smart", "openai/gpt-4o+429=30")], "");
    let gateway = Gateway::start(&sim, &text).await;
    assert_eq!(
        gateway.ask("smart", false).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    gateway.signal(Signal::HUP);
    gateway.logged(&["configuration reloaded"]).await;
    assert_eq!(
        gateway.ask("smart", false).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(sim.journal().entries().len(), 1);
}

#[tokio::test]
async fn a_reload_that_would_let_strangers_in_is_refused() {
    let sim = sim().await;
    let open = config(&[deployment("smart", "openai/gpt-4o")], "");
    let setup = Setup::new(&[
        "serve",
        "--listen",
        "0.0.0.0:0",
        "--config",
        "backstop.yaml",
    ]);
    let setup = setup.before(&sim).file(
        "backstop.yaml",
        &format!("{open}general_settings: {{master_key: sk-one}}\n"),
    );
    let gateway = setup.start().await;
    std::fs::write(gateway.path("backstop.yaml"), &open).expect("writable");
    gateway.signal(Signal::HUP);
    gateway.logged(&["not reloaded", "master_key"]).await;
    assert_eq!(status(&gateway, "sk-other").await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&gateway, "sk-one").await, StatusCode::OK);
}
