use backstop_chat::{Chunk, Finish, Meta, ProviderError};
use backstop_core::UsageSource;
use bytes::BytesMut;

use super::{ending_of, error_in, notice, splice, unfinished};
use crate::classify;
use crate::finish::Ending;
use crate::frame::Frame;

/// How large an answer may get.
const LIMIT: usize = 64 * 1024 * 1024;

/// A single JSON document: the whole body.
#[derive(Debug)]
pub(super) struct Document {
    provider: &'static str,
    /// A stream was asked for, so the document can only be an error.
    wanted_stream: bool,
    over: bool,
}

impl Document {
    pub(super) const fn new(provider: &'static str, wanted_stream: bool) -> Self {
        Self {
            provider,
            wanted_stream,
            over: false,
        }
    }

    #[expect(clippy::needless_pass_by_ref_mut, reason = "as `Decode` has it")]
    pub(super) fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
        if input.len() > LIMIT {
            return Err(self.malformed("an answer of more than 64 MiB"));
        }
        Ok(None)
    }

    pub(super) fn finish(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
        if self.over {
            return Ok(None);
        }
        self.over = true;
        let body = input.split().freeze();
        // DeepSeek sends blank lines while it works.
        let body = body.slice(body.len() - body.trim_ascii_start().len()..);
        match body.first() {
            None => return Err(self.malformed("an empty body")),
            Some(b'{') => {}
            Some(b'[') if classify::is_error(&body) => {
                return Err(classify::in_body(self.provider, &body));
            }
            Some(b'<') => return Err(self.malformed("an HTML page")),
            Some(_) => return Err(self.malformed("not a JSON object")),
        }
        let frame: Frame<'_> = serde_json::from_slice(&body).map_err(|error| {
            if error.is_eof() {
                ProviderError::truncated(self.provider)
            } else {
                self.malformed("JSON of another shape")
            }
        })?;
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
