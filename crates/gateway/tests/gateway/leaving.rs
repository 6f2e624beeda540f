//! Clients that leave before their answer has ended.

use std::time::Duration;

use backstop_sim::{Progress, Sim};
use http::StatusCode;
use serde_json::json;

use crate::support::{Client, Deployment, Gateway, ask, config, deployment, sim, within};

async fn gateway(first: Deployment, more: &str) -> (Sim, Gateway) {
    let sim = sim().await;
    let gateway = Gateway::start(
        &sim,
        &config(&[first, deployment("other", "openai/gpt-4o")], more),
    )
    .await;
    (sim, gateway)
}

/// The one record so far says that the client left, and the gateway goes on.
async fn assert_cancelled(gateway: &Gateway, attempts: u32) {
    let record = &gateway.records(1).await[0];
    assert_eq!(record["outcome"], "cancelled", "{record}");
    assert_eq!(record["attempt_count"], attempts, "{record}");
    assert_eq!(record["deployment"], json!(null), "nobody served");
    assert_eq!(gateway.ask("other", false).await.status, StatusCode::OK);
}

#[tokio::test]
async fn before_the_head() {
    for stream in [false, true] {
        let (sim, gateway) = gateway(deployment("smart", "openai/gpt-4o+hang"), "").await;
        let mut client = Client::connect(gateway.addr()).await;
        let answer = client.begin(ask("smart", stream)).await;
        within("the request upstream", sim.journal().wait_for(1, |_| true)).await;
        drop((answer, client));
        let gone = sim
            .journal()
            .wait_for(1, |entry| entry.progress == Progress::ClientGone);
        within("the upstream request is given up", gone).await;
        assert_cancelled(&gateway, 1).await;
    }
}

#[tokio::test]
async fn while_a_repeat_is_held_back() {
    let (sim, gateway) = gateway(
        deployment("smart", "openai/gpt-4o+429=20"),
        "router_settings: {patience: 100, deadline: 500, timeout: 400}",
    )
    .await;
    let mut client = Client::connect(gateway.addr()).await;
    let answer = client.begin(ask("smart", false)).await;
    let refused = sim
        .journal()
        .wait_for(1, |entry| entry.progress == Progress::Finished);
    within("the first attempt's end", refused).await;
    drop((answer, client));
    assert_cancelled(&gateway, 1).await;
    let asked = sim
        .journal()
        .entries()
        .iter()
        .filter(|entry| entry.model.contains("429"))
        .count();
    assert_eq!(asked, 1, "nobody is there for a second attempt");
}

#[tokio::test]
async fn in_the_middle_of_a_stream() {
    let (sim, gateway) = gateway(deployment("smart", "openai/gpt-4o+stall=3"), "").await;
    let mut client = Client::connect(gateway.addr()).await;
    let mut stream = client.start(ask("smart", true)).await;
    assert_eq!(stream.status(), StatusCode::OK);
    assert!(stream.next().await.is_some());
    drop((stream, client));
    let gone = sim
        .journal()
        .wait_for(1, |entry| entry.progress == Progress::ClientGone);
    within("the upstream request is given up", gone).await;
    assert_cancelled(&gateway, 1).await;
}

#[tokio::test]
async fn in_the_middle_of_its_own_request() {
    use tokio::io::AsyncWriteExt;
    let (sim, gateway) = gateway(deployment("smart", "openai/gpt-4o"), "").await;
    let mut stream = tokio::net::TcpStream::connect(gateway.addr())
        .await
        .expect("it listens");
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-length: 100\r\n\r\n{\"model\"";
    stream.write_all(head.as_bytes()).await.expect("sent");
    drop(stream);
    let record = &gateway.records(1).await[0];
    assert!(
        ["cancelled", "client_error"].contains(&record["outcome"].as_str().expect("text")),
        "{record}"
    );
    assert!(sim.journal().entries().is_empty());
    assert_eq!(gateway.ask("other", false).await.status, StatusCode::OK);
}

#[tokio::test]
async fn many_at_once_leave_nothing_open() {
    let (sim, gateway) = gateway(deployment("smart", "openai/gpt-4o+hang"), "").await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = Client::connect(gateway.addr()).await;
        let answer = client.begin(ask("smart", true)).await;
        clients.push((answer, client));
    }
    within("all of them upstream", sim.journal().wait_for(50, |_| true)).await;
    drop(clients);
    let gone = sim
        .journal()
        .wait_for(50, |entry| entry.progress == Progress::ClientGone);
    within("all of them given up", gone).await;
    let records = gateway.records(50).await;
    assert!(
        records
            .iter()
            .all(|record| record["outcome"] == "cancelled")
    );
    // With nothing under way, the end has nothing to wait for.
    let stop = tokio::time::timeout(Duration::from_secs(20), gateway.stop());
    assert_eq!(stop.await.expect("at once").status.code(), Some(0));
}
