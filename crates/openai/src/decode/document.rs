use backstop_chat::answer::Whole;
use backstop_chat::{Chunk, Finish, Meta, ProviderError};
use backstop_core::UsageSource;
use bytes::BytesMut;

use super::{ending_of, error_in, notice, splice, unfinished};
use crate::classify;
use crate::finish::Ending;
use crate::frame::Frame;

/// A single JSON document: the whole body.
#[derive(Debug)]
pub(super) struct Document {
    provider: &'static str,
    whole: Whole,
    /// A stream was asked for, so the document can only be an error.
    wanted_stream: bool,
}

impl Document {
    pub(super) const fn new(provider: &'static str, wanted_stream: bool) -> Self {
        Self {
            provider,
            whole: Whole::new(provider),
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
            return Err(if classify::is_error(&body) {
                classify::in_body(self.provider, &body)
            } else {
                self.malformed("a list of answers")
            });
        }
        let frame = Frame::parse(&body).map_err(|error| self.whole.unreadable(&error))?;
        if let Some(error) = error_in(self.provider, &frame, &body) {
            return Err(error);
        }
        if self.wanted_stream {
            return Err(self.malformed("asked for a stream, got JSON"));
        }
        if frame.choices.is_empty() {
            return Err(self.malformed("an answer without choices"));
        }

        let mut meta = Meta::default();
        let mut pieces = Vec::new();
        for choice in frame.choices.iter() {
            notice(&mut meta, choice);
            match ending_of(choice) {
                Some((_, Ending::Failed(kind))) => return Err(unfinished(self.provider, kind)),
                Some((_, Ending::Complete(finish))) => settle(&mut meta, finish),
                Some((raw, Ending::Renamed(finish))) => {
                    settle(&mut meta, finish);
                    pieces.push((&raw[1..raw.len() - 1], finish.as_str()));
                }
                None => {}
            }
        }
        meta.terminal = true;
        meta.usage = frame.usage(UsageSource::Provider);
        let document = if pieces.is_empty() {
            body.clone()
        } else {
            splice(&body, &pieces).into()
        };
        Ok(Some(Chunk::document(document, meta)))
    }

    fn malformed(&self, what: &'static str) -> ProviderError {
        ProviderError::malformed(self.provider, what)
    }
}

/// Of several choices, one that was not filtered speaks for the answer.
fn settle(meta: &mut Meta, finish: Finish) {
    if !meta
        .finish
        .is_some_and(|known| known != Finish::ContentFilter)
    {
        meta.finish = Some(finish);
    }
}
