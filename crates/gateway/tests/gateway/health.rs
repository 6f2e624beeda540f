//! What orchestrators ask.

use http::StatusCode;

use crate::support::{Gateway, Setup, config, deployment, get, sim};

#[tokio::test]
async fn it_is_not_ready_while_every_deployment_rests() {
    let sim = sim().await;
    let gateway = Gateway::start(
        &sim,
        &config(&[deployment("down", "openai/gpt-4o+429=30")], ""),
    )
    .await;
    let ready = gateway.send(get("/health/readiness")).await;
    assert_eq!(
        (ready.status, ready.text()),
        (StatusCode::OK, r#"{"status":"ok"}"#)
    );

    assert_eq!(
        gateway.ask("down", false).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    let resting = gateway.send(get("/health/readiness")).await;
    assert_eq!(resting.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        resting.json()["reason"]
            .as_str()
            .expect("a reason")
            .contains("resting")
    );
    assert_eq!(
        gateway.send(get("/health/liveness")).await.status,
        StatusCode::OK,
        "it lives all the same"
    );
}

#[tokio::test]
async fn it_is_not_ready_while_it_refuses_what_it_cannot_record() {
    let sim = sim().await;
    let text = config(
        &[deployment("smart", "openai/gpt-4o")],
        "audit: {on_failure: reject}",
    );
    // No file may grow.
    let gateway = Setup::limited("trap '' XFSZ; ulimit -f 0", &text)
        .before(&sim)
        .start()
        .await;
    // The first request has its slot before anybody can know.
    assert_eq!(gateway.ask("smart", false).await.status, StatusCode::OK);
    gateway.logged(&["ERROR", "audit"]).await;

    let refused = gateway.ask("smart", false).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "audit_unavailable")
    );
    assert!(!refused.request_id().is_empty());
    let ready = gateway.send(get("/health/readiness")).await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        ready.json()["reason"]
            .as_str()
            .expect("a reason")
            .contains("audit")
    );
    assert_eq!(
        sim.journal().entries().len(),
        1,
        "what cannot be recorded is not sent"
    );
}
