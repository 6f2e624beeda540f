//! How often a connection is written to: events that are ready together leave together.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use backstop_chat::emit::Writer;
use backstop_chat::{Body, Chat, Finish};
use backstop_core::BoxError;
use backstop_edge::EdgeLayer;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tower::{Layer, service_fn};

/// A connection that counts how often it is written to, and takes many pieces in one write as a socket does.
struct Counting {
    inner: TokioIo<DuplexStream>,
    writes: Arc<AtomicUsize>,
}

impl Read for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl Write for Counting {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        piece: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(piece)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let all: Vec<u8> = pieces
            .iter()
            .flat_map(|piece| piece.iter().copied())
            .collect();
        Pin::new(&mut self.inner).poll_write(cx, &all)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn events_that_are_ready_together_leave_together() {
    const EVENTS: usize = 1000;
    let chat = service_fn(async |_: Request<Chat>| {
        let writer = Writer::new("chatcmpl-1", "some-model", 1, false);
        let mut events = vec![writer.text("token "); EVENTS];
        events.push(writer.finish(Finish::Stop, true));
        let events = events
            .into_iter()
            .map(|event| Ok::<_, BoxError>(Frame::data(event)));
        Ok::<_, BoxError>(Response::new(Body::new(StreamBody::new(stream::iter(
            events,
        )))))
    });
    let (mut client, server) = tokio::io::duplex(1024 * 1024);
    let writes = Arc::new(AtomicUsize::new(0));
    let io = Counting {
        inner: TokioIo::new(server),
        writes: Arc::clone(&writes),
    };
    let service = TowerToHyperService::new(EdgeLayer::openai().layer(chat));
    let serving = http1::Builder::new().serve_connection(io, service);

    let payload =
        r#"{"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]}"#;
    let asking = async {
        let length = payload.len();
        let request = format!(
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{payload}"
        );
        client.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("read");
        answer
    };
    let (served, answer) = tokio::join!(serving, asking);
    served.expect("served");
    assert_eq!(answer.matches("token ").count(), EVENTS);
    assert!(answer.contains("data: [DONE]\n\n"));
    let (writes, size) = (writes.load(Ordering::Relaxed), answer.len());
    assert!(
        writes <= size / (16 * 1024) + 3,
        "{writes} writes for {size} bytes"
    );
}
