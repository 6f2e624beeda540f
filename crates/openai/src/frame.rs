//! One pass over the JSON of a frame: is there something in it, does it end, does it fail? Everything is
//! borrowed; only a second choice, and strings with escapes, allocate.

use std::fmt;

use backstop_chat::Text;
use backstop_core::{Usage, UsageSource};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A chunk of a stream, or a whole answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Frame<'a> {
    #[serde(borrow)]
    object: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) choices: Choices<'a>,
    usage: Option<Counts>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(rename = "promptFeedback")]
    prompt_feedback: Option<PromptFeedback>,
}

impl<'a> Frame<'a> {
    /// Reads a frame.
    pub(crate) fn parse(json: &'a [u8]) -> serde_json::Result<Self> {
        // Checking every short string for itself costs a quarter of the parsing; once will do. If that fails, what is
        // wrong may stand where nobody reads.
        match std::str::from_utf8(json) {
            Ok(text) => serde_json::from_str(text),
            Err(_) => serde_json::from_slice(json),
        }
    }

    /// Whether it is an error, whatever else it is.
    pub(crate) fn is_error(&self) -> bool {
        let stands = |error: &&RawValue| !matches!(error.get(), "false" | "\"\"" | "{}" | "0");
        self.error.as_ref().is_some_and(stands) || self.object.as_deref() == Some("error")
    }

    /// Whether Gemini blocked the prompt, which it says instead of answering.
    pub(crate) fn is_blocked(&self) -> bool {
        self.prompt_feedback
            .as_ref()
            .is_some_and(|feedback| feedback.block_reason.is_some())
            && self.choices.is_empty()
    }

    /// The usage in it, reported at the end of the answer or, as running totals, before.
    pub(crate) fn usage(&self, source: UsageSource) -> Option<Usage> {
        let counts = self.usage.as_ref()?;
        let mut usage = Usage::reported(counts.prompt_tokens.0, counts.completion_tokens.0);
        if let Some(details) = &counts.prompt_tokens_details {
            usage.cached = details.cached_tokens.0;
            usage.cache_write = details.cache_write_tokens.0;
        }
        // DeepSeek's own name.
        usage.cached = usage.cached.max(counts.prompt_cache_hit_tokens.0);
        if let Some(details) = &counts.completion_tokens_details {
            usage.reasoning = details.reasoning_tokens.0;
        }
        usage.source = source;
        Some(usage)
    }
}

#[derive(Debug, Deserialize)]
struct PromptFeedback {
    #[serde(rename = "blockReason")]
    block_reason: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Counts {
    #[serde(default)]
    prompt_tokens: Count,
    #[serde(default)]
    completion_tokens: Count,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    #[serde(default)]
    prompt_cache_hit_tokens: Count,
}

#[derive(Debug, Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Count,
    #[serde(default)]
    cache_write_tokens: Count,
}

#[derive(Debug, Deserialize)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Count,
}

/// A number of tokens. Nobody should lose an answer because its count is `null` or `9.0`.
#[derive(Debug, Default)]
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_u64<E>(self, count: u64) -> Result<Count, E> {
                Ok(Count(count))
            }

            fn visit_i64<E>(self, count: i64) -> Result<Count, E> {
                Ok(Count(count.try_into().unwrap_or(0)))
            }

            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "`as` saturates, and a negative count is none"
            )]
            fn visit_f64<E>(self, count: f64) -> Result<Count, E> {
                Ok(Count(count as u64))
            }

            fn visit_unit<E>(self) -> Result<Count, E> {
                Ok(Count(0))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// The choices: nearly always one.
#[derive(Debug, Default)]
pub(crate) struct Choices<'a> {
    first: Option<Choice<'a>>,
    rest: Vec<Choice<'a>>,
}

impl<'a> Choices<'a> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Choice<'a>> {
        self.first.iter().chain(&self.rest)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Choices<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of choices")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Choices::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut choices = Choices {
                    first: seq.next_element()?,
                    rest: Vec::new(),
                };
                while let Some(choice) = seq.next_element()? {
                    choices.rest.push(choice);
                }
                Ok(choices)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Choice<'a> {
    index: Option<u32>,
    /// Of a stream.
    delta: Option<Said>,
    /// Of a whole answer.
    message: Option<Said>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

impl<'a> Choice<'a> {
    pub(crate) fn index(&self) -> u32 {
        self.index.unwrap_or(0)
    }

    /// What is said in it.
    pub(crate) fn said(&self) -> Option<&Said> {
        self.delta.as_ref().or(self.message.as_ref())
    }

    /// Its finish reason as it stands in the JSON, quotes included, and without them.
    pub(crate) fn finish_reason(&self) -> Option<(&'a str, &'a str)> {
        let raw = self.finish_reason?.get();
        let word = raw.strip_prefix('"')?.strip_suffix('"')?;
        (!word.is_empty()).then_some((raw, word))
    }
}

/// What is in a delta or a message: only whether something is.
#[derive(Debug, Deserialize)]
pub(crate) struct Said {
    #[serde(default)]
    pub(crate) content: Filled,
    #[serde(default)]
    pub(crate) refusal: Filled,
    /// DeepSeek, vLLM.
    #[serde(default)]
    pub(crate) reasoning_content: Filled,
    /// OpenRouter, Ollama, newer vLLM.
    #[serde(default)]
    pub(crate) reasoning: Filled,
    #[serde(default)]
    pub(crate) tool_calls: Filled,
    /// The older form of `tool_calls`.
    #[serde(default)]
    pub(crate) function_call: Filled,
    #[serde(default)]
    pub(crate) audio: Filled,
}

/// Whether a value is there and not empty.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filled(pub(crate) bool);

impl<'de> Deserialize<'de> for Filled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Filled;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Filled, E> {
                Ok(Filled(!text.is_empty()))
            }

            fn visit_unit<E>(self) -> Result<Filled, E> {
                Ok(Filled(false))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Filled, E> {
                Ok(Filled(value))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Filled, E> {
                Ok(Filled(true))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Filled, E> {
                Ok(Filled(true))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Filled, E> {
                Ok(Filled(true))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Filled, A::Error> {
                let mut filled = false;
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    filled = true;
                }
                Ok(Filled(filled))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Filled, A::Error> {
                let mut filled = false;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    filled = true;
                }
                Ok(Filled(filled))
            }
        }

        deserializer.deserialize_any(Any)
    }
}
