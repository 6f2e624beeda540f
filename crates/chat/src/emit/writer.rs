use backstop_core::Usage;
use serde::Serialize;

use super::{Function, Shown};
use crate::{Chunk, Finish, Meta};

/// Writes the chunks of one streamed answer with one choice.
///
/// ```
/// use backstop_chat::emit::Writer;
///
/// let writer = Writer::new("chatcmpl-1", "claude-sonnet-4-6", 1_763_000_000, false);
/// let chunk = writer.text("Hello");
/// assert!(chunk.meta().text);
/// assert_eq!(
///     chunk.into_bytes(),
///     "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1763000000,\
///      \"model\":\"claude-sonnet-4-6\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\
///      \"finish_reason\":null}]}\n\n",
/// );
/// ```
#[derive(Debug)]
pub struct Writer {
    /// A frame up to `"choices":`.
    prefix: String,
    include_usage: bool,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[CallDelta<'a>; 1]>,
}

#[derive(Serialize)]
struct CallDelta<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    function: Function<'a>,
}

impl Writer {
    /// For the answer `id` by `model`, `created` in seconds since 1970; usage is shown if the caller asked for it.
    #[must_use]
    pub fn new(id: &str, model: &str, created: u64, include_usage: bool) -> Self {
        let (id, model) = (json(id), json(model));
        let prefix = format!(
            r#"data: {{"id":{id},"object":"chat.completion.chunk","created":{created},"model":{model},"choices":"#
        );
        Self {
            prefix,
            include_usage,
        }
    }

    /// The first chunk: who speaks.
    #[must_use]
    pub fn role(&self) -> Chunk {
        let delta = Delta {
            role: Some("assistant"),
            content: Some(""),
            ..Delta::default()
        };
        self.delta(&delta, None, Meta::default())
    }

    /// Some text.
    #[must_use]
    pub fn text(&self, text: &str) -> Chunk {
        let meta = Meta {
            text: !text.is_empty(),
            ..Meta::default()
        };
        self.delta(
            &Delta {
                content: Some(text),
                ..Delta::default()
            },
            None,
            meta,
        )
    }

    /// Some visible reasoning, as `reasoning_content`.
    #[must_use]
    pub fn reasoning(&self, text: &str) -> Chunk {
        let meta = Meta {
            reasoning: !text.is_empty(),
            ..Meta::default()
        };
        self.delta(
            &Delta {
                reasoning_content: Some(text),
                ..Delta::default()
            },
            None,
            meta,
        )
    }

    /// The beginning of the tool call `index`, counted from 0.
    #[must_use]
    pub fn tool_call(&self, index: u32, id: &str, name: &str) -> Chunk {
        self.call(CallDelta {
            index,
            id: Some(id),
            kind: Some("function"),
            function: Function {
                name: Some(name),
                arguments: "",
            },
        })
    }

    /// More of the arguments of the tool call `index`.
    #[must_use]
    pub fn tool_arguments(&self, index: u32, arguments: &str) -> Chunk {
        self.call(CallDelta {
            index,
            id: None,
            kind: None,
            function: Function {
                name: None,
                arguments,
            },
        })
    }

    /// A chunk with these choices, as raw JSON: another answer's, under this one's id.
    #[must_use]
    pub fn choices(&self, choices: &str, meta: Meta) -> Chunk {
        Chunk::event(format!("{}{choices}}}\n\n", self.prefix), meta)
    }

    /// Why the answer ends; `terminal` if that proves that it is complete.
    #[must_use]
    pub fn finish(&self, finish: Finish, terminal: bool) -> Chunk {
        let meta = Meta {
            finish: Some(finish),
            terminal,
            ..Meta::default()
        };
        self.delta(&Delta::default(), Some(finish), meta)
    }

    /// The tokens it took: a chunk without choices, or silent if the caller did not ask.
    #[must_use]
    pub fn usage(&self, usage: Usage) -> Chunk {
        let meta = Meta {
            usage: Some(usage),
            ..Meta::default()
        };
        if !self.include_usage {
            return Chunk::silent(meta);
        }
        let usage = json(&Shown(&usage));
        Chunk::event(format!("{}[],\"usage\":{usage}}}\n\n", self.prefix), meta)
    }

    fn call(&self, call: CallDelta<'_>) -> Chunk {
        let meta = Meta {
            tool_call: true,
            ..Meta::default()
        };
        self.delta(
            &Delta {
                tool_calls: Some([call]),
                ..Delta::default()
            },
            None,
            meta,
        )
    }

    fn delta(&self, delta: &Delta<'_>, finish: Option<Finish>, meta: Meta) -> Chunk {
        let mut frame = Vec::with_capacity(self.prefix.len() + 128);
        frame.extend_from_slice(self.prefix.as_bytes());
        frame.extend_from_slice(br#"[{"index":0,"delta":"#);
        serde_json::to_writer(&mut frame, delta).expect("a delta is JSON, and a Vec takes it");
        frame.extend_from_slice(br#","finish_reason":"#);
        match finish {
            Some(finish) => {
                frame.push(b'"');
                frame.extend_from_slice(finish.as_str().as_bytes());
                frame.push(b'"');
            }
            None => frame.extend_from_slice(b"null"),
        }
        frame.extend_from_slice(b"}]}\n\n");
        Chunk::event(frame, meta)
    }
}

fn json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("it is JSON")
}
