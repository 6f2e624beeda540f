//! What a model string asks for.

mod read;

use crate::script::Style;
use std::time::Duration;

pub use self::read::{KNOWN, UnknownFault};

/// The most tokens that one answer has.
pub(crate) const MAX_TOKENS: usize = 10_000;

/// An error that a provider reports, each in its own words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Server,
    Unavailable,
    Overloaded,
    Timeout,
    /// With the hint in seconds.
    RateLimit(Option<f64>),
    Auth,
    Permission,
    NotFound,
    Invalid,
    Quota,
    Context,
    Filter,
}

/// How a body ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// Silence.
    Stall,
    /// A reset connection.
    Cut,
    /// A well-formed end of the HTTP body, without the provider's terminal.
    Eof,
    /// The provider's own error frame.
    Error,
    /// A frame that is damaged, and then a well-formed end of the HTTP body.
    Garbage,
}

/// A 200 that is not the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Garbage,
    Html,
    Empty,
    Truncated,
    WrongType,
}

/// Instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    Hang,
    Reset,
}

/// How a continuing answer treats the text that is already there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Seam {
    /// The rest; behind the quoted tail if the caller quotes one.
    #[default]
    AsAsked,
    NoAnchor,
    Paraphrase,
    Echo,
    Overlap(usize),
    Restart,
}

/// Everything that a model name says beside the model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) error: Option<Kind>,
    pub(crate) huge: bool,
    pub(crate) silence: Option<Silence>,
    pub(crate) shape: Option<Shape>,
    pub(crate) breaks: Option<(Break, usize)>,
    /// A reset after so many bytes of the body.
    pub(crate) cut_at: Option<usize>,
    pub(crate) filtered: Option<usize>,
    pub(crate) latency: Duration,
    pub(crate) ttft: Duration,
    pub(crate) slow: Duration,
    pub(crate) ping: Option<Duration>,
    pub(crate) done: bool,
    pub(crate) crlf: bool,
    pub(crate) comments: bool,
    pub(crate) split: bool,
    pub(crate) calls: usize,
    pub(crate) preamble: usize,
    pub(crate) tokens: usize,
    /// Prompt tokens that came from the cache, beside those of the prompt.
    pub(crate) cached: usize,
    /// Those that went there, for five minutes.
    pub(crate) written: usize,
    /// Those that went there for an hour.
    pub(crate) written_1h: usize,
    pub(crate) style: Style,
    pub(crate) seam: Seam,
    /// A conversation that ends with the assistant is refused, whatever the model.
    pub(crate) refuses_prefill: bool,
    /// Where it reports that it ran.
    pub(crate) geo: Option<String>,
    /// The faults hold for this many requests to the model string, and no longer.
    pub(crate) first: Option<u64>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            error: None,
            huge: false,
            silence: None,
            shape: None,
            breaks: None,
            cut_at: None,
            filtered: None,
            latency: Duration::ZERO,
            ttft: Duration::ZERO,
            slow: Duration::ZERO,
            ping: None,
            done: true,
            crlf: false,
            comments: false,
            split: false,
            calls: 0,
            preamble: 0,
            tokens: 64,
            cached: 0,
            written: 0,
            written_1h: 0,
            style: Style::Ascii,
            seam: Seam::AsAsked,
            refuses_prefill: false,
            geo: None,
            first: None,
        }
    }
}

impl Plan {
    /// The same answer with nothing wrong: what is left once `first=n` requests were made.
    pub(crate) fn healthy(&self) -> Self {
        Self {
            tokens: self.tokens,
            cached: self.cached,
            written: self.written,
            written_1h: self.written_1h,
            style: self.style,
            calls: self.calls,
            preamble: self.preamble,
            seam: self.seam,
            ..Self::default()
        }
    }
}
