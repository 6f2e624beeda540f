//! A client that leaves.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::within;

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Leaving {
    /// It closes its HTTP/1.1 connection: there is no other way.
    Http1,
    /// It closes its HTTP/2 connection.
    Http2,
    /// It resets the stream of its request; the HTTP/2 connection stays.
    Http2Stream,
}

pub(crate) const LEAVINGS: [Leaving; 3] = [Leaving::Http1, Leaving::Http2, Leaving::Http2Stream];

/// A connection with at most one request.
#[derive(Debug)]
pub(crate) struct Visitor {
    leaving: Leaving,
    sender: Sender,
    connection: Connection,
    /// Reads what is answered; aborted, it leaves.
    reading: Option<Reading>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// What is under way on a connection ends with this.
#[derive(Debug)]
struct Connection(JoinHandle<()>);

#[derive(Debug)]
struct Reading {
    task: JoinHandle<()>,
    begun: oneshot::Receiver<()>,
}

impl Visitor {
    pub(crate) async fn connect(to: SocketAddr, leaving: Leaving) -> Self {
        let io = TokioIo::new(TcpStream::connect(to).await.expect("it listens"));
        let (sender, connection) = if leaving == Leaving::Http1 {
            let (sender, connection) = http1::handshake(io).await.expect("HTTP/1.1");
            (
                Sender::Http1(sender),
                tokio::spawn(async move { drop(connection.await) }),
            )
        } else {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io)
                .await
                .expect("HTTP/2");
            (
                Sender::Http2(sender),
                tokio::spawn(async move { drop(connection.await) }),
            )
        };
        Self {
            leaving,
            sender,
            connection: Connection(connection),
            reading: None,
        }
    }

    /// Sends a request and goes on.
    pub(crate) async fn begin(&mut self, request: Request<Bytes>) {
        let mut request = request.map(Full::new);
        let (begin, begun) = oneshot::channel();
        let task = match &mut self.sender {
            Sender::Http1(sender) => {
                within("a connection", sender.ready()).await.expect("open");
                tokio::spawn(read(sender.send_request(request), begin))
            }
            Sender::Http2(sender) => {
                within("a connection", sender.ready()).await.expect("open");
                let path = request.uri().path();
                *request.uri_mut() = format!("http://gateway{path}")
                    .parse::<Uri>()
                    .expect("a URI");
                request.headers_mut().remove("host");
                tokio::spawn(read(sender.send_request(request), begin))
            }
        };
        self.reading = Some(Reading { task, begun });
    }

    /// Waits for the first bytes of a body.
    pub(crate) async fn reads_the_beginning(&mut self) {
        let Reading { begun, .. } = self.reading.as_mut().expect("a request");
        within("the beginning of an answer", begun)
            .await
            .expect("an answer");
    }

    /// Leaves, and returns what stays.
    pub(crate) fn leave(self) -> Option<impl Sized> {
        let Self {
            leaving,
            sender,
            connection,
            reading,
        } = self;
        if let Some(reading) = reading {
            reading.task.abort();
        }
        (leaving == Leaving::Http2Stream).then_some((sender, connection))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn read(
    response: impl Future<Output = hyper::Result<http::Response<Incoming>>>,
    begin: oneshot::Sender<()>,
) {
    let Ok(response) = response.await else { return };
    let mut body = response.into_body();
    if let Some(Ok(_)) = body.frame().await {
        // Nobody waits if only the call mattered.
        let _ = begin.send(());
    }
    while let Some(Ok(_)) = body.frame().await {}
}
