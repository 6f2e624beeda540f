//! The end: what is under way may finish, and every record is on the disk.

use http::StatusCode;
use rustix::process::Signal;
use tokio::net::TcpStream;

use crate::support::{Client, Gateway, Setup, ask, config, deployment, sim};

#[tokio::test]
async fn a_stream_that_is_under_way_is_finished() {
    for signal in [Signal::TERM, Signal::INT] {
        let sim = sim().await;
        let gateway = Gateway::start(
            &sim,
            &config(&[deployment("slow", "openai/gpt-4o+slow=10")], ""),
        )
        .await;
        let addr = gateway.addr();
        let mut idle = Client::connect(addr).await;
        idle.send(crate::support::get("/health/liveness")).await;
        let silent = TcpStream::connect(addr).await.expect("it listens");
        let mut client = Client::connect(addr).await;
        let mut stream = client.start(ask("slow", true)).await;
        assert!(stream.next().await.is_some());

        gateway.signal(signal);
        gateway.logged(&["stopping"]).await;
        assert!(
            TcpStream::connect(addr).await.is_err(),
            "nobody else is let in"
        );
        let answer = stream.finish().await;
        assert!(!answer.broken);
        assert!(
            answer.text().ends_with("data: [DONE]\n\n"),
            "{}",
            answer.text()
        );
        let id = answer.request_id().to_owned();
        // Neither connection has anything under way, so neither is waited for.
        let finished = gateway.end().await;
        drop((idle, silent));
        assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
        let records = finished.records();
        assert_eq!(records.len(), 1);
        assert_eq!(
            (&records[0]["request_id"], &records[0]["outcome"]),
            (&id.into(), &"ok".into())
        );
    }
}

#[tokio::test]
async fn what_outlasts_its_grace_is_cut_off_and_recorded() {
    let sim = sim().await;
    let setup =
        Setup::serve(&config(&[deployment("stuck", "openai/gpt-4o+stall=2")], "")).before(&sim);
    let gateway = setup
        .argument("--shutdown-grace")
        .argument("0")
        .start()
        .await;
    let mut client = Client::connect(gateway.addr()).await;
    let mut stream = client.start(ask("stuck", true)).await;
    assert!(stream.next().await.is_some());
    let finished = gateway.stop().await;
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert!(finished.stderr.contains("cut off"), "{}", finished.stderr);
    assert!(
        stream.finish().await.broken,
        "a cut answer does not look whole"
    );
    assert_eq!(finished.records()[0]["outcome"], "cancelled");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let sim = sim().await;
    let gateway = Gateway::start(
        &sim,
        &config(&[deployment("stuck", "openai/gpt-4o+hang")], ""),
    )
    .await;
    let mut client = Client::connect(gateway.addr()).await;
    let answer = client.begin(ask("stuck", false)).await;
    sim.journal().wait_for(1, |_| true).await;
    gateway.signal(Signal::TERM);
    gateway.logged(&["stopping"]).await;
    gateway.signal(Signal::INT);
    let finished = gateway.end().await;
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert_eq!(finished.records()[0]["outcome"], "cancelled");
    assert!(answer.await.is_err());
}

#[tokio::test]
async fn no_record_of_many_is_lost() {
    let sim = sim().await;
    let gateway = Gateway::start(&sim, &config(&[deployment("smart", "openai/gpt-4o")], "")).await;
    let mut client = Client::connect(gateway.addr()).await;
    for _ in 0..100 {
        assert_eq!(
            client.send(ask("smart", false)).await.status,
            StatusCode::OK
        );
    }
    let finished = gateway.stop().await;
    assert_eq!(finished.records().len(), 100);
}
