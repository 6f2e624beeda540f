//! A YAML document as a tree that knows where everything stands.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::error::{ConfigError, Place};

/// A value and where it stands.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
    /// The byte at which its text begins, where it is known.
    at: Option<usize>,
}

#[derive(Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A number that is no whole one, or too large for one.
#[derive(Clone)]
pub(crate) struct Number {
    pub(crate) value: f64,
    /// As it was written, because not every decimal number is a float.
    pub(crate) written: Box<str>,
}

#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) place: Place,
}

/// Parses one document.
pub(crate) fn parse(text: &str) -> Result<Node, ConfigError> {
    let options = serde_saphyr::options! { with_snippet: false };
    let parsed = serde_saphyr::from_str_with_options::<Node>(text, options);
    let mut document = parsed.map_err(|error| {
        let message = error.without_snippet().to_string();
        // The place is said once, by us, and the parser's own options are nobody's business.
        let cut = [" at line ", ", set DuplicateKeyPolicy", "; use from_str"]
            .into_iter()
            .filter_map(|from| message.find(from))
            .min();
        let message = message[..cut.unwrap_or(message.len())].to_owned();
        match error.location() {
            Some(location) if location.line() > 0 => ConfigError::at(
                Place {
                    line: location.line(),
                    column: location.column(),
                },
                message,
            ),
            _ => ConfigError::new(message),
        }
    })?;
    document.write_out(text);
    Ok(document)
}

impl Node {
    /// Has every number as it stands in `text`.
    fn write_out(&mut self, text: &str) {
        match &mut self.value {
            Value::Float(number) => {
                let rest = self.at.and_then(|at| text.get(at..)).unwrap_or_default();
                let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}' | '#');
                let written = rest.split(ends).next().unwrap_or_default();
                if written.parse() == Ok(number.value) {
                    number.written = written.into();
                }
            }
            Value::List(list) => list.iter_mut().for_each(|node| node.write_out(text)),
            Value::Map(entries) => entries
                .iter_mut()
                .for_each(|(_, node)| node.write_out(text)),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Text(_) => {}
        }
    }
}

impl Value {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned {
            value,
            referenced,
            defined,
        } = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self {
            value,
            place: Place {
                line: referenced.line(),
                column: referenced.column(),
            },
            at: defined
                .span()
                .byte_offset()
                .and_then(|at| usize::try_from(at).ok()),
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

fn float(value: f64) -> Value {
    Value::Float(Number {
        value,
        written: value.to_string().into(),
    })
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or_else(|_| float(value as f64), Value::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = seq.next_element()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(Spanned {
            value, referenced, ..
        }) = map.next_key::<Spanned<String>>()?
        {
            let place = Place {
                line: referenced.line(),
                column: referenced.column(),
            };
            entries.push((Key { name: value, place }, map.next_value()?));
        }
        Ok(Value::Map(entries))
    }
}
