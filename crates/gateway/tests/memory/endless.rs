//! A provider that writes as fast as it may.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

pub(crate) const MIB: usize = 1024 * 1024;

/// A provider of long streams.
#[derive(Debug)]
pub(crate) struct Endless {
    address: SocketAddr,
    /// What all its events but the last look like, and how many of them an answer has.
    pub(crate) event: String,
    pub(crate) events: usize,
    /// How many bytes of answers it has written.
    pub(crate) written: Arc<AtomicUsize>,
    /// How many answers are written to their end.
    pub(crate) finished: Arc<AtomicUsize>,
}

impl Endless {
    /// Each answer has at least `size` bytes, in events that say `text`.
    pub(crate) async fn start(size: usize, text: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        // What the system holds for it is not the gateway's doing.
        socket.set_send_buffer_size(16 * 1024).expect("a size");
        socket
            .bind(([127, 0, 0, 1], 0).into())
            .expect("a free port");
        let listener = socket.listen(1024).expect("it listens");
        let event = event(text, "null");
        let endless = Self {
            address: listener.local_addr().expect("bound"),
            events: size.div_ceil(event.len()),
            event,
            written: Arc::default(),
            finished: Arc::default(),
        };
        let answer = Answer {
            many: endless.event.repeat(MANY).into(),
            length: endless.event.len() * endless.events,
            written: Arc::clone(&endless.written),
            finished: Arc::clone(&endless.finished),
        };
        tokio::spawn(accept(listener, answer));
        endless
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

/// How many events are written at once, if they may be.
const MANY: usize = 64;

/// What is written to each client.
#[derive(Clone, Debug)]
struct Answer {
    many: Arc<str>,
    /// Of all events but the last.
    length: usize,
    written: Arc<AtomicUsize>,
    finished: Arc<AtomicUsize>,
}

fn event(content: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o\",\
         \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{content}\"}},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

async fn accept(listener: TcpListener, answer: Answer) {
    while let Ok((stream, _)) = listener.accept().await {
        let answer = answer.clone();
        tokio::spawn(async move {
            // Clients leave.
            if answer.write(stream).await.is_ok() {
                answer.finished.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
}

impl Answer {
    async fn write(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            if stream.read_buf(&mut request).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await?;
        let mut wrote = 0;
        while wrote < self.length {
            let rest = &self.many.as_bytes()[wrote % self.many.len()..];
            let now = stream
                .write(&rest[..rest.len().min(self.length - wrote)])
                .await?;
            self.written.fetch_add(now, Ordering::Relaxed);
            wrote += now;
        }
        let end = event("", "\"stop\"") + "data: [DONE]\n\n";
        stream.write_all(end.as_bytes()).await?;
        stream.shutdown().await
    }
}
