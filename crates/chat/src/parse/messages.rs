//! The messages, seen in passing: their shape is checked, what they need is noted, nothing is kept.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::At;
use crate::request::Needs;

pub(super) struct Messages<'a> {
    pub(super) at: &'a Cell<At>,
    pub(super) needs: &'a mut Needs,
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
                        index: self.index,
                    })?;
                }
                Field::ToolCalls => {
                    self.at.set(At::Message(self.index, Some("tool_calls")));
                    self.needs.tool_history |= map.next_value_seed(Skip)? == Shape::FilledArray;
                }
                Field::Other => {
                    map.next_value_seed(Skip)?;
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

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
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
                "image_url" => {
                    self.needs.vision = true;
                    self.needs.image_urls |= part.image_url.is_some_and(|image| image.is_remote());
                }
                "input_audio" => self.needs.audio = true,
                "file" => self.needs.files = true,
                _ => {}
            }
            index += 1;
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct PartShape<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    image_url: Option<crate::ImageUrl<'a>>,
}

/// Passes over a value of any shape, no deeper than the parser recurses.
struct Skip;

#[derive(PartialEq)]
enum Shape {
    FilledArray,
    Other,
}

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = Shape;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        let mut shape = Shape::Other;
        while seq.next_element_seed(Skip)?.is_some() {
            shape = Shape::FilledArray;
        }
        Ok(shape)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(Skip)?;
        }
        Ok(Shape::Other)
    }
}
