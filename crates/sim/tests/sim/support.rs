//! An HTTP client that shows how a response ended.

use backstop_sim::Sim;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{error::Error, io};
use tokio::net::TcpStream;

pub(crate) const PROVIDERS: [&str; 3] = ["openai", "anthropic", "bedrock"];

pub(crate) async fn sim() -> Sim {
    Sim::bind("127.0.0.1:0").await.unwrap()
}

/// A connection to the simulator.
pub(crate) struct Client(http1::SendRequest<Full<Bytes>>);

pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) frames: Vec<Bytes>,
    /// The error that ended the body, if one did.
    pub(crate) broken: Option<Broken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    Reset,
    ClosedEarly,
}

impl Broken {
    fn by(error: &hyper::Error) -> Self {
        let reset = error
            .source()
            .and_then(|source| source.downcast_ref::<io::Error>())
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionReset);
        if reset {
            Self::Reset
        } else {
            Self::ClosedEarly
        }
    }
}

impl Response {
    pub(crate) fn body(&self) -> Bytes {
        self.frames.concat().into()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body().into()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Client {
    pub(crate) async fn connect(sim: &Sim) -> Self {
        let stream = TcpStream::connect(sim.addr()).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        // How it ended is told to the one who waits for the response.
        tokio::spawn(async move { drop(connection.await) });
        Self(sender)
    }

    pub(crate) async fn start(
        &mut self,
        request: Request<String>,
    ) -> Result<http::Response<Incoming>, Broken> {
        self.0.ready().await.map_err(|error| Broken::by(&error))?;
        let request = request.map(|body| Full::new(Bytes::from(body)));
        self.0
            .send_request(request)
            .await
            .map_err(|error| Broken::by(&error))
    }

    pub(crate) async fn send(&mut self, request: Request<String>) -> Result<Response, Broken> {
        let (parts, mut body) = self.start(request).await?.into_parts();
        let mut frames = Vec::new();
        let mut broken = None;
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => frames.push(frame.into_data().unwrap()),
                Err(error) => broken = Some(Broken::by(&error)),
            }
        }
        Ok(Response {
            status: parts.status,
            headers: parts.headers,
            frames,
            broken,
        })
    }
}

/// One request on a connection of its own.
pub(crate) async fn send(sim: &Sim, request: Request<String>) -> Result<Response, Broken> {
    Client::connect(sim).await.send(request).await
}

pub(crate) fn request(
    method: &str,
    path: &str,
    body: &(impl ToString + ?Sized),
) -> Request<String> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "sim")
        .header("authorization", "Bearer sk-sim")
        .header("anthropic-version", "2023-06-01")
        .body(body.to_string())
        .unwrap()
}

/// A question in the provider's own format.
pub(crate) fn ask(provider: &str, model: &str, stream: bool) -> Request<String> {
    ask_with(provider, model, stream, &json!({}))
}

/// A question with more fields.
pub(crate) fn ask_with(provider: &str, model: &str, stream: bool, more: &Value) -> Request<String> {
    let (path, mut body) = match provider {
        "openai" => (
            "/openai/v1/chat/completions".to_owned(),
            json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}),
        ),
        "anthropic" => (
            "/anthropic/v1/messages".to_owned(),
            json!({
                "model": model, "stream": stream, "max_tokens": 1000,
                "messages": [{"role": "user", "content": "Hello"}],
            }),
        ),
        _ => {
            let operation = if stream {
                "converse-stream"
            } else {
                "converse"
            };
            let model = model.replace('+', "%2B").replace('=', "%3D");
            (
                format!("/bedrock/model/{model}/{operation}"),
                json!({"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}),
            )
        }
    };
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    request("POST", &path, &body)
}
