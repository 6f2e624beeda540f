//! JSON that grows by deltas, as OpenAI's SDKs put it together.

use std::fmt;

use backstop_chat::Text;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

/// How deep a value may nest, as in requests: every level takes some of the stack.
const MAX_DEPTH: usize = 128;

/// Deltas that do not fit together, are nested too deep, or are not JSON.
#[derive(Debug)]
pub(crate) struct Unfit;

impl From<serde_json::Error> for Unfit {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}

/// The members of a delta, in their order.
pub(crate) struct Delta<'a>(pub(crate) Vec<(Text<'a>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Delta<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Delta<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Delta<'de>, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Delta(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A value that grows.
#[derive(Debug)]
pub(crate) enum Growing {
    Text(String),
    Object(Object),
    List(Vec<Growing>),
    /// A number, a truth value or `null`, spelled as it came.
    Plain(Box<RawValue>),
}

/// An object that grows, its members in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Object(Vec<(String, Growing)>);

impl Growing {
    pub(crate) fn null() -> Self {
        Self::Plain(RawValue::NULL.to_owned())
    }

    fn read(raw: &RawValue, depth: usize) -> Result<Self, Unfit> {
        Ok(match raw.get().as_bytes().first() {
            Some(b'"') => Self::Text(serde_json::from_str(raw.get())?),
            Some(b'{') => {
                let mut object = Object::default();
                object.grow_at(raw, depth)?;
                Self::Object(object)
            }
            Some(b'[') => {
                let mut list = Vec::new();
                extend(&mut list, raw, depth)?;
                Self::List(list)
            }
            _ => Self::Plain(raw.to_owned()),
        })
    }

    /// Grows by a value that is not `null`.
    fn grow(&mut self, name: &str, raw: &RawValue, depth: usize) -> Result<(), Unfit> {
        match (&mut *self, raw.get().as_bytes().first()) {
            (Self::Text(text), Some(b'"')) => {
                let more: Text<'_> = serde_json::from_str(raw.get())?;
                // Said once, or again with every delta.
                if !matches!(name, "id" | "type" | "role") {
                    text.push_str(&more);
                } else if !more.is_empty() {
                    (*more).clone_into(text);
                }
            }
            (Self::Object(object), Some(b'{')) => object.grow_at(raw, depth)?,
            (Self::List(list), Some(b'[')) => extend(list, raw, depth)?,
            (Self::Plain(old), Some(b'"' | b'{' | b'[')) if !is_null(old) => return Err(Unfit),
            (Self::Plain(_), _) => *self = Self::read(raw, depth)?,
            _ => return Err(Unfit),
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Object(object) => object.is_empty(),
            Self::Plain(raw) => is_null(raw),
        }
    }
}

fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// The depth within an object or a list at this one.
fn deeper(depth: usize) -> Result<usize, Unfit> {
    if depth < MAX_DEPTH {
        Ok(depth + 1)
    } else {
        Err(Unfit)
    }
}

/// Adds entries to a list; some continue an earlier one.
fn extend(list: &mut Vec<Growing>, raw: &RawValue, depth: usize) -> Result<(), Unfit> {
    let depth = deeper(depth)?;
    let entries: Vec<&RawValue> = serde_json::from_str(raw.get())?;
    for raw in entries {
        let entry = Growing::read(raw, depth)?;
        if let Some(earlier) = list.iter_mut().rfind(|one| entry.continues(one)) {
            earlier.grow("", raw, depth)?;
            continue;
        }
        let index = entry.index();
        let after = |one: &Growing| index.is_some() && one.index() > index;
        let place = list.iter().position(after).unwrap_or(list.len());
        list.insert(place, entry);
    }
    Ok(())
}

impl Growing {
    /// Whether, as an entry of a list, it continues `earlier`: by its `index`.
    ///
    /// Of tool calls, some servers leave that out, and some count each as the first. There, whoever has an id of its
    /// own and a name begins another call. An id alone does not: older vLLM makes up one for each delta.
    fn continues(&self, earlier: &Self) -> bool {
        let index = self.index();
        if index != earlier.index() {
            return false;
        }
        let Some(function) = self.member("function") else {
            return index.is_some();
        };
        let named = function.said("name").is_some();
        match (self.said("id"), earlier.said("id")) {
            (Some(id), Some(other)) if id == other => true,
            (Some(_), Some(_)) => index.is_some() && !named,
            _ => index.is_some() || !named,
        }
    }

    fn index(&self) -> Option<u64> {
        match self.member("index")? {
            Self::Plain(raw) => raw.get().parse().ok(),
            _ => None,
        }
    }

    fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(object) => object.get(name),
            _ => None,
        }
    }

    /// A text among its members, if that is not empty.
    fn said(&self, name: &str) -> Option<&str> {
        match self.member(name)? {
            Self::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
}

impl Object {
    /// Grows by the members of an object, or by nothing if it is `null`.
    pub(crate) fn grow(&mut self, raw: &RawValue) -> Result<(), Unfit> {
        if is_null(raw) {
            return Ok(());
        }
        self.grow_at(raw, 0)
    }

    fn grow_at(&mut self, raw: &RawValue, depth: usize) -> Result<(), Unfit> {
        let depth = deeper(depth)?;
        let Delta(members) = serde_json::from_str(raw.get())?;
        for (name, raw) in members {
            match self.get_mut(&name) {
                Some(_) if is_null(raw) => {}
                Some(value) => value.grow(&name, raw, depth)?,
                None => self
                    .0
                    .push((String::from(&*name), Growing::read(raw, depth)?)),
            }
        }
        Ok(())
    }

    /// Sets a member to this value, unless that is `null` and the member is there.
    pub(crate) fn set(&mut self, name: &str, raw: &RawValue) {
        match self.get_mut(name) {
            Some(_) if is_null(raw) => {}
            Some(value) => *value = Growing::Plain(raw.to_owned()),
            None => self.insert(name, Growing::Plain(raw.to_owned())),
        }
    }

    /// Puts a text in the place of a member.
    pub(crate) fn set_text(&mut self, name: &str, text: &str) {
        let value = Growing::Text(text.to_owned());
        match self.get_mut(name) {
            Some(old) => *old = value,
            None => self.insert(name, value),
        }
    }

    /// Adds a member if there is none.
    pub(crate) fn or_insert(&mut self, name: &str, value: Growing) {
        if self.get(name).is_none() {
            self.insert(name, value);
        }
    }

    /// Leaves `null` in the place of a member.
    pub(crate) fn clear(&mut self, name: &str) {
        if let Some(value) = self.get_mut(name) {
            *value = Growing::null();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Growing)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    fn insert(&mut self, name: &str, value: Growing) {
        self.0.push((name.to_owned(), value));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Growing> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Growing> {
        self.0
            .iter_mut()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Growing> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(place).1)
    }
}

impl Serialize for Growing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Object(object) => object.serialize(serializer),
            Self::List(list) => list.serialize(serializer),
            Self::Plain(raw) => raw.serialize(serializer),
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
