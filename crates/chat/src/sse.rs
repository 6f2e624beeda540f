//! Server-sent events, from bytes however they are split.
//!
//! Follows the WHATWG HTML standard, §9.2: CRLF, LF and CR end lines, a byte order mark may come first, `data`
//! lines of one event are joined, comments and unknown fields are passed over. The last event counts even where
//! its blank line is missing, which the standard would drop: some servers close the connection right behind it.

use std::error::Error;
use std::fmt;

use bytes::{Bytes, BytesMut};

/// How large one event may get. An image in base64 fits; what does not end is cut off here.
const MAX_EVENT: usize = 16 * 1024 * 1024;

/// What a stream of events consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An event with data.
    Event(Event),
    /// A comment, or an event without data: a sign of life.
    Idle,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its type, if it names one.
    pub name: Option<Bytes>,
    /// Its data.
    pub data: Bytes,
    /// Its bytes as they came, if they are exactly `data: `, one line, and a blank line.
    pub frame: Option<Bytes>,
}

/// One event was larger than 16 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event is larger than 16 MiB")
    }
}

impl Error for TooLarge {}

/// Splits a stream into its events.
#[derive(Debug, Default)]
pub struct Events {
    /// How far `input` is known to have no line end.
    scanned: usize,
    begun: bool,
    /// The last line ended with CR: a LF that follows belongs to it.
    after_cr: bool,
    event: Partial,
}

#[derive(Debug, Default)]
struct Partial {
    name: Option<Bytes>,
    data: Option<Bytes>,
    /// More than one data line: joined here.
    joined: Vec<u8>,
    size: usize,
    comment: bool,
}

impl Events {
    /// At the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next item off the front of `input`; `None` if more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`TooLarge`], after which the stream is of no use.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Item>, TooLarge> {
        if !self.begun {
            const MARK: &[u8] = b"\xEF\xBB\xBF";
            let seen = input.len().min(MARK.len());
            if seen < MARK.len() && input[..] == MARK[..seen] {
                return Ok(None);
            }
            self.begun = true;
            if input.starts_with(MARK) {
                let _ = input.split_to(MARK.len());
            }
        }
        loop {
            if self.after_cr && !input.is_empty() {
                self.after_cr = false;
                if input[0] == b'\n' {
                    let _ = input.split_to(1);
                }
            }
            let Some(found) = memchr::memchr2(b'\n', b'\r', &input[self.scanned..]) else {
                self.scanned = input.len();
                if self.event.size + input.len() > MAX_EVENT {
                    return Err(TooLarge);
                }
                return Ok(None);
            };
            let end = self.scanned + found;
            self.scanned = 0;
            if self.event.is_empty()
                && input.starts_with(b"data: ")
                && input[end..].starts_with(b"\n\n")
            {
                let frame = input.split_to(end + 2).freeze();
                let data = frame.slice(b"data: ".len()..end);
                return Ok(Some(Item::Event(Event {
                    name: None,
                    data,
                    frame: Some(frame),
                })));
            }
            self.after_cr = input[end] == b'\r';
            let mut line = input.split_to(end + 1).freeze();
            line.truncate(end);
            if line.is_empty() {
                if let Some(item) = self.event.take() {
                    return Ok(Some(item));
                }
            } else {
                self.event.line(&line);
                if self.event.size > MAX_EVENT {
                    return Err(TooLarge);
                }
            }
        }
    }

    /// The stream has ended: the item that was begun, if any. Call [`next`](Self::next) until it is `None` first.
    pub fn finish(&mut self, input: &mut BytesMut) -> Option<Item> {
        let line = input.split().freeze();
        self.scanned = 0;
        if !line.is_empty() {
            self.event.line(&line);
        }
        self.event.take()
    }
}

impl Partial {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.data.is_none() && !self.comment
    }

    fn line(&mut self, line: &Bytes) {
        self.size += line.len();
        let (field, value) = match memchr::memchr(b':', line) {
            Some(0) => {
                self.comment = true;
                return;
            }
            Some(colon) => {
                let value = line.slice(colon + 1..);
                let value = if value.first() == Some(&b' ') {
                    value.slice(1..)
                } else {
                    value
                };
                (&line[..colon], value)
            }
            None => (&line[..], Bytes::new()),
        };
        match field {
            b"data" => match &self.data {
                None => self.data = Some(value),
                Some(first) => {
                    if self.joined.is_empty() {
                        self.joined.extend_from_slice(first);
                    }
                    self.joined.push(b'\n');
                    self.joined.extend_from_slice(&value);
                }
            },
            b"event" => self.name = Some(value),
            // `id` and `retry` are for clients that reconnect, and so ask again: we never do.
            _ => self.comment = true,
        }
    }

    fn take(&mut self) -> Option<Item> {
        if self.is_empty() {
            return None;
        }
        let Self {
            name, data, joined, ..
        } = std::mem::take(self);
        Some(match data {
            None => Item::Idle,
            Some(_) if !joined.is_empty() => Item::Event(Event {
                name,
                data: joined.into(),
                frame: None,
            }),
            Some(data) => Item::Event(Event {
                name,
                data,
                frame: None,
            }),
        })
    }
}

#[cfg(test)]
mod tests;
