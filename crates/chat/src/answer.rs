//! What dialects over HTTP and JSON have in common when an answer arrives: which form it has, and the whole of it
//! where it is not a stream.

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::response::Parts;

use crate::{Chat, ProviderError};

/// How large an answer that is not streamed may get.
const LIMIT: usize = 64 * 1024 * 1024;

/// The form of an answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Server-sent events, as asked.
    Events,
    /// One JSON document, as asked.
    Document,
    /// One JSON document where a stream was asked for: it can only be an error.
    NoStream,
}

impl Form {
    /// The form of an answer of `provider` to `chat`, by its head. A head without a content type, or with one that
    /// says nothing, promises what was asked for.
    ///
    /// # Errors
    ///
    /// [`ProviderError::malformed`] for text, HTML pages among it, and for a stream that nobody asked for.
    pub fn of(provider: &'static str, chat: &Chat, head: &Parts) -> Result<Self, ProviderError> {
        let media = head
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map_or("", |value| value.split(';').next().unwrap_or(value).trim());
        let is = |known: &str| media.eq_ignore_ascii_case(known);
        let is_text = media
            .get(..5)
            .is_some_and(|kind| kind.eq_ignore_ascii_case("text/"));
        let malformed = |what| Err(ProviderError::malformed(provider, what));
        match chat.stream() {
            true if is("text/event-stream") => Ok(Self::Events),
            false if is("text/event-stream") => malformed("a stream where JSON was asked for"),
            _ if is("text/html") => malformed("an HTML page"),
            _ if is_text => malformed("plain text"),
            true if is("application/json") => Ok(Self::NoStream),
            true => Ok(Self::Events),
            false => Ok(Self::Document),
        }
    }
}

/// Collects an answer that is one JSON object.
#[derive(Debug)]
pub struct Whole {
    provider: &'static str,
    over: bool,
}

impl Whole {
    /// Nothing of it has arrived.
    #[must_use]
    pub const fn new(provider: &'static str) -> Self {
        Self {
            provider,
            over: false,
        }
    }

    /// Looks at what has arrived so far.
    ///
    /// # Errors
    ///
    /// If it is more than 64 MiB.
    pub fn check(&self, input: &BytesMut) -> Result<(), ProviderError> {
        if input.len() > LIMIT {
            return Err(self.malformed("an answer of more than 64 MiB"));
        }
        Ok(())
    }

    /// The answer, once it has all arrived, without the white space that some servers send while they work; `None`
    /// when it has been taken.
    ///
    /// # Errors
    ///
    /// If it does not begin as JSON does.
    pub fn take(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, ProviderError> {
        if std::mem::replace(&mut self.over, true) {
            return Ok(None);
        }
        let body = input.split().freeze();
        let body = body.slice(body.len() - body.trim_ascii_start().len()..);
        match body.first() {
            None => Err(self.malformed("an empty body")),
            Some(b'{' | b'[') => Ok(Some(body)),
            Some(b'<') => Err(self.malformed("an HTML page")),
            Some(_) => Err(self.malformed("not JSON")),
        }
    }

    /// What a parser's complaint about the answer means: it is cut off, or something else.
    #[must_use]
    pub fn unreadable(&self, error: &serde_json::Error) -> ProviderError {
        if error.is_eof() {
            ProviderError::truncated(self.provider)
        } else {
            self.malformed("JSON of another shape")
        }
    }

    fn malformed(&self, what: &'static str) -> ProviderError {
        ProviderError::malformed(self.provider, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_in_the_head() {
        let form = |media: &str, stream| {
            let mut head = http::Response::new(()).into_parts().0;
            if !media.is_empty() {
                head.headers
                    .insert(CONTENT_TYPE, media.parse().expect("a value"));
            }
            Form::of("p", &Chat::user("hi").streamed(stream), &head).ok()
        };
        for (media, stream, document) in [
            ("", Some(Form::Events), Some(Form::Document)),
            (
                "application/json",
                Some(Form::NoStream),
                Some(Form::Document),
            ),
            (
                "Application/JSON; charset=utf-8",
                Some(Form::NoStream),
                Some(Form::Document),
            ),
            ("text/event-stream", Some(Form::Events), None),
            ("text/event-stream;charset=utf-8", Some(Form::Events), None),
            (
                "application/octet-stream",
                Some(Form::Events),
                Some(Form::Document),
            ),
            ("text/html", None, None),
            ("text/plain; charset=utf-8", None, None),
        ] {
            assert_eq!(form(media, true), stream, "{media}");
            assert_eq!(form(media, false), document, "{media}");
        }
    }

    #[test]
    fn the_whole_of_it() {
        let take = |text: &str| {
            let mut whole = Whole::new("p");
            let mut input = BytesMut::from(text);
            let taken = whole.take(&mut input).ok().flatten();
            assert_eq!(whole.take(&mut input).ok(), Some(None));
            taken
        };
        assert_eq!(take("{}").as_deref(), Some(&b"{}"[..]));
        assert_eq!(take("\n \r\n[1] ").as_deref(), Some(&b"[1] "[..]));
        for nothing in ["", " \n", "<html>", "oops"] {
            assert_eq!(take(nothing), None, "{nothing:?}");
        }
        let whole = Whole::new("p");
        assert!(whole.check(&BytesMut::zeroed(LIMIT)).is_ok());
        assert!(whole.check(&BytesMut::zeroed(LIMIT + 1)).is_err());
    }
}
