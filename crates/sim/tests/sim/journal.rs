//! What the journal tells, and when.

use crate::support::{Broken, Client, PROVIDERS, ask, request, send, sim};
use backstop_sim::Progress;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::net::TcpStream;

#[tokio::test]
async fn requests_are_recorded_as_they_arrived() {
    let sim = sim().await;
    let asked = ask("anthropic", "claude-sonnet-4-6+500", true);
    let body = asked.body().clone();
    send(&sim, asked).await.unwrap();
    send(&sim, ask("bedrock", "a.b-v1:0+tokens=2", true))
        .await
        .unwrap();
    let [first, second] = sim.journal().entries().try_into().unwrap();
    assert_eq!(
        (first.seq, first.provider.name(), first.stream),
        (1, "anthropic", true)
    );
    assert_eq!(
        (&*first.path, &*first.model),
        ("/anthropic/v1/messages", "claude-sonnet-4-6+500")
    );
    assert_eq!(
        (&*first.body, first.content_length),
        (body.as_bytes(), Some(body.len() as u64))
    );
    assert_eq!(
        (first.status, first.progress),
        (Some(500), Progress::Finished)
    );
    assert_eq!(first.json()["max_tokens"], 1000);
    assert_eq!(
        (&*second.model, second.status),
        ("a.b-v1:0+tokens=2", Some(200))
    );

    let over_http = send(&sim, request("GET", "/_sim/requests", ""))
        .await
        .unwrap()
        .json();
    assert_eq!(over_http[0]["body"], *body);
    assert_eq!(over_http[1]["state"], "finished");
    assert!(
        !over_http.to_string().contains("sk-sim"),
        "a key is nowhere in the journal"
    );

    send(&sim, request("DELETE", "/_sim/requests", ""))
        .await
        .unwrap();
    let empty: Value = send(&sim, request("GET", "/_sim/requests", ""))
        .await
        .unwrap()
        .json();
    assert_eq!(empty, Value::Array(Vec::new()));
    send(&sim, ask("openai", "m", false)).await.unwrap();
    assert_eq!(sim.journal().entries()[0].seq, 3, "numbering goes on");
}

#[tokio::test]
async fn a_client_that_leaves_a_hanging_call_is_seen() {
    let sim = sim().await;
    for provider in PROVIDERS {
        let mut client = Client::connect(&sim).await;
        let asked = ask(provider, "m+hang", false);
        let call = tokio::spawn(async move { client.send(asked).await });
        let open = sim
            .journal()
            .wait_for(1, |entry| entry.progress == Progress::Open)
            .await;
        assert_eq!(open[0].status, None);
        call.abort();
        sim.journal()
            .wait_for(1, |entry| {
                entry.seq == open[0].seq && entry.progress == Progress::ClientGone
            })
            .await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_a_stream_is_seen() {
    let sim = sim().await;
    for provider in PROVIDERS {
        let mut client = Client::connect(&sim).await;
        let mut body = client
            .start(ask(provider, "m+stall=2", true))
            .await
            .unwrap()
            .into_body();
        body.frame().await.unwrap().unwrap();
        let [open] = sim
            .journal()
            .wait_for(1, |e| e.progress == Progress::Open)
            .await
            .try_into()
            .unwrap();
        assert_eq!(open.status, Some(200));
        drop((body, client));
        sim.journal()
            .wait_for(1, |e| {
                e.seq == open.seq && e.progress == Progress::ClientGone
            })
            .await;
    }
}

#[tokio::test]
async fn a_cut_is_the_simulators_own_doing() {
    let sim = sim().await;
    for fault in ["cut=1", "truncated"] {
        send(&sim, ask("openai", &format!("m+{fault}"), true))
            .await
            .unwrap();
    }
    send(&sim, ask("openai", "m+reset", true))
        .await
        .err()
        .unwrap();
    assert_eq!(
        sim.journal()
            .wait_for(3, |entry| entry.progress == Progress::Cut)
            .await
            .len(),
        3
    );
}

#[tokio::test]
async fn shutdown_closes_the_port_and_every_connection() {
    let sim = sim().await;
    let addr = sim.addr();
    let mut client = Client::connect(&sim).await;
    let asked = ask("openai", "m+hang", false);
    let call = tokio::spawn(async move { client.send(asked).await });
    sim.journal()
        .wait_for(1, |entry| entry.progress == Progress::Open)
        .await;
    sim.shutdown().await;
    assert_eq!(call.await.unwrap().err(), Some(Broken::ClosedEarly));
    assert!(TcpStream::connect(addr).await.is_err());
}
