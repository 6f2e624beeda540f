//! Reads answers: streams of events, and single documents.

use std::time::UNIX_EPOCH;

use backstop_chat::{Chat, Chunk, Decode, ProviderError, answer};
use backstop_core::{Failure, FailureKind, wall};
use bytes::BytesMut;
use http::response::Parts;

use self::document::Document;
use self::stream::Stream;
use crate::PROVIDER;
use crate::key::Key;

mod document;
mod stream;

/// Reads one answer of Anthropic's, into OpenAI's format.
///
/// A stream is complete with `message_stop`; where that is missing, with a `message_delta` that gives the reason.
#[derive(Debug)]
pub struct Decoder {
    form: Form,
    key: Key,
}

#[derive(Debug)]
enum Form {
    Stream(Box<Stream>),
    Document(Document),
}

impl Decoder {
    /// `key` is what no error may repeat.
    pub(crate) fn new(chat: &Chat, head: &Parts, key: Key) -> Result<Self, ProviderError> {
        let created = wall::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let form = match answer::Form::of(PROVIDER, chat, head)? {
            answer::Form::Events => {
                Form::Stream(Box::new(Stream::new(created, chat.include_usage())))
            }
            answer::Form::Document => Form::Document(Document::new(created, false)),
            answer::Form::NoStream => Form::Document(Document::new(created, true)),
        };
        Ok(Self { form, key })
    }
}

impl Decode for Decoder {
    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
        let decoded = match &mut self.form {
            Form::Stream(stream) => stream.decode(input),
            Form::Document(document) => document.decode(input),
        };
        decoded.map_err(|error| self.key.hide(error))
    }

    fn finish(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
        let decoded = match &mut self.form {
            Form::Stream(stream) => stream.finish(input),
            Form::Document(document) => document.finish(input),
        };
        decoded.map_err(|error| self.key.hide(error))
    }

    fn is_done(&self) -> bool {
        match &self.form {
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
