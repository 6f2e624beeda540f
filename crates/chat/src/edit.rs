use std::borrow::Cow;

use bytes::Bytes;

use crate::request::{Member, range};

/// A copy of a request with some top-level members changed and every other byte as it came.
///
/// White space, key order, unknown members, the spelling of numbers: all survive. Members are named as OpenAI
/// names them; only members that [`Chat`](crate::Chat) acts on can be changed or removed.
#[derive(Debug)]
#[must_use = "nothing happens until `finish`"]
pub struct Edit<'a> {
    payload: &'a Bytes,
    members: &'a [Member],
    changes: Vec<(&'static str, Change<'a>)>,
}

#[derive(Debug)]
enum Change<'a> {
    Set(Cow<'a, str>),
    Rename(&'static str),
    Remove,
}

impl<'a> Edit<'a> {
    pub(crate) fn new(payload: &'a Bytes, members: &'a [Member]) -> Self {
        Self {
            payload,
            members,
            changes: Vec::new(),
        }
    }

    /// Names another model.
    pub fn set_model(self, model: &str) -> Self {
        let json = serde_json::to_string(model).expect("a string is JSON");
        self.set("model", json)
    }

    /// Sets a member to this JSON, in its place, or at the end if the request has none.
    pub fn set(mut self, name: &'static str, json: impl Into<Cow<'a, str>>) -> Self {
        self.changes.push((name, Change::Set(json.into())));
        self
    }

    /// Gives a member another name.
    pub fn rename(mut self, name: &'static str, to: &'static str) -> Self {
        self.changes.push((name, Change::Rename(to)));
        self
    }

    /// Leaves a member out.
    pub fn remove(mut self, name: &'static str) -> Self {
        self.changes.push((name, Change::Remove));
        self
    }

    /// The edited payload; the original one, shared, if nothing changed.
    #[must_use]
    pub fn finish(self) -> Bytes {
        if self.changes.is_empty() {
            return self.payload.clone();
        }
        let payload = &self.payload[..];
        let added: usize = self
            .changes
            .iter()
            .map(|(name, change)| name.len() + change.len() + 6)
            .sum();
        let mut out = Vec::with_capacity(payload.len() + added);
        // Up to the first key: the brace and what stands around it.
        let start = self
            .members
            .first()
            .map_or_else(|| opening(payload), |first| first.key.start as usize);
        out.extend_from_slice(&payload[..start]);

        let mut kept = 0;
        let mut end = start;
        for (index, member) in self.members.iter().enumerate() {
            let change = member.name.and_then(|name| self.change(name));
            if !matches!(change, Some(Change::Remove)) {
                if kept > 0 {
                    let before = &self.members[index - 1];
                    out.extend_from_slice(
                        &payload[before.value.end as usize..member.key.start as usize],
                    );
                }
                kept += 1;
                if let Some(Change::Rename(to)) = change {
                    out.push(b'"');
                    out.extend_from_slice(to.as_bytes());
                    out.push(b'"');
                } else {
                    out.extend_from_slice(&payload[range(&member.key)]);
                }
                out.extend_from_slice(
                    &payload[member.key.end as usize..member.value.start as usize],
                );
                if let Some(Change::Set(json)) = change {
                    out.extend_from_slice(json.as_bytes());
                } else {
                    out.extend_from_slice(&payload[range(&member.value)]);
                }
            }
            end = member.value.end as usize;
        }
        for (name, change) in &self.changes {
            if let Change::Set(json) = change
                && !self.members.iter().any(|member| member.name == Some(name))
            {
                if kept > 0 {
                    out.push(b',');
                }
                kept += 1;
                out.push(b'"');
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\":");
                out.extend_from_slice(json.as_bytes());
            }
        }
        out.extend_from_slice(&payload[end..]);
        out.into()
    }

    /// The change that was asked for last.
    fn change(&self, name: &str) -> Option<&Change<'a>> {
        self.changes
            .iter()
            .rev()
            .find(|(changed, _)| *changed == name)
            .map(|(_, change)| change)
    }
}

impl Change<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Set(json) => json.len(),
            Self::Rename(to) => to.len(),
            Self::Remove => 0,
        }
    }
}

/// Just behind the opening brace of an object without members.
fn opening(payload: &[u8]) -> usize {
    payload
        .iter()
        .position(|byte| *byte == b'{')
        .map_or(0, |at| at + 1)
}
