//! A client that reads when it is told to.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::endless::TOKEN;
use crate::support::within;

/// A stream that has begun.
#[derive(Debug)]
pub(crate) struct Reader {
    stream: TcpStream,
    /// What was read and not looked at.
    seen: Vec<u8>,
}

/// What a stream had in it.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) tokens: usize,
    pub(crate) done: bool,
}

impl Reader {
    /// Asks for a stream, and reads its first event.
    pub(crate) async fn start(gateway: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // What the system holds for it is not the gateway's doing.
        socket.set_recv_buffer_size(4 * 1024)?;
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
        };
        while !contains(&reader.seen, TOKEN) {
            reader.some(1).await;
        }
        Ok(reader)
    }

    /// Reads at least so many bytes.
    pub(crate) async fn some(&mut self, bytes: usize) {
        let until = self.seen.len() + bytes;
        while self.seen.len() < until {
            let read = within("more of a stream", self.stream.read_buf(&mut self.seen)).await;
            assert!(
                read.expect("an unbroken stream") > 0,
                "it goes on: {}",
                String::from_utf8_lossy(&self.seen)
            );
        }
    }

    /// Reads on to the end.
    pub(crate) async fn finish(&mut self) -> Read {
        let rest = self.stream.read_to_end(&mut self.seen);
        within("the end of a stream", rest)
            .await
            .expect("an unbroken stream");
        // Events may be cut by the marks between the chunks of the transfer: the whole of it is put together first.
        let text = dechunked(&self.seen);
        Read {
            tokens: text.matches(TOKEN).count(),
            done: text.ends_with("data: [DONE]\n\n"),
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

/// The body of a response with `transfer-encoding: chunked`.
fn dechunked(response: &[u8]) -> String {
    let response = std::str::from_utf8(response).expect("text");
    let (_, mut rest) = response.split_once("\r\n\r\n").expect("a head");
    let mut body = String::new();
    while let Some((size, behind)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        body += &behind[..size];
        rest = &behind[size + 2..];
    }
    body
}
