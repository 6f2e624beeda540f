//! The events of a stream, and a whole answer: only what a translation needs, borrowed where there are no escapes.

use backstop_chat::{Finish, Text};
use backstop_core::{Usage, UsageSource};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Any event. Which of the fields are there follows from `kind`.
#[derive(Debug, Deserialize)]
pub(crate) struct Event<'a> {
    #[serde(rename = "type", borrow)]
    pub(crate) kind: Text<'a>,
    /// Of `message_start`.
    #[serde(borrow)]
    pub(crate) message: Option<Started<'a>>,
    /// Of `content_block_…`.
    #[serde(default)]
    pub(crate) index: u32,
    /// Of `content_block_start`.
    #[serde(borrow)]
    pub(crate) content_block: Option<Block<'a>>,
    /// Of `content_block_delta` and `message_delta`.
    #[serde(borrow)]
    pub(crate) delta: Option<Delta<'a>>,
    /// Of `message_delta`.
    pub(crate) usage: Option<Counts>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Started<'a> {
    #[serde(borrow)]
    pub(crate) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) model: Option<Text<'a>>,
    pub(crate) usage: Option<Counts>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Delta<'a> {
    #[serde(rename = "type", borrow)]
    pub(crate) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) text: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) partial_json: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) thinking: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) stop_reason: Option<Text<'a>>,
}

/// A block, as it begins or as a whole.
#[derive(Debug, Deserialize)]
pub(crate) struct Block<'a> {
    #[serde(rename = "type", borrow)]
    pub(crate) kind: Text<'a>,
    #[serde(borrow)]
    pub(crate) text: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) thinking: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) input: Option<&'a RawValue>,
}

/// An answer that is not streamed.
#[derive(Debug, Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(rename = "type", borrow)]
    pub(crate) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) model: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) content: Option<Vec<Block<'a>>>,
    #[serde(borrow)]
    pub(crate) stop_reason: Option<Text<'a>>,
    pub(crate) usage: Option<Counts>,
    #[serde(borrow)]
    pub(crate) error: Option<&'a RawValue>,
}

/// Tokens. Input excludes what the cache took.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Counts {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    /// The same again, by how long it is kept.
    cache_creation: Option<Written>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
    #[serde(default, rename = "inference_geo")]
    place: Place,
}

/// What was written to the cache.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Written {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

/// Where it ran. A name that we do not know is no place's, and so can be nobody's; models that know no geography say
/// `not_available`.
#[derive(Clone, Copy, Debug, Default)]
struct Place(Option<&'static str>);

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let reported = Option::<Text<'_>>::deserialize(json)?;
        Ok(Self(reported.and_then(|name| match &*name {
            "us" => Some("us"),
            "global" => Some("global"),
            "not_available" => None,
            _ => Some("elsewhere"),
        })))
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

impl Counts {
    /// Takes over what a later report says: reports are running totals.
    pub(crate) fn update(&mut self, later: Self) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.cache_creation_input_tokens = later
            .cache_creation_input_tokens
            .or(self.cache_creation_input_tokens);
        self.cache_creation = later.cache_creation.or(self.cache_creation);
        self.cache_read_input_tokens = later
            .cache_read_input_tokens
            .or(self.cache_read_input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.output_tokens_details = later.output_tokens_details.or(self.output_tokens_details);
        self.place = Place(later.place.0.or(self.place.0));
    }

    /// Where it ran, if it says so.
    pub(crate) const fn place(&self) -> Option<&'static str> {
        self.place.0
    }

    /// In OpenAI's terms: the input includes the cache.
    pub(crate) fn usage(&self, source: UsageSource) -> Usage {
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let written = self.cache_creation.unwrap_or_default();
        let hour = written.ephemeral_1h_input_tokens.unwrap_or(0);
        let by_time = hour.saturating_add(written.ephemeral_5m_input_tokens.unwrap_or(0));
        let cache_write = self.cache_creation_input_tokens.unwrap_or(0).max(by_time);
        let input = self.input_tokens.unwrap_or(0);
        let mut usage = Usage::reported(
            input.saturating_add(cached).saturating_add(cache_write),
            self.output_tokens.unwrap_or(0),
        );
        usage.cached = cached;
        usage.cache_write = cache_write;
        usage.cache_write_1h = hour;
        usage.reasoning = self
            .output_tokens_details
            .and_then(|details| details.thinking_tokens)
            .unwrap_or(0);
        usage.source = source;
        usage
    }
}

/// The stop reason that is a failure where nothing was said before it.
pub(crate) const WINDOW_FULL: &str = "model_context_window_exceeded";

/// What a stop reason is in OpenAI's terms. A new one ends an answer like any other.
pub(crate) fn finish(reason: &str) -> Finish {
    match reason {
        "end_turn" | "stop_sequence" => Finish::Stop,
        "tool_use" => Finish::ToolCalls,
        // A server's own tool loop paused: what there is, is not all.
        "max_tokens" | "pause_turn" | WINDOW_FULL => Finish::Length,
        "refusal" => Finish::ContentFilter,
        _ => Finish::Other,
    }
}
