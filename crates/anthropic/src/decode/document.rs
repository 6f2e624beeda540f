use backstop_chat::{Chunk, ProviderError, emit};
use backstop_core::UsageSource;
use bytes::BytesMut;

use super::{malformed, window_full};
use crate::event::{Message, WINDOW_FULL, finish};
use crate::{PROVIDER, classify};

/// How large an answer may get.
const LIMIT: usize = 64 * 1024 * 1024;

/// A single JSON document: the whole body.
#[derive(Debug)]
pub(super) struct Document {
    created: u64,
    /// A stream was asked for, so the document can only be an error.
    wanted_stream: bool,
    over: bool,
}

impl Document {
    pub(super) const fn new(created: u64, wanted_stream: bool) -> Self {
        Self {
            created,
            wanted_stream,
            over: false,
        }
    }

    #[expect(
        clippy::needless_pass_by_ref_mut,
        clippy::unused_self,
        reason = "as `Decode` has it"
    )]
    pub(super) fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
        if input.len() > LIMIT {
            return Err(malformed("an answer of more than 64 MiB"));
        }
        Ok(None)
    }

    pub(super) fn finish(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
        if self.over {
            return Ok(None);
        }
        self.over = true;
        let body = input.split();
        match body.trim_ascii_start().first() {
            None => return Err(malformed("an empty body")),
            Some(b'{') => {}
            Some(b'<') => return Err(malformed("an HTML page")),
            Some(_) => return Err(malformed("not a JSON object")),
        }
        let message: Message<'_> = serde_json::from_slice(&body).map_err(|error| {
            if error.is_eof() {
                ProviderError::truncated(PROVIDER)
            } else {
                malformed("JSON of another shape")
            }
        })?;
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
        Ok(Some(document.into_chunk()))
    }
}
