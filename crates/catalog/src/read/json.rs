//! JSON as it stands in the file, so that numbers stay text and mistakes have a place.

use std::borrow::Cow;
use std::fmt;

use backstop_core::NanoUsd;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::decimal;

/// Something wrong, and where it stands.
pub(super) struct Mistake {
    /// The address of the first byte.
    pub(super) at: usize,
    pub(super) message: String,
}

impl Mistake {
    pub(super) fn at(value: &RawValue, message: impl Into<String>) -> Self {
        Self {
            at: value.get().as_ptr() as usize,
            message: message.into(),
        }
    }
}

/// Line and column of the byte at this address, from 1.
pub(super) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at - text.as_ptr() as usize];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n');
    (
        line,
        before.len() - start.map_or(0, |newline| newline + 1) + 1,
    )
}

/// What the parser says, without the place, which stands before it.
pub(super) fn syntax(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// The members of an object, in order.
pub(super) struct Members<'a>(pub(super) Vec<Member<'a>>);

pub(super) struct Member<'a> {
    pub(super) key: &'a RawValue,
    pub(super) name: Cow<'a, str>,
    pub(super) value: &'a RawValue,
}

impl<'a> Members<'a> {
    pub(super) fn of(value: &'a RawValue, what: &str) -> Result<Self, Mistake> {
        serde_json::from_str(value.get())
            .map_err(|_| Mistake::at(value, format!("{what} is no object")))
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(key) = map.next_key::<&'de RawValue>()? {
                    let name = serde_json::from_str(key.get()).map_err(serde::de::Error::custom)?;
                    members.push(Member {
                        key,
                        name: Cow::<str>::Owned(name),
                        value: map.next_value()?,
                    });
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Visit)
    }
}

impl<'a> Member<'a> {
    pub(super) fn is_null(&self) -> bool {
        self.value.get() == "null"
    }

    pub(super) fn wrong(&self, what: &str) -> Mistake {
        Mistake::at(self.value, format!("`{}` {what}", self.name))
    }

    pub(super) fn string(&self) -> Result<String, Mistake> {
        serde_json::from_str(self.value.get()).map_err(|_| self.wrong("is no string"))
    }

    pub(super) fn flag(&self) -> Result<bool, Mistake> {
        serde_json::from_str(self.value.get()).map_err(|_| self.wrong("is neither true nor false"))
    }

    pub(super) fn list(&self) -> Result<Vec<&'a RawValue>, Mistake> {
        serde_json::from_str(self.value.get()).map_err(|_| self.wrong("is no list"))
    }

    /// A count of tokens, more than none.
    pub(super) fn tokens(&self) -> Result<u64, Mistake> {
        self.tokens_or_none()?
            .ok_or_else(|| self.wrong("is zero; leave it out if it is not known"))
    }

    /// A count of tokens; zero is unknown.
    pub(super) fn tokens_or_none(&self) -> Result<Option<u64>, Mistake> {
        match decimal::scaled(self.number(), 0) {
            Ok((tokens, true)) => Ok((tokens > 0).then_some(tokens)),
            Ok((_, false)) => Err(self.wrong("is no whole number")),
            Err(error) => Err(self.wrong(error.describe())),
        }
    }

    /// Dollars, moved by so many decimal places to make dollars per million tokens; a fraction of a nano-dollar is
    /// rounded up and told.
    pub(super) fn usd_per_mtok(
        &self,
        places: i64,
        remark: impl FnOnce(),
    ) -> Result<NanoUsd, Mistake> {
        match decimal::scaled(self.number(), 9 + places) {
            Ok((nano, exact)) => {
                if !exact {
                    remark();
                }
                Ok(NanoUsd::from_nano(nano))
            }
            Err(error) => Err(self.wrong(error.describe())),
        }
    }

    /// The text of a number; one in quotes is as good.
    fn number(&self) -> &'a str {
        let text = self.value.get();
        text.strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .unwrap_or(text)
    }
}
