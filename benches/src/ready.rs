//! Services that have their answer at hand, and the requests for them.

use std::convert::Infallible;
use std::fmt::Write;
use std::future;
use std::pin::Pin;
use std::task::{Context, Poll};

use backstop::chat::Meta;
use backstop::{BoxError, Chat, Chunk, Failure, FailureKind};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use tower::Service;

const DOCUMENT: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;
const EVENT: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
const LAST: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

/// Answers every chat at once, and always the same.
#[derive(Clone, Debug)]
pub struct Ready {
    /// `None` fails.
    answer: Option<Frames>,
}

impl Ready {
    /// With a document of one chunk.
    #[must_use]
    pub fn document() -> Self {
        let mut meta = Meta::default();
        meta.text = true;
        meta.terminal = true;
        let last = Chunk::document(Bytes::from_static(DOCUMENT.as_bytes()), meta);
        Self::frames(Chunk::default(), 0, last)
    }

    /// With a stream of `chunks`, the last of which proves it complete.
    #[must_use]
    pub fn stream(chunks: usize) -> Self {
        let mut text = Meta::default();
        text.text = true;
        let mut terminal = Meta::default();
        terminal.terminal = true;
        Self::frames(
            Chunk::event(Bytes::from_static(EVENT.as_bytes()), text),
            chunks.saturating_sub(1),
            Chunk::event(Bytes::from_static(LAST.as_bytes()), terminal),
        )
    }

    /// With a server error.
    #[must_use]
    pub fn failing() -> Self {
        Self { answer: None }
    }

    fn frames(event: Chunk, left: usize, last: Chunk) -> Self {
        let frames = Frames {
            event,
            left,
            last: Some(last),
        };
        Self {
            answer: Some(frames),
        }
    }
}

impl Service<Request<Chat>> for Ready {
    type Response = Response<Frames>;
    type Error = BoxError;
    type Future = future::Ready<Result<Response<Frames>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Chat>) -> Self::Future {
        future::ready(match &self.answer {
            Some(frames) => Ok(Response::new(frames.clone())),
            None => Err(Failure::new(FailureKind::ServerError).into()),
        })
    }
}

/// The body of a [`Ready`] answer.
#[derive(Clone, Debug)]
pub struct Frames {
    event: Chunk,
    left: usize,
    last: Option<Chunk>,
}

impl Body for Frames {
    type Data = Chunk;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, BoxError>>> {
        let chunk = if self.left > 0 {
            self.left -= 1;
            Some(self.event.clone())
        } else {
            self.last.take()
        };
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.last.is_none()
    }
}

/// An HTTP service that answers every request with OpenAI's document.
#[derive(Clone, Copy, Debug)]
pub struct Http;

impl<B> Service<Request<B>> for Http {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = future::Ready<Result<Response<Full<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let body = Full::new(Bytes::from_static(DOCUMENT.as_bytes()));
        future::ready(Ok(Response::new(body)))
    }
}

/// A request in OpenAI's format of about this many bytes: a conversation of many messages.
#[must_use]
pub fn payload(bytes: usize) -> Bytes {
    let mut json = String::with_capacity(bytes + 512);
    json += r#"{"model": "smart", "temperature": 0.2, "messages": [{"role": "system", "content": "You are brief."}"#;
    let mut turn = 0;
    while json.len() < bytes {
        let role = if turn % 2 == 0 { "user" } else { "assistant" };
        let _ = write!(
            json,
            r#", {{"role": "{role}", "content": "Turn {turn}: the quick brown fox says \"hi\", jumps over the lazy dog, rests a while in the shade of a tree, and goes home before it rains.\nThen it reads."}}"#
        );
        turn += 1;
    }
    json += r#"], "max_tokens": 64}"#;
    json.into()
}
