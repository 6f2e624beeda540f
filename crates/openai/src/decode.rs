//! Reads answers: streams of events, and single documents.

use backstop_chat::{Chat, Chunk, Decode, Meta, ProviderError, answer};
use backstop_core::{Failure, FailureKind};
use bytes::BytesMut;
use http::response::Parts;

use self::document::Document;
use self::stream::Stream;
use crate::finish::{Ending, ending};
use crate::frame::{Choice, Frame};
use crate::key::Key;

mod document;
mod stream;

/// Reads one answer of a server that speaks OpenAI's format.
///
/// Streams go on frame by frame as they came, without a copy. A stream is complete when each choice has its
/// finish reason; `[DONE]` alone proves nothing, and its absence behind the reasons is forgiven.
#[derive(Debug)]
pub struct Decoder {
    form: Form,
    /// What no error may repeat.
    key: Key,
}

#[derive(Debug)]
enum Form {
    Stream(Stream),
    Document(Document),
}

impl Decoder {
    pub(crate) fn new(
        provider: &'static str,
        chat: &Chat,
        head: &Parts,
        hide_usage: bool,
        key: Key,
    ) -> Result<Self, ProviderError> {
        let form = match answer::Form::of(provider, chat, head)? {
            answer::Form::Events => {
                let choices = chat
                    .member("n")
                    .filter(|_| chat.needs().several)
                    .and_then(|n| n.parse().ok());
                Form::Stream(Stream::new(provider, choices.unwrap_or(1), hide_usage))
            }
            answer::Form::Document => Form::Document(Document::new(provider, false)),
            answer::Form::NoStream => Form::Document(Document::new(provider, true)),
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

/// Notes what `choice` says.
fn notice(meta: &mut Meta, choice: &Choice<'_>) {
    if let Some(said) = choice.said() {
        meta.text |= said.content.0 || said.audio.0;
        meta.refusal |= said.refusal.0;
        meta.reasoning |= said.reasoning.0 || said.reasoning_content.0;
        meta.tool_call |= said.tool_calls.0 || said.function_call.0;
    }
}

/// The error that a frame is, if it is one.
fn error_in(provider: &'static str, frame: &Frame<'_>, json: &[u8]) -> Option<ProviderError> {
    if frame.is_error() {
        return Some(crate::classify::in_body(provider, json));
    }
    frame.is_blocked().then(|| {
        let failure =
            Failure::new(FailureKind::ContentFilter).with_detail("the prompt was blocked");
        ProviderError::new(provider, failure)
    })
}

fn unfinished(provider: &'static str, kind: FailureKind) -> ProviderError {
    let failure = Failure::new(kind).with_detail("the provider gave up on the answer");
    ProviderError::new(provider, failure)
}

/// Replaces pieces of `json`, each a slice of it and in order.
fn splice(json: &[u8], pieces: &[(&str, &str)]) -> Vec<u8> {
    let start = json.as_ptr() as usize;
    let mut out = Vec::with_capacity(json.len() + 16);
    let mut copied = 0;
    for (piece, by) in pieces {
        let at = piece.as_ptr() as usize - start;
        out.extend_from_slice(&json[copied..at]);
        out.extend_from_slice(by.as_bytes());
        copied = at + piece.len();
    }
    out.extend_from_slice(&json[copied..]);
    out
}

/// The finish reason of a choice and what it means, with its place in the JSON.
fn ending_of<'a>(choice: &Choice<'a>) -> Option<(&'a str, Ending)> {
    let (raw, word) = choice.finish_reason()?;
    Some((raw, ending(word)))
}
