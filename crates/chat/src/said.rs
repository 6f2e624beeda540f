//! What a chunk of a stream says, for those who have to know: its text, its tool calls.

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Chunk, Text};

#[derive(Deserialize)]
pub(crate) struct Frame<'a> {
    #[serde(borrow)]
    pub(crate) choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct Choice<'a> {
    #[serde(borrow)]
    pub(crate) delta: Option<Delta<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct Delta<'a> {
    #[serde(borrow)]
    pub(crate) role: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) content: Option<Text<'a>>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
}

/// A piece of a tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallDelta<'a> {
    /// Which call it belongs to, counted from 0. Some servers leave it out.
    pub index: Option<u32>,
    /// The call's id, mostly in its first piece only.
    pub id: Option<Cow<'a, str>>,
    /// More of its arguments.
    pub arguments: Cow<'a, str>,
}

impl Chunk {
    /// The text that an event of a stream adds to its only choice; `None` if it has no such place.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'_, str>> {
        let text = self.meta().text.then(|| content(self.json())).flatten();
        match text {
            Some(text) => Some(text),
            None => self.delta()?.content.map(|text| text.0),
        }
    }

    /// The pieces of tool calls that an event of a stream adds to its only choice; `None` if they cannot be read.
    #[must_use]
    pub fn calls(&self) -> Option<Vec<CallDelta<'_>>> {
        #[derive(Deserialize)]
        struct Call<'a> {
            index: Option<u32>,
            #[serde(borrow)]
            id: Option<Text<'a>>,
            #[serde(borrow)]
            function: Option<Function<'a>>,
        }

        #[derive(Deserialize)]
        struct Function<'a> {
            #[serde(borrow)]
            arguments: Option<Text<'a>>,
        }

        let delta = self.delta()?;
        let mut calls: Vec<Call<'_>> = match delta.tool_calls {
            Some(calls) => serde_json::from_str(calls.get()).ok()?,
            None => Vec::new(),
        };
        if let Some(function) = delta.function_call {
            calls.push(Call {
                index: Some(0),
                id: None,
                function: serde_json::from_str(function.get()).ok()?,
            });
        }
        let calls = calls.into_iter().map(|call| CallDelta {
            index: call.index,
            id: call.id.map(|id| id.0).filter(|id| !id.is_empty()),
            arguments: call
                .function
                .and_then(|function| function.arguments)
                .map_or(Cow::Borrowed(""), |arguments| arguments.0),
        });
        Some(calls.collect())
    }

    /// Whether it annotates the text, by citations for example.
    #[must_use]
    pub fn has_annotations(&self) -> bool {
        let json = self.json();
        let Some(value) = value_of(json, br#""annotations":"#) else {
            return false;
        };
        !value.starts_with(b"null") && !value.starts_with(b"[]")
    }

    pub(crate) fn delta(&self) -> Option<Delta<'_>> {
        let frame: Frame<'_> = serde_json::from_slice(self.json()).ok()?;
        let mut choices = frame.choices.into_iter();
        let first = choices.next()?;
        // More of the same choice may stand in another entry.
        choices.next().is_none().then_some(first.delta)?
    }
}

/// What stands behind the first `key`, quotes and colon included. A quote within a string is escaped, so that this can
/// be nothing but a key.
fn value_of<'a>(json: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = memmem::find(json, key)?;
    Some(json[at + key.len()..].trim_ascii_start())
}

