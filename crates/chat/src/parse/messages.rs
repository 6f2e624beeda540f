//! The messages, seen in passing: their shape is checked, what they need is noted, nothing is kept.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use backstop_core::{Needs, PromptSize};

use super::At;

pub(super) struct Messages<'a> {
    pub(super) at: &'a Cell<At>,
    pub(super) needs: &'a mut Needs,
    pub(super) size: &'a mut PromptSize,
}

impl<'de> DeserializeSeed<'de> for Messages<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Messages<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut index = 0;
        loop {
            self.at.set(At::Message(index, None));
            let seed = MessageSeed {
                at: self.at,
                needs: self.needs,
                size: self.size,
                index,
            };
            if seq.next_element_seed(seed)?.is_none() {
                break;
            }
            index += 1;
        }
        self.at.set(At::Top(Some("messages")));
        if index == 0 {
            return Err(de::Error::invalid_length(0, &"at least one message"));
        }
        self.size.messages = index as u64;
        Ok(())
    }
}

/// The members of a message that we look at. Not a `Cow<str>`, which would copy every key.
#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Role,
    Content,
    ToolCalls,
    #[serde(other)]
    Other,
}

struct MessageSeed<'a> {
    at: &'a Cell<At>,
    needs: &'a mut Needs,
    size: &'a mut PromptSize,
    index: usize,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MessageSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message: an object with a role")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut role = None;
        while let Some(field) = map.next_key()? {
            match field {
                Field::Role => {
                    self.at.set(At::Message(self.index, Some("role")));
                    role = Some(map.next_value::<crate::Role>()?);
                }
                Field::Content => {
                    self.at.set(At::Message(self.index, Some("content")));
                    map.next_value_seed(ContentSeed {
                        at: self.at,
                        needs: self.needs,
                        size: self.size,
                        index: self.index,
                    })?;
                }
                Field::ToolCalls => {
                    self.at.set(At::Message(self.index, Some("tool_calls")));
                    let calls = map.next_value::<Weighed>()?;
                    self.needs.tool_history |= calls.filled_array;
                    self.size.text += calls.bytes;
                }
                Field::Other => {
                    self.size.text += map.next_value::<Weighed>()?.bytes;
                }
            }
            self.at.set(At::Message(self.index, None));
        }
        let role = role.ok_or_else(|| de::Error::missing_field("role"))?;
        self.needs.tool_history |= role == crate::Role::Tool;
        self.needs.prefill = role == crate::Role::Assistant;
        Ok(())
    }
}

struct ContentSeed<'a> {
    at: &'a Cell<At>,
    needs: &'a mut Needs,
    size: &'a mut PromptSize,
    index: usize,
}

impl<'de> DeserializeSeed<'de> for ContentSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ContentSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, an array of parts, or null")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.size.text += text.len() as u64;
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut index = 0;
        loop {
            self.at.set(At::Part(self.index, index));
            let Some(part) = seq.next_element::<PartShape<'de>>()? else {
                break;
            };
            match &*part.kind {
                "text" | "refusal" => {
                    let bytes = |text: Option<Weighed>| text.map_or(0, |text| text.bytes);
                    self.size.text += bytes(part.text) + bytes(part.refusal);
                }
                "image_url" => {
                    self.needs.vision = true;
                    self.needs.image_urls |= part.image_url.is_some_and(|image| image.is_remote());
                    self.size.images += 1;
                }
                "input_audio" => {
                    self.needs.audio = true;
                    self.needs.audio_in = true;
                    // Four characters of base64 are three bytes.
                    let data = part.input_audio.map_or(0, |audio| audio.bytes);
                    self.size.audio += data.div_ceil(4) * 3;
                }
                "file" => {
                    self.needs.files = true;
                    self.size.opaque += 1;
                }
                _ => self.size.opaque += 1,
            }
            index += 1;
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
#[serde(expecting = "an object with a type")]
struct PartShape<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    text: Option<Weighed>,
    refusal: Option<Weighed>,
    #[serde(borrow)]
    image_url: Option<crate::ImageUrl<'a>>,
    input_audio: Option<Weighed>,
}

/// A value of any shape, passed over no deeper than the parser recurses.
#[derive(Default)]
struct Weighed {
    /// The bytes of its strings, names included; a number or the like counts as its longest spelling.
    bytes: u64,
    filled_array: bool,
}

impl Weighed {
    const SCALAR: Self = Self {
        bytes: 24,
        filled_array: false,
    };
}

impl<'de> serde::Deserialize<'de> for Weighed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Weigh)
    }
}

struct Weigh;

impl<'de> Visitor<'de> for Weigh {
    type Value = Weighed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Weighed, E> {
        Ok(Weighed::SCALAR)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Weighed, E> {
        Ok(Weighed::SCALAR)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Weighed, E> {
        Ok(Weighed::SCALAR)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Weighed, E> {
        Ok(Weighed::SCALAR)
    }

    fn visit_str<E>(self, text: &str) -> Result<Weighed, E> {
        Ok(Weighed {
            bytes: text.len() as u64,
            filled_array: false,
        })
    }

    fn visit_unit<E>(self) -> Result<Weighed, E> {
        Ok(Weighed::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Weighed, A::Error> {
        let mut all = Weighed::default();
        while let Some(one) = seq.next_element::<Weighed>()? {
            all.bytes += one.bytes;
            all.filled_array = true;
        }
        Ok(all)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Weighed, A::Error> {
        let mut all = Weighed::default();
        while let Some(key) = map.next_key::<Weighed>()? {
            all.bytes += key.bytes + map.next_value::<Weighed>()?.bytes;
        }
        Ok(all)
    }
}
