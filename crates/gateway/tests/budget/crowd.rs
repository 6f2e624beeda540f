//! Many requests at once, over few connections.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::HOST;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::support::{Gateway, Response, within};

/// How many requests share a connection.
const TOGETHER: usize = 100;

/// Sends all requests at once, dealt out to the gateways in turn, and waits for all answers.
pub(crate) async fn ask<const N: usize>(
    gateways: [&Gateway; N],
    requests: Vec<Request<Bytes>>,
) -> Vec<Response> {
    let mut senders = Vec::new();
    for _ in 0..requests.len().div_ceil(N * TOGETHER) {
        for gateway in gateways {
            senders.push(connect(gateway.addr()).await);
        }
    }
    let senders = senders.iter().cycle();
    let under_way: Vec<_> = requests
        .into_iter()
        .zip(senders)
        .map(|(request, sender)| tokio::spawn(try_send(sender.clone(), request)))
        .collect();
    let answers = join_all(under_way).await;
    answers
        .into_iter()
        .map(|answer| answer.expect("no panic").expect("a whole answer"))
        .collect()
}

/// A connection that many requests can be on. It ends with the last sender.
pub(crate) async fn connect(to: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(to).await.expect("it listens");
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("HTTP/2");
    tokio::spawn(async move { drop(connection.await) });
    sender
}

/// The request as HTTP/2 has it.
pub(crate) fn absolute(request: Request<Bytes>) -> Request<Full<Bytes>> {
    let mut request = request.map(Full::new);
    let uri: Result<Uri, _> = format!("http://gateway{}", request.uri().path()).parse();
    *request.uri_mut() = uri.expect("a URI");
    request.headers_mut().remove(HOST);
    request
}

/// The answer, if it comes to its end.
pub(crate) async fn try_send(
    mut sender: SendRequest<Full<Bytes>>,
    request: Request<Bytes>,
) -> Option<Response> {
    within("a connection that takes a request", sender.ready())
        .await
        .ok()?;
    let response = within("a response", sender.send_request(absolute(request))).await;
    let (head, body) = response.ok()?.into_parts();
    let body = within("the end of a body", body.collect()).await.ok()?;
    Some(Response {
        status: head.status,
        headers: head.headers,
        body: body.to_bytes(),
        broken: false,
    })
}
