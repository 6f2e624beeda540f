//! Where records go, when they are there, and what happens if they cannot be written.

use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::Value;

use crate::support::{Gateway, Setup, config, deployment, get, sim};

/// The lines of all files in a folder of the gateway's.
fn lines(gateway: &std::path::Path) -> Vec<Value> {
    let files = std::fs::read_dir(gateway).expect("a folder");
    let texts =
        files.map(|file| std::fs::read_to_string(file.expect("readable").path()).expect("text"));
    texts
        .flat_map(|text| {
            text.lines()
                .map(|line| serde_json::from_str(line).expect("JSON"))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[tokio::test]
async fn dir_is_where_records_go() {
    let sim = sim().await;
    let config = config(
        &[deployment("smart", "openai/gpt-4o")],
        "audit: {dir: ./some/where}",
    );
    let gateway = Gateway::start(&sim, &config).await;
    let response = gateway.ask("smart", false).await;
    let finished = gateway.stop().await;
    let records = lines(&finished.dir.path().join("some/where"));
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["request_id"], response.request_id());
    assert!(!finished.dir.path().join("backstop-audit").exists());
}

#[tokio::test]
async fn mode_sync_has_the_record_before_the_answer_ends() {
    let sim = sim().await;
    let config = config(
        &[deployment("smart", "openai/gpt-4o")],
        "audit: {mode: sync}",
    );
    let gateway = Gateway::start(&sim, &config).await;
    for n in 1..=20 {
        gateway.ask("smart", n % 2 == 0).await;
        assert_eq!(
            lines(&gateway.path("backstop-audit")).len(),
            n,
            "without waiting"
        );
    }
}

#[tokio::test]
async fn modes_group_and_async_lose_nothing_either() {
    let sim = sim().await;
    for mode in ["group", "async"] {
        let config = config(
            &[deployment("smart", "openai/gpt-4o")],
            &format!("audit: {{mode: {mode}}}"),
        );
        let gateway = Gateway::start(&sim, &config).await;
        for n in 0..5 {
            gateway.ask("smart", n % 2 == 0).await;
        }
        assert_eq!(gateway.stop().await.records().len(), 5, "{mode}");
    }
}

/// A file that reaches its limit is an error then, not the end of the process.
const NO_SIGNAL: &str = "trap '' XFSZ";

/// Sets how large a file the gateway may write: nothing fails like a full disk, but this can be taken back.
fn limit_files(gateway: &Gateway, bytes: Option<u64>) {
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(Some(gateway.pid()), Resource::Fsize, limit).expect("it is our own child");
}

#[tokio::test]
async fn on_failure_reject_refuses_until_records_can_be_written() {
    let sim = sim().await;
    let config = config(
        &[deployment("smart", "openai/gpt-4o")],
        "audit: {on_failure: reject}",
    );
    let gateway = Setup::limited(NO_SIGNAL, &config)
        .before(&sim)
        .start()
        .await;
    limit_files(&gateway, Some(0));
    assert_eq!(
        gateway.ask("smart", false).await.status,
        200,
        "nobody knows yet"
    );
    gateway
        .logged(&["ERROR", "audit records cannot be written"])
        .await;

    let asked = sim.journal().entries().len();
    let response = gateway.ask("smart", false).await;
    assert_eq!(
        (response.status.as_u16(), &*response.code()),
        (503, "audit_unavailable")
    );
    assert_eq!(sim.journal().entries().len(), asked, "it is not served");
    assert_eq!(gateway.send(get("/health/readiness")).await.status, 503);

    limit_files(&gateway, None);
    gateway.logged(&["audit records are written again"]).await;
    assert_eq!(gateway.ask("smart", false).await.status, 200);
    assert_eq!(gateway.send(get("/health/readiness")).await.status, 200);
    assert_eq!(
        gateway.stop().await.records().len(),
        2,
        "of each that was served"
    );
}

#[tokio::test]
async fn on_failure_degrade_serves_and_tells_of_the_gap() {
    let sim = sim().await;
    for settings in ["", "audit: {on_failure: degrade}"] {
        let config = config(&[deployment("smart", "openai/gpt-4o")], settings);
        let gateway = Setup::limited(NO_SIGNAL, &config)
            .before(&sim)
            .start()
            .await;
        limit_files(&gateway, Some(0));
        assert_eq!(gateway.ask("smart", false).await.status, 200);
        gateway
            .logged(&["ERROR", "audit records cannot be written"])
            .await;
        assert_eq!(gateway.ask("smart", false).await.status, 200, "{settings}");
        assert_eq!(gateway.send(get("/health/readiness")).await.status, 200);

        limit_files(&gateway, None);
        let finished = gateway.stop().await;
        let records = finished.records();
        assert_eq!(records.len(), 1, "{records:?}");
        assert_eq!(records[0]["gap"]["dropped"], 2, "{records:?}");
    }
}
