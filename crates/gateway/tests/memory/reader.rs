//! A client that reads when it is told to.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::within;

/// A stream that has begun. It keeps nothing of what it has read, but for the event that has come in part.
#[derive(Debug)]
pub(crate) struct Reader {
    stream: TcpStream,
    /// What was read and not looked at.
    seen: Vec<u8>,
    /// How much of a piece of the transfer is still to come, and of the line behind it.
    piece: usize,
    /// What was read of the event that is under way.
    event: Vec<u8>,
    /// How much of the answer was read.
    pub(crate) read: usize,
    /// How many events were those that were expected.
    pub(crate) tokens: usize,
    /// The events that were not, in order.
    pub(crate) others: Vec<String>,
    /// The transfer is over.
    pub(crate) over: bool,
}

impl Reader {
    /// Asks for a stream, and reads the head of the answer.
    pub(crate) async fn start(gateway: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // What the system holds for it is not the gateway's doing.
        socket.set_recv_buffer_size(16 * 1024)?;
        let mut stream = within("a connection", socket.connect(gateway)).await?;
        let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut reader = Self {
            stream,
            seen: Vec::new(),
            piece: 0,
            event: Vec::new(),
            read: 0,
            tokens: 0,
            others: Vec::new(),
            over: false,
        };
        loop {
            if let Some(end) = reader.seen.windows(4).position(|four| four == b"\r\n\r\n") {
                reader.seen.drain(..end + 4);
                return Ok(reader);
            }
            reader.more().await;
        }
    }

    async fn more(&mut self) {
        let read = within("more of a stream", self.stream.read_buf(&mut self.seen)).await;
        assert!(read.expect("an unbroken stream") > 0, "it goes on");
    }

    /// Reads at least so many bytes of the answer, or to its end. `expected` is what its events look like.
    pub(crate) async fn some(&mut self, bytes: usize, expected: &str) {
        let until = self.read.saturating_add(bytes);
        loop {
            self.look(expected.as_bytes());
            if self.over || self.read >= until {
                return;
            }
            self.more().await;
        }
    }

    /// Looks at what has come.
    fn look(&mut self, expected: &[u8]) {
        let mut rest = &self.seen[..];
        while !self.over {
            if self.piece == 0 {
                let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else {
                    break;
                };
                let size = std::str::from_utf8(&rest[..end]).expect("a size");
                let size = usize::from_str_radix(size, 16).expect("a size");
                rest = &rest[end + 2..];
                self.over = size == 0;
                self.piece = size + 2;
            }
            let (now, later) = rest.split_at(rest.len().min(self.piece));
            // The last two bytes end the line.
            let text = now.len().min(self.piece.saturating_sub(2));
            self.event.extend_from_slice(&now[..text]);
            self.read += text;
            self.piece -= now.len();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let left = rest.len();
        self.seen.drain(..self.seen.len() - left);
        let mut events = &self.event[..];
        loop {
            if let Some(later) = events.strip_prefix(expected) {
                self.tokens += 1;
                events = later;
            } else if expected.starts_with(events) {
                break;
            } else if let Some(end) = events.windows(2).position(|two| two == b"\n\n") {
                self.others
                    .push(String::from_utf8_lossy(&events[..end]).into_owned());
                events = &events[end + 2..];
            } else {
                break;
            }
        }
        let left = events.len();
        self.event.drain(..self.event.len() - left);
    }
}
