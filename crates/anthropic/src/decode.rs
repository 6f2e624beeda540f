//! Reads answers: streams of events, and single documents.

use std::time::UNIX_EPOCH;

use backstop_chat::{Chat, Chunk, Decode, ProviderError};
use backstop_core::{Failure, FailureKind, wall};
use bytes::BytesMut;
use http::header::CONTENT_TYPE;
use http::response::Parts;

use self::document::Document;
use self::stream::Stream;
use crate::PROVIDER;

mod document;
mod stream;

/// Reads one answer of Anthropic's, into OpenAI's format.
///
/// A stream is complete with `message_stop`; where that is missing, with a `message_delta` that gives the reason.
#[derive(Debug)]
pub struct Decoder(Form);

#[derive(Debug)]
enum Form {
    Stream(Box<Stream>),
    Document(Document),
}

impl Decoder {
    pub(crate) fn new(chat: &Chat, head: &Parts) -> Result<Self, ProviderError> {
        let media = head
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(|value| value.split(';').next().unwrap_or(value).trim());
        let is = |name| media.is_some_and(|media: &str| media.eq_ignore_ascii_case(name));
        if is("text/html") {
            return Err(malformed("an HTML page"));
        }
        if !chat.stream() && is("text/event-stream") {
            return Err(malformed("asked for JSON, got a stream"));
        }
        let created = wall::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        Ok(Self(if chat.stream() && !is("application/json") {
            Form::Stream(Box::new(Stream::new(created, chat.include_usage())))
        } else {
            Form::Document(Document::new(created, chat.stream()))
        }))
    }
}

impl Decode for Decoder {
    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
        match &mut self.0 {
            Form::Stream(stream) => stream.decode(input),
            Form::Document(document) => document.decode(input),
        }
    }

    fn finish(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
        match &mut self.0 {
            Form::Stream(stream) => stream.finish(input),
            Form::Document(document) => document.finish(input),
        }
    }

    fn is_done(&self) -> bool {
        match &self.0 {
            Form::Stream(stream) => stream.is_done(),
            Form::Document(_) => false,
        }
    }
}

fn malformed(what: &'static str) -> ProviderError {
    ProviderError::malformed(PROVIDER, what)
}

fn window_full() -> ProviderError {
    let failure = Failure::new(FailureKind::ContextWindow)
        .with_detail("the context window was full before the answer began");
    ProviderError::new(PROVIDER, failure)
}
