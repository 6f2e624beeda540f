//! One document out of the chunks of a stream.

use backstop_chat::{Chunk, Meta};
use backstop_core::{Failure, FailureKind};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::growing::{Delta, Growing, Object, Unfit};

/// As much as an answer that is not streamed may have.
const LIMIT: usize = 64 * 1024 * 1024;

/// What has come of an answer.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    /// Its top-level members but for the choices.
    head: Object,
    choices: Vec<Choice>,
    meta: Meta,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Choice {
    index: u64,
    message: Object,
    logprobs: Object,
    /// The reason why it ends, and what a provider adds.
    rest: Object,
}

impl Assembly {
    /// Adds a chunk of the stream.
    pub(crate) fn take(&mut self, chunk: &Chunk) -> Result<(), Failure> {
        if chunk.meta().again {
            *self = Self::default();
        }
        self.note(chunk.meta());
        let json = chunk.json();
        if json.is_empty() {
            return Ok(());
        }
        self.bytes += json.len();
        if self.bytes > LIMIT {
            let detail = "a stream of more than 64 MiB cannot be put together";
            return Err(Failure::new(FailureKind::ServerError).with_detail(detail));
        }
        self.add(json).map_err(|Unfit| {
            let detail = "the chunks of a stream do not fit together";
            Failure::new(FailureKind::ServerError).with_detail(detail)
        })
    }

    fn note(&mut self, meta: &Meta) {
        self.meta.text |= meta.text;
        self.meta.tool_call |= meta.tool_call;
        self.meta.reasoning |= meta.reasoning;
        self.meta.refusal |= meta.refusal;
        self.meta.terminal |= meta.terminal;
        self.meta.finish = meta.finish.or(self.meta.finish);
        self.meta.usage = meta.usage.or(self.meta.usage);
    }

    fn add(&mut self, json: &[u8]) -> Result<(), Unfit> {
        let Delta(members) = serde_json::from_slice(json)?;
        for (name, raw) in members {
            match &*name {
                "choices" => {
                    let choices: Option<Vec<&RawValue>> = serde_json::from_str(raw.get())?;
                    for choice in choices.unwrap_or_default() {
                        self.choice(choice)?;
                    }
                }
                // A document is another kind of object, and has no padding.
                "object" => self.head.set_text("object", "chat.completion"),
                "obfuscation" => {}
                _ => self.head.set(&name, raw),
            }
        }
        Ok(())
    }

    fn choice(&mut self, raw: &RawValue) -> Result<(), Unfit> {
        let Delta(members) = serde_json::from_str(raw.get())?;
        let index = members.iter().find(|(name, _)| &**name == "index");
        let index = index.map_or(Ok(0), |(_, raw)| serde_json::from_str(raw.get()))?;
        let place = match self.choices.binary_search_by_key(&index, |one| one.index) {
            Ok(place) => place,
            Err(place) => {
                let choice = Choice {
                    index,
                    ..Choice::default()
                };
                self.choices.insert(place, choice);
                place
            }
        };
        let choice = &mut self.choices[place];
        for (name, raw) in members {
            match &*name {
                "index" => {}
                "delta" => choice.message.grow(raw)?,
                "logprobs" => choice.logprobs.grow(raw)?,
                _ => choice.rest.set(&name, raw),
            }
        }
        Ok(())
    }

    /// The document, once the stream has ended as it should.
    pub(crate) fn finish(&mut self) -> Result<Chunk, Failure> {
        if self.choices.is_empty() {
            let detail = "a stream without an answer in it";
            return Err(Failure::new(FailureKind::Network).with_detail(detail));
        }
        for choice in &mut self.choices {
            settle(&mut choice.message);
        }
        let json = serde_json::to_vec(self).expect("what was JSON is JSON");
        Ok(Chunk::document(json, self.meta))
    }
}

/// Makes a message of deltas what a document has.
fn settle(message: &mut Object) {
    if let Some(Growing::List(calls)) = message.get_mut("tool_calls") {
        for call in calls {
            if let Growing::Object(call) = call {
                call.remove("index");
                call.or_insert("type", Growing::Text("function".to_owned()));
            }
        }
    }
    message.or_insert("role", Growing::Text("assistant".to_owned()));
    message.or_insert("content", Growing::null());
    message.or_insert("refusal", Growing::null());
    let says = |name| message.get(name).is_some_and(|value| !value.is_empty());
    // A stream begins with an empty text whatever follows; a document has none beside what is said instead.
    if !says("content")
        && ["tool_calls", "function_call", "refusal"]
            .into_iter()
            .any(says)
    {
        message.clear("content");
    }
}

impl Serialize for Assembly {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let (usage, head): (Vec<_>, Vec<_>) =
            self.head.iter().partition(|(name, _)| *name == "usage");
        for (name, value) in head {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("choices", &self.choices)?;
        for (name, value) in usage {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Choice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("index", &self.index)?;
        map.serialize_entry("message", &self.message)?;
        let logprobs = (!self.logprobs.is_empty()).then_some(&self.logprobs);
        map.serialize_entry("logprobs", &logprobs)?;
        for (name, value) in self.rest.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
