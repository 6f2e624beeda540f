//! What a request asks for, in no provider's words, and the answer to it.

use crate::{
    plan::Plan,
    schema::sample,
    script::{Given, escape, say},
};
use serde_json::{Value, json};
use std::borrow::Cow;

/// What a valid request asks for.
#[derive(Debug, Default)]
pub(crate) struct Ask {
    /// The model without its faults.
    pub(crate) base: String,
    pub(crate) plan: Plan,
    pub(crate) stream: bool,
    /// Whether a stream ends with usage.
    pub(crate) usage: bool,
    /// Whether a stream's chunks are padded.
    pub(crate) padded: bool,
    /// How many answers at once; 0 stands for 1.
    pub(crate) choices: usize,
    pub(crate) prompt_tokens: usize,
    pub(crate) max_tokens: Option<usize>,
    pub(crate) stops: Vec<String>,
    pub(crate) given: Given,
    pub(crate) tools: Vec<Tool>,
    pub(crate) choice: Choice,
    /// Whether the conversation ends with the result of a tool.
    pub(crate) tool_answered: bool,
    /// The schema of a structured answer.
    pub(crate) schema: Option<Value>,
}

#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) schema: Value,
}

/// Which tool must be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    #[default]
    Auto,
    Never,
    Any,
    Named(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    End,
    Sequence,
    Length,
    Calls,
    Filter,
}

/// The answer: text, then calls.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Tokens, escaped for JSON.
    pub(crate) text: Vec<Cow<'static, str>>,
    pub(crate) calls: Vec<Call>,
    pub(crate) stop: Stop,
    /// The stop sequence that ended the text.
    pub(crate) stopped_by: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// A JSON object.
    pub(crate) args: String,
}

impl Call {
    /// The arguments in pieces, escaped for JSON once more.
    pub(crate) fn fragments(&self) -> Vec<String> {
        fragments(&self.args).map(escape).collect()
    }
}

/// Pieces of about eight bytes.
fn fragments(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let end = text
            .char_indices()
            .map(|(at, c)| at + c.len_utf8())
            .find(|end| *end >= 8);
        let (head, rest) = text.split_at(end.unwrap_or(text.len()));
        text = rest;
        (!head.is_empty()).then_some(head)
    })
}

impl Answer {
    pub(crate) fn to(ask: &Ask) -> Self {
        let plan = &ask.plan;
        if let Some(after) = plan.filtered {
            let said = say(plan, &ask.given, &ask.stops, Some(after));
            return Self {
                text: said.tokens,
                calls: Vec::new(),
                stop: Stop::Filter,
                stopped_by: None,
            };
        }
        let calls = calls(ask);
        if !calls.is_empty() {
            let said = match plan.preamble {
                0 => Vec::new(),
                n => say(plan, &ask.given, &ask.stops, Some(n)).tokens,
            };
            return Self {
                text: said,
                calls,
                stop: Stop::Calls,
                stopped_by: None,
            };
        }
        if let Some(schema) = &ask.schema {
            let value = sample(schema).to_string();
            let mut text: Vec<_> = fragments(&value)
                .map(|piece| Cow::Owned(escape(piece)))
                .collect();
            let whole = text.len();
            text.truncate(ask.max_tokens.unwrap_or(whole));
            let stop = if text.len() < whole {
                Stop::Length
            } else {
                Stop::End
            };
            return Self {
                text,
                calls,
                stop,
                stopped_by: None,
            };
        }
        let said = say(plan, &ask.given, &ask.stops, ask.max_tokens);
        let stop = match (&said.stopped_by, said.cut_short) {
            (_, true) => Stop::Length,
            (Some(_), false) => Stop::Sequence,
            (None, false) => Stop::End,
        };
        Self {
            text: said.tokens,
            calls,
            stop,
            stopped_by: said.stopped_by,
        }
    }

    /// The whole text, escaped for JSON.
    pub(crate) fn text(&self) -> String {
        self.text.concat()
    }

    pub(crate) fn tokens(&self) -> usize {
        self.text.len()
            + self
                .calls
                .iter()
                .map(|call| fragments(&call.args).count())
                .sum::<usize>()
    }
}

fn calls(ask: &Ask) -> Vec<Call> {
    let wanted = match &ask.choice {
        Choice::Never => 0,
        Choice::Any | Choice::Named(_) => ask.plan.calls.max(1),
        Choice::Auto if ask.tool_answered => 0,
        Choice::Auto => ask.plan.calls,
    };
    let named: Vec<&Tool> = match &ask.choice {
        Choice::Named(name) => ask.tools.iter().filter(|tool| tool.name == *name).collect(),
        _ => ask.tools.iter().collect(),
    };
    named
        .iter()
        .cycle()
        .take(if named.is_empty() { 0 } else { wanted })
        .map(|tool| Call {
            name: tool.name.clone(),
            args: sample(&tool.schema).to_string(),
        })
        .collect()
}

/// The schema of an object about which nothing is known.
pub(crate) fn any_object() -> Value {
    json!({"type": "object", "properties": {"ok": {"const": true}, "text": {"type": "string"}}})
}
