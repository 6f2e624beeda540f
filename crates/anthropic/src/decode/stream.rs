use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;

use backstop_chat::emit::Writer;
use backstop_chat::sse::{self, Events, Item};
use backstop_chat::{Chunk, Finish, Meta, ProviderError};
use backstop_core::UsageSource;
use bytes::BytesMut;

use super::{malformed, window_full};
use crate::event::{Block, Counts, Delta, Event, Started, WINDOW_FULL, finish};
use crate::{PROVIDER, classify};

/// A stream of events.
pub(super) struct Stream {
    events: Events,
    created: u64,
    include_usage: bool,
    /// From `message_start` on.
    writer: Option<Writer>,
    counts: Counts,
    calls: Vec<Call>,
    /// Some text or some call went out.
    delivered: bool,
    /// From the `message_delta` that says why it ends.
    ending: Option<Finish>,
    /// An event may make two chunks.
    ready: VecDeque<Chunk>,
    over: bool,
}

/// A tool call: blocks are counted through, tools from 0.
#[derive(Debug)]
struct Call {
    block: u32,
    /// It has arguments already.
    written: bool,
}

impl Stream {
    pub(super) fn new(created: u64, include_usage: bool) -> Self {
        Self {
            events: Events::new(),
            created,
            include_usage,
            writer: None,
            counts: Counts::default(),
            calls: Vec::new(),
            delivered: false,
            ending: None,
            ready: VecDeque::new(),
            over: false,
        }
    }

