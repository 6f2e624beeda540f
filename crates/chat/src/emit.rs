//! Answers in OpenAI's format, for providers of other formats: [`Writer`] for streams, [`Document`] for the rest, and
//! [`answer`] for a text that is there already.

use std::time::UNIX_EPOCH;

use backstop_core::{Trail, Usage, wall};
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::{Body, Chat, Chunk, Finish, Meta};

/// The answer of `model` to `chat` where its text is there already: a stream or a document, as the caller asked.
///
/// ```
/// use backstop_chat::{Chat, emit};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), backstop_core::BoxError> {
/// let chat = Chat::user("Who are you?");
/// assert_eq!(emit::answer(&chat, "echo", "Who are you?").text().await?, "Who are you?");
/// assert_eq!(emit::answer(&chat.streamed(true), "echo", "Who are you?").text().await?, "Who are you?");
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn answer(chat: &Chat, model: &str, text: &str) -> Body {
    let id = format!("chatcmpl-{}", Trail::start().id());
    let now = wall::now().duration_since(UNIX_EPOCH);
    let created = now.map_or(0, |since| since.as_secs());
    if chat.stream() {
        let writer = Writer::new(&id, model, created, chat.include_usage());
        return Body::of([
            writer.role(),
            writer.text(text),
            writer.finish(Finish::Stop, true),
        ]);
    }
    Body::once(Document::new(&id, model, created, text).into_chunk())
}

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
    function: FunctionDelta<'a>,
}

#[derive(Serialize)]
struct FunctionDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
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
            function: FunctionDelta {
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
            function: FunctionDelta {
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

/// One answer that is not streamed, with one choice.
#[derive(Debug)]
pub struct Document<'a> {
    /// Its id.
    pub id: &'a str,
    /// Who answered.
    pub model: &'a str,
    /// When, in seconds since 1970.
    pub created: u64,
    /// The text; `None` where there is none, as beside tool calls.
    pub text: Option<&'a str>,
    /// Visible reasoning.
    pub reasoning: Option<&'a str>,
    /// The tool calls: id, name, arguments.
    pub tool_calls: &'a [(String, String, String)],
    /// Why it ends.
    pub finish: Finish,
    /// The tokens it took.
    pub usage: Option<Usage>,
}

impl<'a> Document<'a> {
    /// The answer `id` by `model`, `created` in seconds since 1970: this text and nothing else.
    #[must_use]
    pub const fn new(id: &'a str, model: &'a str, created: u64, text: &'a str) -> Self {
        Self {
            id,
            model,
            created,
            text: Some(text),
            reasoning: None,
            tool_calls: &[],
            finish: Finish::Stop,
            usage: None,
        }
    }

    /// The answer as one chunk.
    #[must_use]
    pub fn into_chunk(self) -> Chunk {
        let meta = Meta {
            text: self.text.is_some_and(|text| !text.is_empty()),
            reasoning: self.reasoning.is_some_and(|text| !text.is_empty()),
            tool_call: !self.tool_calls.is_empty(),
            finish: Some(self.finish),
            terminal: true,
            usage: self.usage,
            ..Meta::default()
        };
        Chunk::document(serde_json::to_vec(&self).expect("an answer is JSON"), meta)
    }
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Choice<'a> {
            index: u32,
            message: Message<'a>,
            logprobs: Option<()>,
            finish_reason: &'a str,
        }

        #[derive(Serialize)]
        struct Message<'a> {
            role: &'a str,
            content: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            reasoning_content: Option<&'a str>,
            refusal: Option<&'a str>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            tool_calls: Vec<Call<'a>>,
        }

        #[derive(Serialize)]
        struct Call<'a> {
            id: &'a str,
            #[serde(rename = "type")]
            kind: &'a str,
            function: FunctionDelta<'a>,
        }

        let tool_calls = self
            .tool_calls
            .iter()
            .map(|(id, name, arguments)| Call {
                id,
                kind: "function",
                function: FunctionDelta {
                    name: Some(name),
                    arguments,
                },
            })
            .collect();
        let message = Message {
            role: "assistant",
            content: self.text,
            reasoning_content: self.reasoning,
            refusal: None,
            tool_calls,
        };
        let choice = Choice {
            index: 0,
            message,
            logprobs: None,
            finish_reason: self.finish.as_str(),
        };
        let mut document = serializer.serialize_struct("Document", 6)?;
        document.serialize_field("id", self.id)?;
        document.serialize_field("object", "chat.completion")?;
        document.serialize_field("created", &self.created)?;
        document.serialize_field("model", self.model)?;
        document.serialize_field("choices", &[choice])?;
        document.serialize_field("usage", &self.usage.as_ref().map(Shown))?;
        document.end()
    }
}

