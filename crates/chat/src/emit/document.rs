use backstop_core::Usage;
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::{Function, Shown};
use crate::{Chunk, Finish, Meta};

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
            function: Function<'a>,
        }

        let tool_calls = self
            .tool_calls
            .iter()
            .map(|(id, name, arguments)| Call {
                id,
                kind: "function",
                function: Function {
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
