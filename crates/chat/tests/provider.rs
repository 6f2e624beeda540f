//! A dialect of lines over an HTTP client that does as it is told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use backstop_chat::{
    Chat, Chunk, Continue, Continued, Decode, Decoded, Dialect, Meta, Mode, Modes, Prefill,
    Provider, ProviderError,
};
use backstop_core::{BoxError, Failure, FailureKind, Ineligible, Reach, Trail, failure_of};
use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tower::{ServiceExt, service_fn};

/// One line is one chunk; `end` proves that the answer is complete, and `bad` is not in its format.
struct Lines;

#[derive(Default)]
struct LineDecoder {
    proven: bool,
}

impl Dialect for Lines {
    type Decoder = LineDecoder;

    fn provider(&self) -> &'static str {
        "lines"
    }

    fn encode(&self, request: &Request<Chat>) -> Result<Request<Full<Bytes>>, ProviderError> {
        Ok(Request::new(request.body().payload().clone().into()))
    }

    fn prefill(&self, _: &Chat) -> Option<Prefill> {
        Some(Prefill::default())
    }

    fn decoder(&self, _: &Chat, head: &Parts) -> Result<LineDecoder, ProviderError> {
        if head.headers.contains_key("content-type") {
            return Err(ProviderError::malformed("lines", "another type"));
        }
        Ok(LineDecoder::default())
    }

    fn failure(&self, answer: &Response<Bytes>) -> ProviderError {
        let failure = Failure::new(FailureKind::ServerError).with_status(answer.status());
        let message = std::str::from_utf8(answer.body()).expect("text");
        ProviderError::new("lines", failure).with_message(message)
    }
}

impl Decode for LineDecoder {
    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let line = input.split_to(end + 1);
        match &line[..end] {
            b"bad" => return Err(ProviderError::malformed("lines", "a bad line")),
            b"end" => self.proven = true,
            _ => {}
        }
        let mut meta = Meta::default();
        meta.terminal = &line[..] == b"end\n";
        Ok(Some(Chunk::document(line.freeze(), meta)))
    }

    fn finish(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
        match self.decode(input)? {
            None if !self.proven => Err(ProviderError::truncated("lines")),
            chunk => Ok(chunk),
        }
    }
}

/// A body of these pieces; `None` breaks it off.
struct Pieces(VecDeque<Option<&'static str>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(match self.0.pop_front() {
            None => None,
            Some(Some(piece)) => Some(Ok(Frame::data(Bytes::from_static(piece.as_bytes())))),
            Some(None) => Some(Err("reset".into())),
        })
    }
}

type Answer = Result<Response<Decoded<Pieces, LineDecoder>>, BoxError>;

async fn ask(
    head: http::response::Builder,
    pieces: impl IntoIterator<Item = Option<&'static str>>,
) -> Answer {
    let response = head.body(Pieces(pieces.into_iter().collect())).ok();
    let response = Arc::new(Mutex::new(response));
    let client = service_fn(move |_: Request<Full<Bytes>>| {
        let response = response.lock().expect("no panic").take();
        ready(Ok::<_, Infallible>(response.expect("asked once")))
    });
    let provider = Provider::new(Lines, client);
    provider.oneshot(Request::new(Chat::user("hi"))).await
}

/// What came of an answer, and the failure that ended it.
async fn read(answer: Answer) -> (String, Option<Failure>) {
    let failure = |error: BoxError| failure_of(&*error).cloned();
    let mut body = match answer {
        Ok(response) => response.into_body(),
        Err(error) => return (String::new(), failure(error)),
    };
    let mut text = String::new();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(data) => {
                let bytes = data.expect("data").into_bytes();
                text += std::str::from_utf8(&bytes).expect("text");
            }
            Err(error) => return (text, failure(error)),
        }
    }
    (text, None)
}

fn ok() -> http::response::Builder {
    Response::builder()
}

#[tokio::test]
async fn an_answer_is_whole_or_an_error() {
    let whole = ask(ok(), [Some("hel"), Some("lo\nend\n")]).await;
    assert_eq!(read(whole).await.0, "hello\nend\n");
    for (pieces, text, kind) in [
        (vec![Some("hello\n")], "hello\n", FailureKind::Network),
        (vec![Some("hello\n"), None], "hello\n", FailureKind::Network),
        (
            vec![Some("hello\nbad\n")],
            "hello\n",
            FailureKind::ServerError,
        ),
    ] {
        let (read, failure) = read(ask(ok(), pieces).await).await;
        let failure = failure.expect("it is not complete");
        assert_eq!((&*read, failure.kind()), (text, kind));
    }
}

#[tokio::test]
async fn what_breaks_behind_the_proof_is_no_failure() {
    for pieces in [
        vec![Some("hello\nend\n"), None],
        vec![Some("hello\nend\n"), Some("us"), None],
        vec![Some("hello\nend\n"), Some("bad\n")],
    ] {
        let (text, failure) = read(ask(ok(), pieces).await).await;
        assert_eq!(
            (&*text, failure.map(|failure| failure.kind())),
            ("hello\nend\n", None)
        );
    }
}

