//! Answers in OpenAI's format, for providers of other formats: [`Writer`] for streams, [`Document`] for the rest, and
//! [`answer`] for a text that is there already.

mod document;
mod writer;

use std::time::UNIX_EPOCH;

use backstop_core::{Trail, Usage, wall};
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

pub use self::document::Document;
pub use self::writer::Writer;
use crate::{Body, Chat, Finish};

/// The answer of `model` to `chat` where its text is there already: a stream or a document, as the caller asked.
///
/// ```
/// use backstop_chat::{Chat, emit};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), backstop_core::BoxError> {
/// let chat = Chat::user("Who are you?");
/// assert_eq!(emit::answer(&chat, "echo", "Who are you?").text().await?, "Who are you?");
/// assert_eq!(emit::answer(&chat.streamed(true), "echo", "Who are you?").text().await?, "Who are you?");
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn answer(chat: &Chat, model: &str, text: &str) -> Body {
    let id = format!("chatcmpl-{}", Trail::start().id());
    let now = wall::now().duration_since(UNIX_EPOCH);
    let created = now.map_or(0, |since| since.as_secs());
    if chat.stream() {
        let writer = Writer::new(&id, model, created, chat.include_usage());
        return Body::of([
            writer.role(),
            writer.text(text),
            writer.finish(Finish::Stop, true),
        ]);
    }
    Body::once(Document::new(&id, model, created, text).into_chunk())
}

/// What is called: in a document, whole; in a stream, as far as a delta says.
#[derive(Serialize)]
struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

/// Usage as OpenAI shows it.
struct Shown<'a>(&'a Usage);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Prompt {
            cached_tokens: u64,
            cache_write_tokens: u64,
        }

        #[derive(Serialize)]
        struct Completion {
            reasoning_tokens: u64,
        }

        let usage = self.0;
        let mut shown = serializer.serialize_struct("Usage", 5)?;
        shown.serialize_field("prompt_tokens", &usage.input)?;
        shown.serialize_field("completion_tokens", &usage.output)?;
        shown.serialize_field("total_tokens", &usage.input.saturating_add(usage.output))?;
        let prompt = Prompt {
            cached_tokens: usage.cached,
            cache_write_tokens: usage.cache_write,
        };
        shown.serialize_field("prompt_tokens_details", &prompt)?;
        let completion = Completion {
            reasoning_tokens: usage.reasoning,
        };
        shown.serialize_field("completion_tokens_details", &completion)?;
        shown.end()
    }
}

#[cfg(test)]
mod tests;
