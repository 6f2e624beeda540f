use backstop_chat::answer::Whole;
use backstop_chat::{Chunk, ProviderError, emit};
use backstop_core::UsageSource;
use bytes::BytesMut;

use super::{malformed, window_full};
use crate::event::{Message, WINDOW_FULL, finish};
use crate::{PROVIDER, classify};

/// A single JSON document: the whole body.
#[derive(Debug)]
pub(super) struct Document {
    created: u64,
    whole: Whole,
    /// A stream was asked for, so the document can only be an error.
    wanted_stream: bool,
}

impl Document {
    pub(super) const fn new(created: u64, wanted_stream: bool) -> Self {
        Self {
            created,
            whole: Whole::new(PROVIDER),
            wanted_stream,
        }
    }

    pub(super) fn decode(&self, input: &BytesMut) -> Result<Option<Chunk>, ProviderError> {
        self.whole.check(input).map(|()| None)
    }

    pub(super) fn finish(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
        let Some(body) = self.whole.take(input)? else {
            return Ok(None);
        };
        if body.starts_with(b"[") {
            return Err(malformed("a list of answers"));
        }
        let message: Message<'_> =
            serde_json::from_slice(&body).map_err(|error| self.whole.unreadable(&error))?;
        if message.error.is_some() {
            return Err(classify::in_body(&body));
        }
        if self.wanted_stream {
            return Err(malformed("asked for a stream, got JSON"));
        }
        if message.kind.as_deref() != Some("message") {
            return Err(malformed("not a message"));
        }
        let reason = message
            .stop_reason
            .ok_or_else(|| malformed("a message without a stop reason"))?;

        let mut text = String::new();
        let mut thinking = String::new();
        let mut calls = Vec::new();
        for block in message.content.into_iter().flatten() {
            match &*block.kind {
                "text" => text.push_str(block.text.as_deref().unwrap_or_default()),
                "thinking" => thinking.push_str(block.thinking.as_deref().unwrap_or_default()),
                "tool_use" => {
                    let (Some(id), Some(name)) = (block.id, block.name) else {
                        return Err(malformed("a call without an id or a name"));
                    };
                    let input = block.input.map_or("{}", |input| input.get());
                    calls.push((id.0.into_owned(), name.0.into_owned(), input.to_owned()));
                }
                // What Anthropic's own tools did is not part of the answer in OpenAI's format.
                _ => {}
            }
        }
        if &*reason == WINDOW_FULL && text.is_empty() && calls.is_empty() {
            return Err(window_full());
        }
        let document = emit::Document {
            id: message.id.as_deref().unwrap_or_default(),
            model: message.model.as_deref().unwrap_or_default(),
            created: self.created,
            text: (!text.is_empty()).then_some(&text),
            reasoning: (!thinking.is_empty()).then_some(&thinking),
            tool_calls: &calls,
            finish: finish(&reason),
            usage: message
                .usage
                .map(|counts| counts.usage(UsageSource::Provider)),
        };
        let place = message.usage.and_then(|counts| counts.place());
        Ok(Some(document.into_chunk().with_place(place)))
    }
}