#[tokio::test]
async fn a_failure_has_the_status_that_was_answered() {
    let created = || ok().status(StatusCode::CREATED);
    for (head, pieces, status) in [
        (created(), vec![], StatusCode::CREATED),
        (created(), vec![None], StatusCode::CREATED),
        (created(), vec![Some("bad\n")], StatusCode::CREATED),
        (
            created().header("content-type", "text/html"),
            vec![],
            StatusCode::CREATED,
        ),
        (
            ok().status(StatusCode::BAD_GATEWAY),
            vec![None],
            StatusCode::BAD_GATEWAY,
        ),
    ] {
        let (_, failure) = read(ask(head, pieces).await).await;
        assert_eq!(failure.and_then(|failure| failure.status()), Some(status));
    }
}

const ALL: Modes = Modes {
    prefill: true,
    replay: true,
    prompted: true,
};

/// A request for the rest of an answer of which `So far` has been delivered, and its trail.
fn going_on(modes: Modes) -> (Request<Chat>, Trail) {
    let trail = Trail::start();
    let mut request = Request::new(Chat::user("hi"));
    let extensions = request.extensions_mut();
    extensions.insert(Continue::new("So far", 2, "default", modes));
    extensions.insert(trail.clone());
    (request, trail)
}

/// A provider whose model refuses a request that ends with the assistant's message, with this status and these words;
/// and who spoke last in each request that arrived.
fn refusing(
    status: StatusCode,
    words: &'static str,
) -> (
    impl tower::Service<
        Request<Chat>,
        Response = Response<Decoded<Pieces, LineDecoder>>,
        Error = BoxError,
    > + Clone,
    Arc<Mutex<Vec<String>>>,
) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let client = service_fn(move |request: Request<Full<Bytes>>| {
        let log = Arc::clone(&log);
        async move {
            let body = request.into_body().collect().await?.to_bytes();
            let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            let last = body["messages"].as_array().and_then(|all| all.last());
            let role = last.and_then(|last| last["role"].as_str()).expect("a role");
            log.lock().expect("no panic").push(role.to_owned());
            let refused = role == "assistant";
            let (status, words) = match refused {
                true => (status, words),
                false => (StatusCode::OK, "rest\nend\n"),
            };
            let pieces = Pieces([Some(words)].into());
            Ok::<_, Infallible>(Response::builder().status(status).body(pieces).expect("ok"))
        }
    });
    (Provider::new(Lines, client), asked)
}

const REFUSAL: &str = "This model does not support assistant message prefill.";

#[tokio::test]
async fn a_refused_prefill_is_asked_for_in_another_way_at_once_and_never_again() {
    let (provider, asked) = refusing(StatusCode::BAD_REQUEST, REFUSAL);
    for _ in 0..2 {
        let (request, trail) = going_on(ALL);
        let answer = provider.clone().oneshot(request).await.expect("an answer");
        assert_eq!(
            answer.extensions().get(),
            Some(&Continued(Mode::Prompted)),
            "it says how it goes on"
        );
        let (rest, failure) = read(Ok(answer)).await;
        assert_eq!((&*rest, failure.is_none()), ("rest\nend\n", true));
        let notes = trail.snapshot().notes;
        let refused = notes.iter().any(|note| note.contains("refuses a prefill"));
        let first = asked.lock().expect("no panic").len() == 2;
        assert_eq!(refused, first, "{notes:?}");
    }
    assert_eq!(
        *asked.lock().expect("no panic"),
        ["assistant", "user", "user"],
        "once refused, it is not tried again"
    );
}

#[tokio::test]
async fn without_another_way_a_refused_prefill_is_for_another_deployment() {
    let (provider, asked) = refusing(StatusCode::BAD_REQUEST, REFUSAL);
    let modes = Modes {
        prompted: false,
        ..ALL
    };
    let kind = FailureKind::Ineligible(Ineligible::Capability);
    for reach in [Reach::Sent, Reach::Refused] {
        let (request, _) = going_on(modes);
        let error = provider.clone().oneshot(request).await.expect_err("no way");
        let failure = failure_of(&*error).expect("classified");
        assert_eq!((failure.kind(), failure.reach()), (kind, reach));
    }
    assert_eq!(asked.lock().expect("no panic").len(), 1);
}

#[tokio::test]
async fn any_other_error_is_no_refusal_of_the_prefill() {
    for (status, words) in [
        (StatusCode::BAD_REQUEST, "max_tokens: too large"),
        (StatusCode::SERVICE_UNAVAILABLE, REFUSAL),
    ] {
        let (provider, asked) = refusing(status, words);
        let (request, _) = going_on(ALL);
        let error = provider.oneshot(request).await.expect_err("refused");
        let failure = failure_of(&*error).expect("classified");
        assert_eq!(failure.kind(), FailureKind::ServerError);
        assert_eq!(asked.lock().expect("no panic").len(), 1);
    }
}