    pub(super) fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(Some(chunk));
            }
            if self.over {
                input.clear();
                return Ok(None);
            }
            let item = self
                .events
                .next(input)
                .map_err(|_| malformed("an event of more than 16 MiB"))?;
            match item {
                None => return Ok(None),
                Some(Item::Idle) => return Ok(Some(Chunk::comment())),
                Some(Item::Event(event)) => {
                    if let Some(chunk) = self.event(&event)? {
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
            && serde_json::from_slice::<serde::de::IgnoredAny>(&event.data).is_ok()
            && let Some(chunk) = self.event(&event)?
        {
            return Ok(Some(chunk));
        }
        // The reason is there, `message_stop` is not: nothing is missing.
        self.end()
    }

    pub(super) const fn is_done(&self) -> bool {
        self.over
    }

    /// `None` where an event has nothing for anyone.
    fn event(&mut self, event: &sse::Event) -> Result<Option<Chunk>, ProviderError> {
        let data = &event.data[..];
        let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else {
            return unread(data);
        };
        match &*event.kind {
            "message_start" => self.start(event.message.as_ref()),
            "content_block_start" => self.begin(event.index, event.content_block.as_ref()),
            "content_block_delta" => self.delta(event.index, event.delta.as_ref()),
            "content_block_stop" => self.close(event.index),
            "message_delta" => self.turn(event.delta.as_ref(), event.usage),
            "message_stop" => self.end(),
            "error" => Err(classify::in_body(data)),
            "ping" => Ok(Some(Chunk::comment())),
            // Events that do not exist yet are to be passed over.
            _ => Ok(Some(alive())),
        }
    }

    fn start(&mut self, message: Option<&Started<'_>>) -> Result<Option<Chunk>, ProviderError> {
        let message = message.ok_or_else(|| malformed("a start without a message"))?;
        if self.writer.is_some() {
            return Err(malformed("a second message in one answer"));
        }
        let id = message.id.as_deref().unwrap_or_default();
        let model = message.model.as_deref().unwrap_or_default();
        let writer = Writer::new(id, model, self.created, self.include_usage);
        let role = writer.role();
        self.writer = Some(writer);
        if let Some(counts) = message.usage {
            self.counts.update(counts);
            let mut meta = Meta::default();
            meta.usage = Some(self.counts.usage(UsageSource::Partial));
            meta.place = self.counts.place();
            self.ready.push_back(Chunk::silent(meta));
        }
        Ok(Some(role))
    }

    fn writer(&self) -> Result<&Writer, ProviderError> {
        self.writer
            .as_ref()
            .ok_or_else(|| malformed("content before the start of a message"))
    }

    fn begin(
        &mut self,
        index: u32,
        block: Option<&Block<'_>>,
    ) -> Result<Option<Chunk>, ProviderError> {
        let block = block.ok_or_else(|| malformed("the start of no block"))?;
        let text = block.text.as_deref().filter(|text| !text.is_empty());
        match (&*block.kind, text) {
            ("text", Some(text)) => {
                self.delivered = true;
                Ok(Some(self.writer()?.text(text)))
            }
            ("tool_use", _) => {
                let (Some(id), Some(name)) = (&block.id, &block.name) else {
                    return Err(malformed("a call without an id or a name"));
                };
                let call = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
                let chunk = self.writer()?.tool_call(call, id, name);
                self.calls.push(Call {
                    block: index,
                    written: false,
                });
                self.delivered = true;
                // Anthropic begins with `{}`; a server that gives everything at once says so here.
                if let Some(input) = block.input.map(|input| input.get())
                    && !input.bytes().all(|byte| b"{} \t\r\n".contains(&byte))
                    && input.starts_with('{')
                {
                    let arguments = self.arguments(index, input)?;
                    self.ready.extend(arguments);
                }
                Ok(Some(chunk))
            }
            _ => Ok(Some(alive())),
        }
    }

    fn delta(
        &mut self,
        index: u32,
        delta: Option<&Delta<'_>>,
    ) -> Result<Option<Chunk>, ProviderError> {
        let delta = delta.ok_or_else(|| malformed("a delta without a delta"))?;
        match delta.kind.as_deref() {
            Some("text_delta") => {
                let text = delta.text.as_deref().unwrap_or_default();
                self.delivered |= !text.is_empty();
                Ok(Some(self.writer()?.text(text)))
            }
            Some("thinking_delta") => {
                let text = delta.thinking.as_deref().unwrap_or_default();
                Ok(Some(self.writer()?.reasoning(text)))
            }
            Some("input_json_delta") => {
                let json = delta.partial_json.as_deref().unwrap_or_default();
                Ok(self.arguments(index, json)?.or_else(|| Some(alive())))
            }
            // Signatures, citations, and what does not exist yet.
            _ => Ok(Some(alive())),
        }
    }

    /// More of the arguments of the call in this block; a block that is no call of ours has none.
    fn arguments(&mut self, block: u32, json: &str) -> Result<Option<Chunk>, ProviderError> {
        let Some(index) = self.calls.iter().position(|call| call.block == block) else {
            return Ok(None);
        };
        if json.is_empty() {
            return Ok(None);
        }
        self.calls[index].written = true;
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Ok(Some(self.writer()?.tool_arguments(index, json)))
    }

    /// A call without arguments is one with no members.
    fn close(&mut self, block: u32) -> Result<Option<Chunk>, ProviderError> {
        let bare = |call: &Call| call.block == block && !call.written;
        if self.calls.iter().any(bare) {
            return self.arguments(block, "{}");
        }
        Ok(Some(alive()))
    }

    fn turn(
        &mut self,
        delta: Option<&Delta<'_>>,
        counts: Option<Counts>,
    ) -> Result<Option<Chunk>, ProviderError> {
        self.counts.update(counts.unwrap_or_default());
        if let Some(reason) = delta.and_then(|delta| delta.stop_reason.as_deref()) {
            if reason == WINDOW_FULL && !self.delivered {
                return Err(window_full());
            }
            self.ending = Some(finish(reason));
        }
        Ok(Some(alive()))
    }

    /// The reason goes out only now, so that no error can follow it.
    fn end(&mut self) -> Result<Option<Chunk>, ProviderError> {
        self.over = true;
        let Some(ending) = self.ending else {
            return Err(ProviderError::truncated(PROVIDER));
        };
        let writer = self.writer()?;
        let last = writer.finish(ending, true);
        let usage = writer.usage(self.counts.usage(UsageSource::Provider));
        self.ready.push_back(usage);
        Ok(Some(last))
    }
}

/// An event that does not exist yet may give our names to something else.
fn unread(data: &[u8]) -> Result<Option<Chunk>, ProviderError> {
    const OURS: [&str; 8] = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
        "ping",
    ];
    #[derive(serde::Deserialize)]
    struct Kind<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
    }
    match serde_json::from_slice::<Kind<'_>>(data) {
        Ok(event) if event.kind == "error" => Err(classify::in_body(data)),
        Ok(event) if !OURS.contains(&&*event.kind) => Ok(Some(alive())),
        _ => Err(malformed("an event that is not Anthropic's")),
    }
}

/// A sign of life for the layers, and nothing for the caller.
fn alive() -> Chunk {
    Chunk::silent(Meta::default())
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("calls", &self.calls.len())
            .field("ending", &self.ending)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