/// The text of a frame with text in it, read without parsing the rest; `None` if more than one member could be it.
fn content(json: &[u8]) -> Option<Cow<'_, str>> {
    const KEY: &[u8] = br#""content":"#;
    let value = value_of(json, KEY)?.strip_prefix(b"\"")?;
    let mut end = 0;
    let mut escaped = false;
    loop {
        let found = memchr::memchr2(b'"', b'\\', &value[end..])?;
        end += found;
        if value[end] == b'"' {
            break;
        }
        escaped = true;
        end += 2;
        if end > value.len() {
            return None;
        }
    }
    let (text, rest) = value.split_at(end);
    if memmem::find(rest, KEY).is_some() {
        return None;
    }
    if escaped {
        let quoted = &json[json.len() - rest.len() - end - 1..=json.len() - rest.len()];
        return serde_json::from_slice(quoted).ok().map(Cow::Owned);
    }
    std::str::from_utf8(text).ok().map(Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Meta;
    use crate::emit::Writer;

    fn delta(delta: &str) -> Chunk {
        let json = format!(r#"{{"id":"1","choices":[{{"index":0,"delta":{delta}}}]}}"#);
        let meta = Meta {
            text: delta.contains("yes"),
            ..Meta::default()
        };
        Chunk::event_of(json.as_bytes(), meta)
    }

    #[test]
    fn the_text_of_a_chunk() {
        for (json, text) in [
            (r#"{"content":"yes"}"#, Some("yes")),
            (r#"{"content": "yes"}"#, Some("yes")),
            (r#"{"content" : "yes"}"#, Some("yes")),
            (r#"{"content":""}"#, Some("")),
            (
                r#"{"role":"assistant","content":"yes ü\"\\"}"#,
                Some("yes ü\"\\"),
            ),
            (r#"{"content":"yes\ud83d\ude42\n"}"#, Some("yes🙂\n")),
            (
                r#"{"content":"yes \"content\":\"no\""}"#,
                Some(r#"yes "content":"no""#),
            ),
            (r#"{"content":null}"#, None),
            (r#"{"reasoning_content":"hm"}"#, None),
            (r#"{"x":{"content":"no"}}"#, None),
            (r#"{"x":{"content":"no"},"content":"yes"}"#, Some("yes")),
            (r#"{"content":"yes","x":[{"content": "no"}]}"#, Some("yes")),
            ("{}", None),
            (
                r#"{"content":"yes"}},{"index":0,"delta":{"content":"too"}"#,
                None,
            ),
        ] {
            assert_eq!(delta(json).text().as_deref(), text, "{json}");
        }
        assert_eq!(Chunk::comment().text(), None);
        for text in ["plain", "\u{0}\u{2028}\"\\\r\n\t", "é👩‍🔬", "\\\\\\\"", ""] {
            let chunk = Writer::new("i", "m", 1, false).text(text);
            assert_eq!(chunk.text().as_deref(), Some(text));
        }
    }

    #[test]
    fn the_calls_of_a_chunk() {
        let writer = Writer::new("1", "m", 1, false);
        let chunk = writer.tool_call(1, "a", "f");
        let calls = chunk.calls().expect("calls");
        assert_eq!(
            (calls[0].index, calls[0].id.as_deref()),
            (Some(1), Some("a"))
        );
        let chunk = writer.tool_arguments(1, r#"{"x":"#);
        assert_eq!(chunk.calls().expect("calls")[0].arguments, r#"{"x":"#);
        let chunk = delta(r#"{"tool_calls":[{"id":"","function":null},{}]}"#);
        let calls = chunk.calls().expect("calls");
        assert_eq!(calls.len(), 2);
        assert!(calls[0].index.is_none() && calls[0].id.is_none() && calls[0].arguments.is_empty());
        let chunk = delta(r#"{"function_call":{"name":"f","arguments":"{}"}}"#);
        assert_eq!(chunk.calls().expect("calls")[0].arguments, "{}");
        assert_eq!(delta(r#"{"tool_calls":7}"#).calls(), None);
    }

    #[test]
    fn annotations() {
        assert!(delta(r#"{"annotations":[{"type":"url_citation"}]}"#).has_annotations());
        for none in [
            r#"{"annotations":[]}"#,
            r#"{"annotations": null}"#,
            r#"{"content":"\"annotations\":[1]"}"#,
        ] {
            assert!(!delta(none).has_annotations(), "{none}");
        }
    }
}
