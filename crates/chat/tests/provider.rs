//! A dialect of lines over an HTTP client that does as it is told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::task::{Context, Poll};

use backstop_chat::{Chat, Chunk, Decode, Decoded, Dialect, Meta, Provider, ProviderError};
use backstop_core::{BoxError, Failure, FailureKind, failure_of};
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

    fn encode(&self, _: &Request<Chat>) -> Result<Request<Full<Bytes>>, ProviderError> {
        Ok(Request::default())
    }

    fn decoder(&self, _: &Chat, head: &Parts) -> Result<LineDecoder, ProviderError> {
        if head.headers.contains_key("content-type") {
            return Err(ProviderError::malformed("lines", "another type"));
        }
        Ok(LineDecoder::default())
    }

    fn failure(&self, answer: &Response<Bytes>) -> ProviderError {
        let failure = Failure::new(FailureKind::ServerError).with_status(answer.status());
        ProviderError::new("lines", failure)
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
        Ok(Some(Chunk::document(line.freeze(), Meta::default())))
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
    let mut response = head.body(Pieces(pieces.into_iter().collect())).ok();
    let client = service_fn(move |_: Request<Full<Bytes>>| {
        ready(Ok::<_, Infallible>(response.take().expect("asked once")))
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
