use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use backstop_core::{Ask, Needs, PromptSize};
use bytes::Bytes;
use serde::Serialize;

use crate::{Conversation, Edit, InvalidChat, parse, texts};

/// A chat request in OpenAI's format: the original bytes, and what was learned by parsing them once.
#[derive(Clone)]
pub struct Chat {
    head: Arc<Head>,
    payload: Bytes,
}

/// What layers need to know of a request, read in one pass.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) model: Arc<str>,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) max_output: Option<u64>,
    pub(crate) choices: u64,
    pub(crate) needs: Needs,
    pub(crate) size: PromptSize,
    /// The tokens of the texts, once somebody has counted them.
    pub(crate) tokens: OnceLock<Option<u64>>,
    pub(crate) members: Vec<Member>,
}

/// Where one member of the top-level object stands in the payload.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its name, if it is one that we act on.
    pub(crate) name: Option<&'static str>,
    /// The key, quotes included.
    pub(crate) key: Range<u32>,
    /// The value.
    pub(crate) value: Range<u32>,
}

impl Chat {
    /// Parses a request.
    ///
    /// # Errors
    ///
    /// [`InvalidChat`] says what is wrong and where: not JSON, nested deeper than 128, a wrong type, a member
    /// that we act on twice, no `model`, no `messages`.
    pub fn parse(payload: impl Into<Bytes>) -> Result<Self, InvalidChat> {
        let payload = payload.into();
        let head = Arc::new(parse::head(&payload)?);
        Ok(Self { head, payload })
    }

    /// A request for `model` with these messages: anything that serialises as OpenAI's do.
    ///
    /// # Errors
    ///
    /// [`InvalidChat`] if they do not.
    pub fn new(model: &str, messages: impl Serialize) -> Result<Self, InvalidChat> {
        #[derive(Serialize)]
        struct Request<'a, M> {
            model: &'a str,
            messages: M,
        }
        let payload = serde_json::to_vec(&Request { model, messages })
            .map_err(|error| InvalidChat::json(&error))?;
        Self::parse(payload)
    }

    /// One user message, for a stack that chooses the model itself; the model's name is `default`.
    #[must_use]
    pub fn user(text: &str) -> Self {
        Self::new(
            "default",
            [serde_json::json!({"role": "user", "content": text})],
        )
        .expect("a user message is a valid request")
    }

    /// The same request, answered as a stream or not.
    #[must_use]
    pub fn streamed(&self, stream: bool) -> Self {
        let payload = self
            .edit()
            .set("stream", if stream { "true" } else { "false" })
            .finish();
        Self::parse(payload).expect("a valid request stays valid")
    }

    /// The model that the caller named.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.head.model
    }

    /// Whether the answer is to be streamed.
    #[must_use]
    pub fn stream(&self) -> bool {
        self.head.stream
    }

    /// Whether a streamed answer is to end with a usage chunk (`stream_options.include_usage`).
    #[must_use]
    pub fn include_usage(&self) -> bool {
        self.head.include_usage
    }

    /// The most tokens that the answer may have, where the request says so.
    #[must_use]
    pub fn max_output(&self) -> Option<u64> {
        self.head.max_output
    }

    /// What a deployment must be able to do.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.head.needs
    }

    /// The request as it came.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The value of a top-level member that we act on, as raw JSON. Absent and `null` are the same.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&str> {
        let member = self
            .head
            .members
            .iter()
            .find(|member| member.name == Some(name))?;
        let text = std::str::from_utf8(&self.payload[range(&member.value)]).ok()?;
        (text != "null").then_some(text)
    }

    /// Whether the request has this top-level member, and it is not `null`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.member(name).is_some()
    }

    /// Starts a copy of the payload with some members changed and every other byte as it came.
    pub fn edit(&self) -> Edit<'_> {
        Edit::new(&self.payload, &self.head.members)
    }

    /// The whole request, typed and borrowed from the payload: a second parse, for dialects that translate.
    ///
    /// # Errors
    ///
    /// [`InvalidChat`] where a part that only a translation looks at has a wrong type.
    pub fn conversation(&self) -> Result<Conversation<'_>, InvalidChat> {
        serde_json::from_slice(&self.payload).map_err(|error| {
            let param = self.member_at(&error).map(str::to_owned);
            InvalidChat::new(error.to_string(), param)
        })
    }

    /// The top-level member in which the parser stopped.
    fn member_at(&self, error: &serde_json::Error) -> Option<&'static str> {
        let before: usize = self
            .payload
            .split_inclusive(|byte| *byte == b'\n')
            .take(error.line().checked_sub(1)?)
            .map(<[u8]>::len)
            .sum();
        let at = before + error.column();
        let mut members = self.head.members.iter();
        members
            .find(|member| (range(&member.value).start..=range(&member.value).end).contains(&at))?
            .name
    }
}

pub(crate) fn range(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

impl Ask for Chat {
    fn model(&self) -> &str {
        self.model()
    }

    fn shared_model(&self) -> Arc<str> {
        Arc::clone(&self.head.model)
    }

    fn streams(&self) -> bool {
        self.stream()
    }

    fn needs(&self) -> Needs {
        self.needs()
    }

    fn prompt_size(&self) -> Option<PromptSize> {
        Some(self.head.size)
    }

    /// Counted once for a request and all its clones; a second parse finds the texts.
    fn count_tokens(&self, count: &mut dyn FnMut(&str) -> u64) -> Option<u64> {
        *self.head.tokens.get_or_init(|| texts::count(self, count))
    }

    fn max_output(&self) -> Option<u64> {
        self.max_output()
    }

    fn choices(&self) -> u64 {
        self.head.choices.max(1)
    }

    fn clamp_output(&mut self, tokens: u64) -> bool {
        if self.max_output().is_some_and(|bound| bound <= tokens) {
            return true;
        }
        let mut edit = self.edit();
        if self.max_output().is_none() {
            edit = edit.set("max_completion_tokens", tokens.to_string());
        }
        // Both names may be there, and either may be the one that a provider looks at.
        for name in ["max_tokens", "max_completion_tokens"] {
            let bound = self.member(name).and_then(|bound| bound.parse().ok());
            if bound.is_some_and(|bound: u64| bound > tokens) {
                edit = edit.set(name, tokens.to_string());
            }
        }
        let clamped = Self::parse(edit.finish()).expect("a valid request stays valid");
        // A bound changes nothing about the prompt.
        if let Some(counted) = self.head.tokens.get() {
            let _ = clamped.head.tokens.set(*counted);
        }
        *self = clamped;
        true
    }
}

/// Never shows the messages: they are the caller's.
impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat")
            .field("model", &self.head.model)
            .field("stream", &self.head.stream)
            .field("bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}
