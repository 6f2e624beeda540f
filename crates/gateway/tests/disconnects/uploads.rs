//! Clients that leave before their request is whole.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::Request;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Gateway, config, deployment, sim, within};

const HEAD: &str =
    "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-length: 1000\r\n\r\n";

#[tokio::test]
async fn without_a_request_there_is_nothing_to_record() {
    let sim = sim().await;
    let gateway = Gateway::start(&sim, &config(&[deployment("smart", "openai/gpt-4o")], "")).await;
    for beginning in [
        "",
        "P",
        "PRI * HT",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &HEAD[..40],
        &HEAD[..HEAD.len() - 2],
    ] {
        let mut stream = TcpStream::connect(gateway.addr())
            .await
            .expect("it listens");
        stream.write_all(beginning.as_bytes()).await.expect("sent");
        drop(stream);
    }
    assert_eq!(gateway.ask("smart", false).await.status, 200);
    let finished = gateway.stop().await;
    assert_eq!(finished.status.code(), Some(0));
    assert_eq!(finished.records().len(), 1, "of the request that was one");
    assert_eq!(sim.journal().entries().len(), 1);
}

#[tokio::test]
async fn half_a_body_is_recorded_and_asks_nobody() {
    let sim = sim().await;
    let gateway = Gateway::start(&sim, &config(&[deployment("smart", "openai/gpt-4o")], "")).await;
    for sent in [
        "",
        "{",
        r#"{"model": "smart", "messages": [{"role": "user", "content": "Hel"#,
    ] {
        let before = gateway.records(0).await.len();
        let mut stream = TcpStream::connect(gateway.addr())
            .await
            .expect("it listens");
        stream
            .write_all(format!("{HEAD}{sent}").as_bytes())
            .await
            .expect("sent");
        drop(stream);
        let record = &gateway.records(before + 1).await[before];
        // A client that only stopped sending could still read that its request is half.
        assert_eq!(record["outcome"], "client_error", "{record}");
        assert_eq!(record["http_status"], 400, "{record}");
        assert_eq!(record["attempt_count"], 0);
    }
    assert_eq!(sim.journal().entries().len(), 0);
    assert_eq!(gateway.ask("smart", false).await.status, 200);
}

fn post(body: BoxBody<Bytes, Infallible>) -> Request<BoxBody<Bytes, Infallible>> {
    Request::post("http://gateway/v1/chat/completions")
        .body(body)
        .expect("valid")
}

#[tokio::test]
async fn half_a_body_over_http2_is_recorded_and_asks_nobody() {
    let sim = sim().await;
    let gateway = Gateway::start(&sim, &config(&[deployment("smart", "openai/gpt-4o")], "")).await;
    let io = TokioIo::new(
        TcpStream::connect(gateway.addr())
            .await
            .expect("it listens"),
    );
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io)
        .await
        .expect("HTTP/2");
    let connection = tokio::spawn(connection);
    for closes in [false, true] {
        let piece = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from("{")))]);
        let half = BodyExt::boxed(StreamBody::new(piece.chain(stream::pending())));
        let upload = sender.send_request(post(half));
        // The gateway answers what came later, so it has seen what came before.
        let whole = BodyExt::boxed(Full::from("not JSON"));
        let refused = within("a response", sender.send_request(post(whole))).await;
        assert_eq!(refused.expect("a response").status(), 400);
        if closes {
            connection.abort();
        }
        drop(upload);
        let records = gateway.records(if closes { 4 } else { 2 }).await;
        let last = records.last().expect("records");
        assert_eq!(last["outcome"], "cancelled", "{last}");
    }
    assert_eq!(sim.journal().entries().len(), 0);
    assert_eq!(gateway.ask("smart", false).await.status, 200);
}
