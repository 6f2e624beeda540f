use std::ops::Range;

use backstop_core::{Failure, FailureKind, Frame, Usage};
use bytes::{Buf, Bytes};

/// One frame of an answer in OpenAI's format.
///
/// Of a stream: one server-sent event, ready to be written (`data: {…}` and the blank line), or a comment. Of an
/// answer that is not streamed: the whole JSON document. Some frames only carry news for the layers and have no
/// bytes. It is a [`Buf`] over its bytes.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    bytes: Bytes,
    json: Range<usize>,
    meta: Meta,
}

/// What was noticed of a frame while framing it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meta {
    /// It holds text of the answer.
    pub text: bool,
    /// It holds a tool call or a part of one.
    pub tool_call: bool,
    /// It holds visible reasoning.
    pub reasoning: bool,
    /// It holds a refusal in the model's own words.
    pub refusal: bool,
    /// It says why the answer ends.
    pub finish: Option<Finish>,
    /// It proves that the answer is complete.
    pub terminal: bool,
    /// The tokens so far.
    pub usage: Option<Usage>,
    /// Where the provider reports that it ran, as a region's, country's or jurisdiction's name.
    pub place: Option<&'static str>,
    /// What came before it is void, and the answer begins again: only where it is [`Collected`](crate::Collected).
    pub again: bool,
}

/// Why an answer ends, in OpenAI's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finish {
    /// It is said.
    Stop,
    /// The bound on its length was reached.
    Length,
    /// Tools are to be called.
    ToolCalls,
    /// A filter stopped it, or the model refused.
    ContentFilter,
    /// A reason that OpenAI's format does not know.
    Other,
}

impl Finish {
    /// The `finish_reason` of the wire format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop | Self::Other => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }

    /// Reads the `finish_reason` of the wire format.
    #[must_use]
    pub fn parse(reason: &str) -> Self {
        match reason {
            "stop" => Self::Stop,
            "length" => Self::Length,
            "tool_calls" | "function_call" => Self::ToolCalls,
            "content_filter" => Self::ContentFilter,
            _ => Self::Other,
        }
    }
}

const DATA: &[u8] = b"data: ";

impl Chunk {
    /// A whole answer: one JSON document.
    #[must_use]
    pub fn document(json: impl Into<Bytes>, meta: Meta) -> Self {
        let bytes = json.into();
        Self {
            json: 0..bytes.len(),
            bytes,
            meta,
        }
    }

    /// An event whose bytes are exactly `data: `, JSON on one line, and a blank line.
    #[must_use]
    pub fn event(frame: impl Into<Bytes>, meta: Meta) -> Self {
        let bytes = frame.into();
        debug_assert!(
            bytes.starts_with(DATA) && bytes.ends_with(b"\n\n"),
            "an event frame: {bytes:?}"
        );
        Self {
            json: DATA.len()..bytes.len().saturating_sub(2).max(DATA.len()),
            bytes,
            meta,
        }
    }

    /// An event with this JSON, which must be on one line.
    #[must_use]
    pub fn event_of(json: &[u8], meta: Meta) -> Self {
        let mut frame = Vec::with_capacity(DATA.len() + json.len() + 2);
        frame.extend_from_slice(DATA);
        frame.extend_from_slice(json);
        frame.extend_from_slice(b"\n\n");
        Self::event(frame, meta)
    }

    /// A comment: a sign of life that no client takes for an answer.
    #[must_use]
    pub fn comment() -> Self {
        Self {
            bytes: Bytes::from_static(b":\n\n"),
            json: 0..0,
            meta: Meta::default(),
        }
    }

    /// The same, which says where its provider ran.
    #[must_use]
    pub const fn with_place(mut self, place: Option<&'static str>) -> Self {
        self.meta.place = place;
        self
    }

    /// The same event with a comment line directly before its data.
    #[must_use]
    pub fn with_comment(self, comment: &str) -> Self {
        let mut bytes = Vec::with_capacity(comment.len() + 3 + self.bytes.len());
        bytes.extend_from_slice(b": ");
        bytes.extend(
            comment
                .bytes()
                .filter(|byte| !matches!(byte, b'\r' | b'\n')),
        );
        bytes.push(b'\n');
        let before = bytes.len();
        bytes.extend_from_slice(&self.bytes);
        Self {
            bytes: bytes.into(),
            json: self.json.start + before..self.json.end + before,
            meta: self.meta,
        }
    }

    /// News for the layers alone.
    #[must_use]
    pub fn silent(meta: Meta) -> Self {
        Self {
            bytes: Bytes::new(),
            json: 0..0,
            meta,
        }
    }

    /// What was noticed of it.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Whether it is a whole answer, in one document.
    #[must_use]
    pub fn is_document(&self) -> bool {
        !self.bytes.is_empty() && self.json == (0..self.bytes.len())
    }

    /// Its JSON; empty for a comment, and for news without bytes.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        &self.bytes[self.json.clone()]
    }

    /// Its bytes as they are written.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.json = self.json.start.saturating_sub(count)..self.json.end.saturating_sub(count);
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        self.json = self.json.start.saturating_sub(len)..self.json.end.saturating_sub(len);
        self.bytes.copy_to_bytes(len)
    }
}

impl Frame for Chunk {
    fn is_content(&self) -> bool {
        let Meta {
            text,
            tool_call,
            reasoning,
            refusal,
            ..
        } = self.meta;
        text || tool_call || reasoning || refusal
    }

    fn is_terminal(&self) -> bool {
        self.meta.terminal
    }

    fn usage(&self) -> Option<&Usage> {
        self.meta.usage.as_ref()
    }

    fn place(&self) -> Option<&str> {
        self.meta.place
    }

    fn failure(&self) -> Option<Failure> {
        (self.meta.finish == Some(Finish::ContentFilter))
            .then(|| Failure::new(FailureKind::ContentFilter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_knows_its_json() {
        let chunk = Chunk::event_of(b"{}", Meta::default());
        assert_eq!(chunk.json(), b"{}");
        assert_eq!(chunk.clone().into_bytes(), "data: {}\n\n");
        assert!(!chunk.is_document() && !Chunk::silent(Meta::default()).is_document());
        assert!(Chunk::document("{}", Meta::default()).is_document());
        let mut read = chunk;
        let all = read.copy_to_bytes(read.remaining());
        assert_eq!((all.len(), read.json()), (10, &b""[..]));
    }

    #[test]
    fn a_comment_stands_directly_before_the_data() {
        let chunk = Chunk::event_of(b"{}", Meta::default()).with_comment("went\non");
        assert_eq!(chunk.json(), b"{}");
        assert_eq!(chunk.into_bytes(), ": wenton\ndata: {}\n\n");
    }

    #[test]
    fn a_filtered_answer_is_a_failure() {
        let meta = Meta {
            finish: Some(Finish::ContentFilter),
            terminal: true,
            ..Meta::default()
        };
        assert_eq!(
            Chunk::silent(meta).failure().map(|failure| failure.kind()),
            Some(FailureKind::ContentFilter)
        );
        assert!(Chunk::comment().failure().is_none());
    }
}
