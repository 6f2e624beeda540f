//! What happens below HTTP.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Gateway, Setup, ask, config, deployment, sim, within};

#[tokio::test]
async fn http2_by_prior_knowledge() {
    let sim = sim().await;
    let gateway = Gateway::start(&sim, &config(&[deployment("smart", "openai/gpt-4o")], "")).await;
    let stream = TcpStream::connect(gateway.addr())
        .await
        .expect("it listens");
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.expect("HTTP/2");
    tokio::spawn(async move { drop(connection.await) });
    let request = |stream: bool, padding: usize| -> Request<Full<Bytes>> {
        let body = ask("smart", stream).into_body();
        let text = String::from_utf8(body.into())
            .expect("text")
            .replace("Hello", &"x".repeat(padding));
        Request::post("http://gateway/v1/chat/completions")
            .body(Full::new(text.into()))
            .expect("valid")
    };
    // The last one is larger than any window.
    for request in [request(false, 1), request(true, 1), request(false, 300_000)] {
        let response = within("a response", sender.send_request(request))
            .await
            .expect("a response");
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().contains_key("x-backstop-request-id"));
        let body = within("a body", response.into_body().collect())
            .await
            .expect("a body");
        assert!(!body.to_bytes().is_empty());
    }
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte() {
    let sim = sim().await;
    let gateway = Gateway::start(&sim, &config(&[deployment("smart", "openai/gpt-4o")], "")).await;
    let mut stream = TcpStream::connect(gateway.addr())
        .await
        .expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    // It begins as HTTP/2's preface does.
    for byte in b"PRI" {
        stream.write_all(&[*byte]).await.expect("sent");
        tokio::task::yield_now().await;
    }
    stream
        .write_all(b"VATE /health/liveness HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer))
        .await
        .expect("read");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn without_file_descriptors_it_waits_for_some() {
    let sim = sim().await;
    let text = config(&[deployment("smart", "openai/gpt-4o")], "");
    let gateway = Setup::limited("ulimit -n 48", &text)
        .before(&sim)
        .start()
        .await;
    let mut idle = Vec::new();
    for _ in 0..60 {
        idle.push(
            TcpStream::connect(gateway.addr())
                .await
                .expect("the kernel accepts"),
        );
    }
    gateway
        .logged(&["ERROR", "no connection can be accepted"])
        .await;
    drop(idle);
    assert_eq!(gateway.ask("smart", false).await.status, StatusCode::OK);
}
