//! A provider that writes as fast as it may.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

pub(crate) const MIB: usize = 1024 * 1024;

/// What each event says.
pub(crate) const TOKEN: &str = "token ";

/// A provider of long streams.
#[derive(Debug)]
pub(crate) struct Endless {
    address: SocketAddr,
    events: usize,
    /// How many bytes of answers it has written.
    pub(crate) written: Arc<AtomicUsize>,
    /// How many answers are written to their end.
    pub(crate) finished: Arc<AtomicUsize>,
}

impl Endless {
    /// Each answer has at least `size` bytes.
    pub(crate) async fn start(size: usize) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        // What the system holds for it is not the gateway's doing.
        socket.set_send_buffer_size(16 * 1024).expect("a size");
        socket
            .bind(([127, 0, 0, 1], 0).into())
            .expect("a free port");
        let listener = socket.listen(1024).expect("it listens");
        let endless = Self {
            address: listener.local_addr().expect("bound"),
            events: size.div_ceil(event(TOKEN, "null").len()),
            written: Arc::default(),
            finished: Arc::default(),
        };
        tokio::spawn(accept(
            listener,
            endless.events,
            Arc::clone(&endless.written),
            Arc::clone(&endless.finished),
        ));
        endless
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// How many tokens an answer has.
    pub(crate) fn tokens(&self) -> usize {
        self.events
    }
}

fn event(content: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-4o\",\
         \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{content}\"}},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

async fn accept(
    listener: TcpListener,
    events: usize,
    written: Arc<AtomicUsize>,
    finished: Arc<AtomicUsize>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (written, finished) = (Arc::clone(&written), Arc::clone(&finished));
        tokio::spawn(async move {
            // Clients leave.
            if answer(stream, events, &written).await.is_ok() {
                finished.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
}

async fn answer(
    mut stream: TcpStream,
    events: usize,
    written: &AtomicUsize,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let token = event(TOKEN, "null");
    let many = token.repeat(64);
    let mut left = events;
    while left > 0 {
        let now = left.min(64);
        let mut rest = &many.as_bytes()[..now * token.len()];
        while !rest.is_empty() {
            let wrote = stream.write(rest).await?;
            written.fetch_add(wrote, Ordering::Relaxed);
            rest = &rest[wrote..];
        }
        left -= now;
    }
    let end = event("", "\"stop\"") + "data: [DONE]\n\n";
    stream.write_all(end.as_bytes()).await?;
    stream.shutdown().await
}
