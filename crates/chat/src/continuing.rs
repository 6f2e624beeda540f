//! Going on with an answer that broke off: what a dialect is told, and how the request is changed for it.

use std::sync::Arc;

use backstop_core::{Failure, FailureKind, Ineligible, Trail};

use crate::{Chat, ProviderError};

/// How many characters of the delivered text are quoted at the most.
const QUOTED: usize = 160;

/// How many characters must stand again, byte for byte, to prove where a text was gone on with. Fewer stand again by
/// chance, too.
pub const SURE: usize = 12;

/// How a deployment goes on with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// The delivered text is the beginning of the assistant's turn: the model goes on right behind it.
    Prefill {
        /// The server says the beginning again before it goes on.
        echoes: bool,
    },
    /// The same request again, where its answer is determined: what was delivered is skipped.
    Replay,
    /// A user turn asks for the rest, beginning with the last characters delivered. Where these are fewer than
    /// [`SURE`], the same request is sent again instead: its answer begins with what was delivered, or is of no use.
    Prompted,
}

impl Mode {
    /// The name that comments and records use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prefill { .. } => "prefill",
            Self::Replay => "replay",
            Self::Prompted => "prompted",
        }
    }
}

/// The ways of going on that a caller accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// [`Mode::Prefill`].
    pub prefill: bool,
    /// [`Mode::Replay`].
    pub replay: bool,
    /// [`Mode::Prompted`].
    pub prompted: bool,
}

/// In a request's extensions: it asks for the rest of an answer, of which so much has been delivered.
#[derive(Clone, Debug)]
pub struct Continue {
    delivered: Arc<str>,
    tokens: u64,
    model: Arc<str>,
    modes: Modes,
}

impl Continue {
    /// For the rest of an answer by `model`, of which `delivered` is with the caller, about so many `tokens`.
    #[must_use]
    pub fn new(
        delivered: impl Into<Arc<str>>,
        tokens: u64,
        model: impl Into<Arc<str>>,
        modes: Modes,
    ) -> Self {
        Self {
            delivered: delivered.into(),
            tokens,
            model: model.into(),
            modes,
        }
    }

    /// What the caller has.
    #[must_use]
    pub fn delivered(&self) -> &Arc<str> {
        &self.delivered
    }

    /// At most how many bytes of text the request for the rest has beside those of the request for the whole.
    #[must_use]
    pub fn resent(&self) -> u64 {
        // Prompted, which is the longest: the text, and a turn that quotes the end of it.
        (self.delivered.len() + asks_for_rest(anchor(&self.delivered)).len()) as u64
    }

    /// The request for the rest, to a deployment of `model` that takes prefill as `prefill` says, and how it asks.
    ///
    /// The most exact way is taken that both sides allow. The bound on the answer's length is lowered by what has
    /// been delivered; system prompts are never touched.
    ///
    /// # Errors
    ///
    /// [`ProviderError::incapable`] if there is no such way.
    pub fn apply(
        &self,
        chat: &Chat,
        provider: &'static str,
        model: &str,
        prefill: Option<Prefill>,
        trail: Option<&Trail>,
    ) -> Result<(Chat, Mode), ProviderError> {
        let incapable = |why: &'static str| Err(ProviderError::incapable(provider, why));
        let (asked, mode) = if let Some(prefill) = prefill.filter(|_| self.modes.prefill) {
            let turn = assistant(self.delivered.trim_end(), prefill.marks);
            (
                with_turns(chat, &turn, prefill.members, self.tokens),
                Mode::Prefill {
                    echoes: prefill.echoes,
                },
            )
        } else if self.modes.replay && *self.model == *model && is_determined(chat) {
            (chat.clone(), Mode::Replay)
        } else if self.modes.prompted && anchor(&self.delivered).chars().nth(SURE - 1).is_none() {
            (chat.clone(), Mode::Prompted)
        } else if self.modes.prompted {
            let anchor = anchor(&self.delivered);
            let turns = format!(
                "{},{}",
                assistant(self.delivered.trim_end(), ""),
                user(anchor)
            );
            // The anchor is said twice: its share of the tokens is not spent yet.
            let again =
                (self.tokens * anchor.len() as u64).div_ceil(self.delivered.len().max(1) as u64);
            let spent = self.tokens.saturating_sub(again);
            (with_turns(chat, &turns, &[], spent), Mode::Prompted)
        } else {
            return incapable("it cannot go on with an answer in a way that this request allows");
        };
        if let Some(trail) = trail {
            trail.note(format!("goes on with the answer by {}", mode.as_str()));
        }
        Ok((asked, mode))
    }

