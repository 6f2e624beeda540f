//! One answer in the form of another: what a stream needs that goes on from somewhere else.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::emit::Writer;
use crate::{Chunk, Text};

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
        if chunk.delta().is_some_and(|delta| delta.role.is_some()) {
            let says = meta.text || meta.tool_call || meta.reasoning || meta.refusal;
            return (says || meta.finish.is_some())
                .then(|| self.adopt_without(chunk, &["role"]))
                .flatten();
        }
        let raw: Raw<'_> = serde_json::from_slice(chunk.json()).ok()?;
        Some(self.choices(raw.choices.get(), meta))
    }

    /// The same without its text and its reasoning; `None` if there is nothing else in it.
    #[must_use]
    pub fn adopt_rest(&self, chunk: &Chunk) -> Option<Chunk> {
        let meta = chunk.meta();
        let says = meta.tool_call || meta.refusal || meta.finish.is_some();
        let without = ["role", "content", "reasoning_content", "reasoning"];
        says.then(|| self.adopt_without(chunk, &without)).flatten()
    }

    fn adopt_without(&self, chunk: &Chunk, members: &[&str]) -> Option<Chunk> {
        let mut meta = *chunk.meta();
        meta.text &= !members.contains(&"content");
        meta.reasoning &= !members.contains(&"reasoning");
        let mut frame: Value = serde_json::from_slice(chunk.json()).ok()?;
        let mut choices = frame.get_mut("choices")?.take();
        for choice in choices.as_array_mut()? {
            if let Some(Value::Object(delta)) = choice.get_mut("delta") {
                for member in members {
                    delta.remove(*member);
                }
            }
        }
        Some(self.choices(&choices.to_string(), meta))
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
        let adopted = writer.adopt(&chunk).expect("text");
        assert_eq!(adopted.text().as_deref(), Some("Hi"));
        assert!(!String::from_utf8_lossy(adopted.json()).contains("role"));
    }

    #[test]
    fn a_call_that_comes_with_a_role_and_text_is_not_lost() {
        let json = br#"{"id":"2","choices":[{"index":0,"delta":{"role":"assistant","content":"Hi","tool_calls":[{"index":0,"id":"a"}]},"finish_reason":"tool_calls"}]}"#;
        let mut meta = Meta {
            text: true,
            tool_call: true,
            ..Meta::default()
        };
        meta.finish = Some(Finish::ToolCalls);
        let chunk = Chunk::event_of(json, meta);
        let writer = Writer::new("1", "m", 1, false);
        let all = writer.adopt(&chunk).expect("news");
        assert_eq!(all.text().as_deref(), Some("Hi"));
        let rest = writer.adopt_rest(&chunk).expect("news");
        assert!(!rest.meta().text && rest.meta().finish.is_some());
        assert_eq!(rest.text(), None);
        assert_eq!(rest.calls().expect("calls")[0].id.as_deref(), Some("a"));
        assert!(writer.adopt_rest(&writer.text("Hi")).is_none());
    }
}
