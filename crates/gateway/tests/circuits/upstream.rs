//! A provider that answers when it is told to.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::support::{Deployment, deployment, within};

type Answer = Response<Full<Bytes>>;

/// A server in OpenAI's format whose answers wait for the test.
#[derive(Debug)]
pub(crate) struct Upstream {
    url: String,
    arrived: mpsc::UnboundedReceiver<Call>,
    _connections: JoinSet<()>,
}

/// A call that waits for its answer. Dropped, it is answered with a 500.
#[derive(Debug)]
pub(crate) struct Call(oneshot::Sender<Answer>);

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/v1", listener.local_addr().expect("bound"));
        let (arrive, arrived) = mpsc::unbounded_channel();
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let arrive = arrive.clone();
                let answer = service_fn(move |request| answer(request, arrive.clone()));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                connections.spawn(async move { drop(connection.await) });
            }
        });
        Self {
            url,
            arrived,
            _connections: connections,
        }
    }

    /// A deployment here.
    pub(crate) fn deployment(&self, model_name: &str, id: &str) -> Deployment {
        deployment(model_name, "openai/held")
            .id(id)
            .param(&format!("api_base: {}", self.url))
    }

    /// The next call, when it comes.
    pub(crate) async fn call(&mut self) -> Call {
        within("a call", self.arrived.recv())
            .await
            .expect("the server lives")
    }

    /// Whether nobody has called but those that were returned before.
    pub(crate) fn is_quiet(&self) -> bool {
        self.arrived.is_empty()
    }
}

impl Call {
    pub(crate) fn succeed(self) {
        let answer = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "held",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        });
        self.answer(StatusCode::OK, answer.to_string());
    }

    pub(crate) fn fail(self) {
        self.answer(StatusCode::INTERNAL_SERVER_ERROR, String::new());
    }

    fn answer(self, status: StatusCode, body: String) {
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert(
            "content-type",
            "application/json".parse().expect("a header"),
        );
        self.0.send(response).expect("the gateway waits for it");
    }

    /// Waits until the gateway has let go of it.
    pub(crate) async fn gone(mut self) {
        within("the end of a call", self.0.closed()).await;
    }
}

async fn answer(
    request: Request<Incoming>,
    arrive: mpsc::UnboundedSender<Call>,
) -> Result<Answer, Infallible> {
    // A request that breaks off is no call.
    if request.into_body().collect().await.is_err() {
        return Ok(Response::default());
    }
    let (call, answered) = oneshot::channel();
    // Nobody listens once the test is over.
    let _ = arrive.send(Call(call));
    Ok(answered.await.unwrap_or_else(|_| {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    }))
}