/// Usage as OpenAI shows it.
struct Shown<'a>(&'a Usage);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Prompt {
            cached_tokens: u64,
            cache_write_tokens: u64,
        }

        #[derive(Serialize)]
        struct Completion {
            reasoning_tokens: u64,
        }

        let usage = self.0;
        let mut shown = serializer.serialize_struct("Usage", 5)?;
        shown.serialize_field("prompt_tokens", &usage.input)?;
        shown.serialize_field("completion_tokens", &usage.output)?;
        shown.serialize_field("total_tokens", &usage.input.saturating_add(usage.output))?;
        let prompt = Prompt {
            cached_tokens: usage.cached,
            cache_write_tokens: usage.cache_write,
        };
        shown.serialize_field("prompt_tokens_details", &prompt)?;
        let completion = Completion {
            reasoning_tokens: usage.reasoning,
        };
        shown.serialize_field("completion_tokens_details", &completion)?;
        shown.end()
    }
}

fn json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("it is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Buf;
    use http_body::Body as _;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    fn read(chunk: &Chunk) -> Value {
        serde_json::from_slice(chunk.json()).expect("JSON")
    }

    #[test]
    fn a_stream_as_openai_writes_it() {
        let writer = Writer::new("id", "m\"odel", 1, true);
        assert_eq!(
            read(&writer.role())["choices"][0]["delta"],
            json!({"role": "assistant", "content": ""})
        );
        assert_eq!(
            read(&writer.tool_call(1, "call_1", "f"))["choices"][0]["delta"]["tool_calls"],
            json!([{"index": 1, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}])
        );
        let finish = writer.finish(Finish::ToolCalls, true);
        assert_eq!(read(&finish)["choices"][0]["finish_reason"], "tool_calls");
        assert!(finish.meta().terminal);
        let usage = read(&writer.usage(Usage::reported(9, 4)));
        assert_eq!(
            (&usage["choices"], &usage["usage"]["total_tokens"]),
            (&json!([]), &json!(13))
        );
        assert_eq!(usage["model"], "m\"odel");
        // A provider may report any number.
        let usage = read(&writer.usage(Usage::reported(u64::MAX, 1)));
        assert_eq!(usage["usage"]["total_tokens"], u64::MAX);
    }

    #[test]
    fn usage_that_nobody_asked_for_is_still_news() {
        let chunk = Writer::new("id", "m", 1, false).usage(Usage::reported(9, 4));
        assert_eq!(chunk.meta().usage.map(|usage| usage.input), Some(9));
        assert!(chunk.into_bytes().is_empty());
    }

    #[tokio::test]
    async fn a_text_is_answered_as_it_was_asked_for() {
        let chat = Chat::user("hi").streamed(true);
        let mut body = answer(&chat, "echo", "hello");
        let size = body.size_hint().exact();
        let mut chunks = Vec::new();
        while let Some(frame) = body.frame().await {
            chunks.push(frame.expect("no error").into_data().expect("a chunk"));
        }
        assert!(body.is_end_stream());
        let bytes: usize = chunks.iter().map(Buf::remaining).sum();
        assert_eq!(size, Some(bytes as u64));
        let terminal: Vec<_> = chunks.iter().map(|chunk| chunk.meta().terminal).collect();
        assert_eq!(terminal, [false, false, true]);

        let mut body = answer(&chat.streamed(false), "echo", "hello");
        let whole = body.frame().await.expect("one frame").expect("no error");
        let whole = whole.into_data().expect("a chunk");
        assert!(whole.meta().text && whole.meta().terminal);
        assert_eq!(read(&whole)["model"], "echo");
    }

    #[test]
    fn a_document_as_openai_writes_it() {
        let calls = [("call_1".to_owned(), "f".to_owned(), "{}".to_owned())];
        let document = Document {
            id: "id",
            model: "m",
            created: 1,
            text: None,
            reasoning: None,
            tool_calls: &calls,
            finish: Finish::ToolCalls,
            usage: Some(Usage::reported(9, 4)),
        };
        let answer = read(&document.into_chunk());
        assert_eq!(answer["object"], "chat.completion");
        assert_eq!(answer["choices"][0]["message"]["content"], Value::Null);
        assert_eq!(
            answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"],
            "{}"
        );
        assert_eq!(answer["usage"]["prompt_tokens"], 9);
    }
}