    /// The same request in the next best way, when the provider has answered `error` to a prefill.
    ///
    /// # Errors
    ///
    /// `error`, as one that another deployment may do better, if there is no other way.
    pub fn without_prefill(
        &self,
        chat: &Chat,
        model: &str,
        error: ProviderError,
        trail: Option<&Trail>,
    ) -> Result<(Chat, Mode), ProviderError> {
        if let Some(trail) = trail {
            trail.note("the model refuses a prefill");
        }
        self.apply(chat, error.provider(), model, None, trail)
            .map_err(|_| {
                let mut failure = Failure::new(FailureKind::Ineligible(Ineligible::Capability))
                    .with_detail("it refuses a prefill, and may go on in no other way");
                if let Some(status) = error.failure().status() {
                    failure = failure.with_status(status);
                }
                if let Some(id) = error.failure().request_id() {
                    failure = failure.with_request_id(Arc::clone(id));
                }
                error.with_failure(failure)
            })
    }
}

/// In a request's extensions: the caller gets nothing of the answer before all of it is there. One that breaks and
/// cannot be gone on with may begin again, then, which a chunk with [`Meta::again`](crate::Meta::again) says.
#[derive(Clone, Copy, Debug)]
pub struct Collected;

/// How a deployment takes prefill.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prefill {
    /// It says the prefill again before it goes on.
    pub echoes: bool,
    /// Members that mark the assistant's message, such as `,"prefix":true`.
    pub marks: &'static str,
    /// Members of the request itself, by name and JSON: such as `continue_final_message`, which is `true`.
    pub members: &'static [(&'static str, &'static str)],
}

/// In a response's extensions: it goes on with an answer in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continued(pub Mode);

/// The last characters of `delivered`, without the white space behind them: what a prompted continuation begins with.
#[must_use]
pub fn anchor(delivered: &str) -> &str {
    let text = delivered.trim_end();
    let start = text
        .char_indices()
        .rev()
        .nth(QUOTED - 1)
        .map_or(0, |(at, _)| at);
    text[start..].trim_start()
}

/// The request with further `turns` and `members`, of whose bound so many tokens are `spent`.
fn with_turns(
    chat: &Chat,
    turns: &str,
    members: &[(&'static str, &'static str)],
    spent: u64,
) -> Chat {
    let messages = chat.member("messages").unwrap_or("[]");
    let messages = messages.strip_suffix(']').unwrap_or(messages).trim_end();
    let comma = if messages.ends_with('[') { "" } else { "," };
    let mut edit = chat
        .edit()
        .set("messages", format!("{messages}{comma}{turns}]"));
    for name in ["max_tokens", "max_completion_tokens"] {
        if let Some(bound) = chat
            .member(name)
            .and_then(|bound| bound.parse::<u64>().ok())
        {
            edit = edit.set(name, bound.saturating_sub(spent).max(1).to_string());
        }
    }
    for (name, json) in members {
        edit = edit.set(name, *json);
    }
    Chat::parse(edit.finish()).expect("a valid request stays valid")
}

/// Whether the same request has the same answer: as far as OpenAI's format lets a caller ask for that.
fn is_determined(chat: &Chat) -> bool {
    let zero = |name| {
        chat.member(name)
            .and_then(|value| value.parse::<f64>().ok())
            == Some(0.0)
    };
    zero("temperature") || chat.has("seed")
}

fn assistant(text: &str, marks: &str) -> String {
    format!(r#"{{"role":"assistant","content":{}{marks}}}"#, json(text))
}

fn user(anchor: &str) -> String {
    let ask = asks_for_rest(anchor);
    format!(r#"{{"role":"user","content":{}}}"#, json(&ask))
}

fn asks_for_rest(anchor: &str) -> String {
    format!(
        "Your reply was cut off by a fault in transmission. Everything up to and including these last characters \
         has arrived:\n\n{anchor}\n\nSend the rest. Begin by repeating exactly the characters above, all of them and \
         nothing before them, and go on from there as if there had been no break, in the middle of a word if that is \
         where it ends. Do not comment on this, do not apologise, do not start over."
    )
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

#[cfg(test)]
mod tests;
