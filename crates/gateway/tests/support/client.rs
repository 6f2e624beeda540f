//! A client that does as it is told: any bytes, any moment to leave.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::process::Gateway;
use super::within;

/// A whole response.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the connection broke before the body's end.
    pub(crate) broken: bool,
}

impl Response {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// A header's value; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }

    pub(crate) fn request_id(&self) -> &str {
        self.header("x-backstop-request-id")
    }

    /// The `code` of an error in OpenAI's format.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .expect("an error with a code")
            .to_owned()
    }

    /// The data of each event of a stream.
    pub(crate) fn events(&self) -> Vec<&str> {
        let events = self.text().split("\n\n").filter(|event| !event.is_empty());
        events
            .map(|event| event.strip_prefix("data: ").expect("data and nothing else"))
            .collect()
    }

    /// What was said, streamed or not.
    pub(crate) fn said(&self) -> String {
        if self.header("content-type") != "text/event-stream" {
            return self.json()["choices"][0]["message"]["content"]
                .as_str()
                .expect("text")
                .to_owned();
        }
        let events = self.events();
        let (done, chunks) = events.split_last().expect("events");
        assert_eq!(*done, "[DONE]", "a stream ends with a terminal");
        let said = |chunk: &&str| {
            let chunk: Value = serde_json::from_str(chunk).expect("JSON");
            assert_eq!(chunk["error"], Value::Null, "a stream without an error");
            chunk["choices"][0]["delta"]["content"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        chunks.iter().map(said).collect()
    }
}

/// A connection to the gateway.
#[derive(Debug)]
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    connection: JoinHandle<()>,
}

impl Client {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("it listens");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
        let connection = tokio::spawn(async move { drop(connection.await) });
        Self { sender, connection }
    }

    /// Sends a request and waits for the whole response.
    pub(crate) async fn send(&mut self, request: Request<Bytes>) -> Response {
        self.start(request).await.finish().await
    }

    /// Sends a request and waits for the head of the response.
    pub(crate) async fn start(&mut self, request: Request<Bytes>) -> Stream {
        within("a connection that takes a request", self.sender.ready())
            .await
            .expect("open");
        let response = self.sender.send_request(request.map(Full::new));
        Stream(within("a response", response).await.expect("a response"))
    }

    /// Sends a request and waits for nothing. Drop what is returned, and the client, to leave.
    pub(crate) async fn begin(
        &mut self,
        request: Request<Bytes>,
    ) -> impl Future<Output = Result<http::Response<Incoming>, hyper::Error>> + use<> {
        within("a connection that takes a request", self.sender.ready())
            .await
            .expect("open");
        self.sender.send_request(request.map(Full::new))
    }
}

/// Leaving closes the connection, whatever is under way on it.
impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// A response that has begun.
#[derive(Debug)]
pub(crate) struct Stream(http::Response<Incoming>);

impl Stream {
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The next bytes of the body.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        let frame = within("the next frame", self.0.frame()).await?;
        Some(frame.expect("an unbroken body").into_data().expect("data"))
    }

    /// Reads the body to its end.
    pub(crate) async fn finish(self) -> Response {
        let (head, mut body) = self.0.into_parts();
        let mut bytes = Vec::new();
        let mut broken = false;
        while let Some(frame) = within("the next frame", body.frame()).await {
            let Ok(frame) = frame else {
                broken = true;
                break;
            };
            bytes.extend_from_slice(&frame.into_data().expect("data"));
        }
        Response {
            status: head.status,
            headers: head.headers,
            body: bytes.into(),
            broken,
        }
    }
}

impl Gateway {
    /// Sends one request on a connection of its own.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Response {
        Client::connect(self.addr()).await.send(request).await
    }

    /// Asks a model, streamed or not.
    pub(crate) async fn ask(&self, model: &str, stream: bool) -> Response {
        self.send(ask(model, stream)).await
    }
}

/// A request of any kind.
pub(crate) fn request(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Bytes> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "gateway")
        .header(CONTENT_TYPE, "application/json")
        .body(body.into())
        .expect("a valid request")
}

pub(crate) fn get(path: &str) -> Request<Bytes> {
    request("GET", path, "")
}

/// A chat completion with this body.
pub(crate) fn post(body: impl Into<Bytes>) -> Request<Bytes> {
    request("POST", "/v1/chat/completions", body)
}

/// The simplest question.
pub(crate) fn ask(model: &str, stream: bool) -> Request<Bytes> {
    post(json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}).to_string())
}

/// Sends these bytes and reads what comes back until the gateway closes the connection.
pub(crate) async fn raw(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).await.expect("it listens");
    stream.write_all(bytes).await.expect("sent");
    let mut answer = Vec::new();
    within("the end of the connection", stream.read_to_end(&mut answer))
        .await
        .expect("read");
    String::from_utf8(answer).expect("text")
}
