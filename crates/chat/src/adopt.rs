//! One answer in the form of another: what a stream needs that goes on from somewhere else.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::emit::Writer;
use crate::{Chunk, Text};

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    role: Option<Text<'a>>,
    #[serde(borrow)]
    content: Option<Text<'a>>,
}

impl Chunk {
    /// The text that an event of a stream adds to the first choice; `None` if it has no such place.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'_, str>> {
        delta(self)?.content.map(|text| text.0)
    }
}

fn delta(chunk: &Chunk) -> Option<Delta<'_>> {
    let frame: Frame<'_> = serde_json::from_slice(chunk.json()).ok()?;
    frame.choices.into_iter().next()?.delta
}

impl Writer {
    /// Goes on in the name of the answer that begins with `chunk`: under its id, its time and its model.
    #[must_use]
    pub fn like(chunk: &Chunk, include_usage: bool) -> Option<Self> {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(borrow, default)]
            id: Option<Text<'a>>,
            created: Option<u64>,
            #[serde(borrow, default)]
            model: Option<Text<'a>>,
        }

        let head: Head<'_> = serde_json::from_slice(chunk.json()).ok()?;
        let id = head.id.as_deref().unwrap_or_default();
        let model = head.model.as_deref().unwrap_or_default();
        Some(Self::new(
            id,
            model,
            head.created.unwrap_or(0),
            include_usage,
        ))
    }

    /// A chunk of another answer, as if it were this one's; `None` if all that it says is who speaks.
    #[must_use]
    pub fn adopt(&self, chunk: &Chunk) -> Option<Chunk> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            #[serde(borrow)]
            choices: &'a RawValue,
        }

        let meta = *chunk.meta();
        let delta = delta(chunk);
        if delta.as_ref().is_some_and(|delta| delta.role.is_some()) && meta.finish.is_none() {
            return meta.text.then(|| {
                self.text(
                    &delta
                        .and_then(|delta| delta.content)
                        .map_or(Cow::Borrowed(""), |text| text.0),
                )
            });
        }
        let raw: Raw<'_> = serde_json::from_slice(chunk.json()).ok()?;
        Some(self.choices(raw.choices.get(), meta))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Finish, Meta};

    #[test]
    fn another_answer_goes_on_under_the_first_ones_id() {
        let first = Writer::new("one", "gpt-4o", 7, false);
        let second = Writer::new("two", "claude", 9, false);
        let writer = Writer::like(&first.role(), false).expect("a head");
        assert_eq!(
            writer.adopt(&second.role()).map(Chunk::into_bytes),
            None,
            "it has been said who speaks"
        );
        assert_eq!(
            writer.adopt(&second.text("x")).map(Chunk::into_bytes),
            Some(first.text("x").into_bytes())
        );
        let finish = writer
            .adopt(&second.finish(Finish::Stop, true))
            .expect("news");
        assert!(finish.meta().terminal);
        assert_eq!(
            finish.into_bytes(),
            first.finish(Finish::Stop, true).into_bytes()
        );
    }

    #[test]
    fn a_role_that_comes_with_text_leaves_the_text() {
        let json =
            br#"{"id":"2","choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"}}]}"#;
        let chunk = Chunk::event_of(
            json,
            Meta {
                text: true,
                ..Meta::default()
            },
        );
        let writer = Writer::new("1", "m", 1, false);
        assert_eq!(chunk.text().as_deref(), Some("Hi"));
        assert_eq!(
            writer.adopt(&chunk).map(Chunk::into_bytes),
            Some(writer.text("Hi").into_bytes())
        );
    }
}
