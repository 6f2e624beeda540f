//! What the three wire formats have in common, and what each must say for itself.

use crate::{
    answer::{Answer, Ask},
    plan::Kind,
    steps::NOISE,
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

/// A wire format that the simulator speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// OpenAI chat completions.
    OpenAi,
    /// Anthropic messages.
    Anthropic,
    /// Bedrock Converse.
    Bedrock,
}

impl Provider {
    /// `openai`, `anthropic` or `bedrock`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Bedrock => "bedrock",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::OpenAi, Self::Anthropic, Self::Bedrock]
            .into_iter()
            .find(|p| p.name() == name)
    }
}

/// One wire format.
pub(crate) trait Api {
    const PROVIDER: Provider;
    /// The content type of a stream.
    const STREAM: &'static str;
    /// Whether a prompt is blocked with a 200 for want of an error that says so.
    const FILTERS_IN_200: bool = false;
    /// How a model refuses a conversation that ends with the assistant.
    const NO_PREFILL: &'static str;

    /// The model and whether a stream is asked for, if the path is one of this provider's.
    fn call(path: &str, json: &Value) -> Option<(String, bool)>;

    /// The caller's key.
    fn key(headers: &HeaderMap) -> Option<&str>;

    /// Refuses what the provider would refuse.
    fn check(headers: &HeaderMap, base: &str, json: &Value) -> Result<Ask, Failure>;

    /// The headers of every response.
    fn headers(seq: u64, headers: &mut HeaderMap);

    /// A failure as this provider reports it.
    fn error(failure: &Failure, base: &str, seq: u64) -> Report;

    /// The answer in one piece.
    fn whole(ask: &Ask, answer: &Answer, seq: u64) -> Bytes;

    /// The answer as a stream.
    fn frames(ask: &Ask, answer: &Answer, seq: u64) -> Vec<Frame>;

    /// A failure in a stream that has begun; no kind stands for the provider's usual one.
    fn error_frames(kind: Option<Kind>, base: &str) -> Vec<Bytes>;

    /// A frame of a stream with an error in it that no network noticed: of events, half of one, and noise.
    fn damaged(frame: &Bytes) -> Bytes {
        [&frame[..frame.len() / 2], NOISE, b"\n\n"].concat().into()
    }

    /// What keeps a silent stream alive.
    fn ping() -> Option<Bytes>;
}

/// A refusal: its kind, and the words for it where validation has better ones than the kind's own.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: Option<String>,
    pub(crate) param: Option<String>,
    pub(crate) code: Option<&'static str>,
}

impl From<Kind> for Failure {
    fn from(kind: Kind) -> Self {
        Self {
            kind,
            message: None,
            param: None,
            code: None,
        }
    }
}

impl Failure {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::from(Kind::Invalid).says(message)
    }

    pub(crate) fn says(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    pub(crate) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }
}

/// A failure on the wire.
pub(crate) struct Report {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// A header value out of text that the simulator made itself.
pub(crate) fn put(headers: &mut HeaderMap, name: &'static str, value: impl AsRef<str>) {
    let value =
        HeaderValue::from_str(value.as_ref()).expect("our own header values are visible ASCII");
    headers.insert(HeaderName::from_static(name), value);
}

/// One event of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Bytes,
    /// Whether it is one of the chunks that faults count.
    pub(crate) content: bool,
}

/// Collects frames that share one allocation.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    buffer: BytesMut,
    frames: Vec<Frame>,
}

impl Frames {
    pub(crate) fn push(&mut self, content: bool, write: impl FnOnce(&mut BytesMut)) {
        write(&mut self.buffer);
        self.frames.push(Frame {
            bytes: self.buffer.split().freeze(),
            content,
        });
    }

    pub(crate) fn with_capacity(bytes: usize, frames: usize) -> Self {
        Self {
            buffer: BytesMut::with_capacity(bytes),
            frames: Vec::with_capacity(frames),
        }
    }

    pub(crate) fn finish(self) -> Vec<Frame> {
        self.frames
    }
}

/// A part of a URL without its percent escapes.
pub(crate) fn decoded(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| std::str::from_utf8(tail.get(..2)?).ok())
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The version of a Claude model by its name: `(4, 6)` for `us.anthropic.claude-sonnet-4-6-v1:0`.
///
/// None for other families; a name without a number is the newest.
pub(crate) fn claude(model: &str) -> Option<(u32, u32)> {
    let (_, name) = model.split_once("claude")?;
    let mut numbers = name
        .split(['-', '.', '@'])
        .skip_while(|part| part.parse::<u32>().is_err())
        .map_while(|part| part.parse::<u32>().ok().filter(|_| part.len() <= 2));
    let Some(major) = numbers.next() else {
        return Some((u32::MAX, 0));
    };
    Some((major, numbers.next().unwrap_or(0)))
}

/// Whether the model takes a conversation that ends with the assistant, and goes on with that turn.
pub(crate) fn takes_prefill(model: &str) -> bool {
    claude(model).is_some_and(|version| version < (4, 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_what_is_none_stays() {
        for (escaped, plain) in [
            ("a%2Bb%3a", "a+b:"),
            ("a%2", "a%2"),
            ("%zz%", "%zz%"),
            ("", ""),
        ] {
            assert_eq!(decoded(escaped), plain);
        }
    }

    #[test]
    fn claude_versions_are_read_from_their_names() {
        for (model, version) in [
            ("claude-sonnet-4-6", Some((4, 6))),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Some((4, 5))),
            ("anthropic.claude-3-5-sonnet-20241022-v2:0", Some((3, 5))),
            ("claude-opus-4-20250514", Some((4, 0))),
            ("claude-3-7-sonnet-latest", Some((3, 7))),
            ("claude-opus-5-5", Some((5, 5))),
            ("claude-mythos-preview", Some((u32::MAX, 0))),
            ("amazon.nova-pro-v1:0", None),
        ] {
            assert_eq!(claude(model), version, "{model}");
        }
    }
}
