use std::borrow::Cow;
use std::fmt;

use backstop_chat::sse::{Event, Events, Item};
use backstop_chat::{Chunk, Meta, ProviderError};
use backstop_core::UsageSource;
use bytes::BytesMut;

use super::{ending_of, error_in, notice, splice, unfinished};
use crate::classify;
use crate::finish::Ending;
use crate::frame::Frame;

/// A stream of server-sent events.
pub(super) struct Stream {
    provider: &'static str,
    events: Events,
    /// How many choices were asked for.
    choices: u32,
    /// The caller did not ask for usage; we did.
    hide_usage: bool,
    /// The choices that something was said of, and those that have their finish reason: a bit each.
    begun: u128,
    finished: u128,
    /// Some frame said that the answer is complete.
    proven: bool,
    /// `[DONE]`, or the end of the body.
    over: bool,
}

impl Stream {
    pub(super) fn new(provider: &'static str, choices: u32, hide_usage: bool) -> Self {
        Self {
            provider,
            events: Events::new(),
            choices,
            hide_usage,
            begun: 0,
            finished: 0,
            proven: false,
            over: false,
        }
    }

    pub(super) fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
        loop {
            if self.over {
                input.clear();
                return Ok(None);
            }
            let item = self
                .events
                .next(input)
                .map_err(|_| self.malformed("an event of more than 16 MiB"))?;
            match item {
                None => return Ok(None),
                Some(Item::Idle) => return Ok(Some(Chunk::comment())),
                Some(Item::Event(event)) => {
                    if let Some(chunk) = self.event(event)? {
                        return Ok(Some(chunk));
                    }
                }
            }
        }
    }

    pub(super) fn finish(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
        if let Some(chunk) = self.decode(input)? {
            return Ok(Some(chunk));
        }
        if self.over {
            return Ok(None);
        }
        // An event without its blank line may be cut off, so what is wrong with it is no more than that.
        if let Some(Item::Event(event)) = self.events.finish(input)
            && (event.data.starts_with(b"[DONE]") || is_json(&event.data))
        {
            return self.event(event);
        }
        self.over = true;
        if self.proven {
            Ok(None)
        } else {
            Err(ProviderError::truncated(self.provider))
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        self.over
    }

    /// `None` where an event has nothing for anyone.
    fn event(&mut self, event: Event) -> Result<Option<Chunk>, ProviderError> {
        let data = &event.data[..];
        // As the SDK does: some servers write more behind it.
        if data.starts_with(b"[DONE]") {
            return self.done();
        }
        match data.trim_ascii_start().first() {
            None => return Ok(Some(Chunk::comment())),
            Some(b'{') => {}
            Some(b'[') if classify::is_error(data) => {
                return Err(classify::in_body(self.provider, data));
            }
            Some(_) => return self.odd("an event that is not a JSON object"),
        }
        let Ok(frame) = Frame::parse(data) else {
            return self.odd("an event that is not a chunk of an answer");
        };
        if let Some(error) = error_in(self.provider, &frame, data) {
            return Err(error);
        }

        let mut meta = Meta::default();
        let mut pieces = Vec::new();
        for choice in frame.choices.iter() {
            notice(&mut meta, choice);
            // No server takes more than 128.
            let bit = 1 << choice.index().min(127);
            self.begun |= bit;
            let Some((raw, ending)) = ending_of(choice) else {
                continue;
            };
            let finish = match ending {
                Ending::Failed(kind) => return Err(unfinished(self.provider, kind)),
                // OpenRouter repeats the finish chunk, with usage: one reason is enough.
                Ending::Complete(_) | Ending::Renamed(_) if self.finished & bit != 0 => {
                    pieces.push((raw, "null"));
                    continue;
                }
                Ending::Complete(finish) => finish,
                Ending::Renamed(finish) => {
                    pieces.push((&raw[1..raw.len() - 1], finish.as_str()));
                    finish
                }
            };
            self.finished |= bit;
            meta.finish = Some(finish);
        }
        if meta.finish.is_some() && !self.proven && self.finished.count_ones() >= self.choices {
            self.proven = true;
            meta.terminal = true;
        }
        meta.usage = frame.usage(if self.proven {
            UsageSource::Provider
        } else {
            UsageSource::Partial
        });

        if self.hide_usage && meta.usage.is_some() && frame.choices.is_empty() {
            return Ok(Some(Chunk::silent(meta)));
        }
        if !pieces.is_empty() {
            let json = splice(data, &pieces);
            return Ok(Some(Chunk::event_of(&on_one_line(&json), meta)));
        }
        Ok(Some(match event.frame {
            Some(frame) => Chunk::event(frame, meta),
            None => Chunk::event_of(&on_one_line(data), meta),
        }))
    }

    fn done(&mut self) -> Result<Option<Chunk>, ProviderError> {
        self.over = true;
        if self.proven {
            return Ok(None);
        }
        // A server that ignores `n` has answered all the same.
        if self.begun == 0 || self.begun != self.finished {
            return Err(ProviderError::truncated(self.provider));
        }
        self.proven = true;
        let mut meta = Meta::default();
        meta.terminal = true;
        Ok(Some(Chunk::silent(meta)))
    }

    /// Garbage takes nothing away from an answer that is complete.
    fn odd(&self, what: &'static str) -> Result<Option<Chunk>, ProviderError> {
        if self.proven {
            Ok(Some(Chunk::silent(Meta::default())))
        } else {
            Err(self.malformed(what))
        }
    }

    fn malformed(&self, what: &'static str) -> ProviderError {
        ProviderError::malformed(self.provider, what)
    }
}

/// Shows nothing of the answer.
impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("provider", &self.provider)
            .field("proven", &self.proven)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

fn is_json(data: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok()
}

/// JSON has line ends only where it has white space.
fn on_one_line(json: &[u8]) -> Cow<'_, [u8]> {
    if json.contains(&b'\n') {
        let line = |byte: &u8| if *byte == b'\n' { b' ' } else { *byte };
        json.iter().map(line).collect()
    } else {
        json.into()
    }
}
