//! Reading conversations: the part that is the same in every format.

use crate::script::Given;
use serde_json::Value;

/// The text of a turn: a string, or the text parts of a list.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}

/// What the conversation already has of an answer.
pub(crate) fn given(messages: &[Value]) -> Given {
    let assistant = |message: &Value| message["role"] == "assistant";
    match messages {
        [.., last] if assistant(last) => Given {
            prefix: Some(text_of(&last["content"])),
            user: None,
        },
        [.., prefix, user] if assistant(prefix) && user["role"] == "user" => Given {
            prefix: Some(text_of(&prefix["content"])),
            user: Some(text_of(&user["content"])),
        },
        _ => Given::default(),
    }
}

/// How many tokens a prompt counts: four bytes of text each, and three for every turn.
///
/// Pictures count as nothing, so that a URL and its bytes are the same.
pub(crate) fn count(prompt: &[&Value]) -> usize {
    fn bytes(value: &Value) -> usize {
        match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(bytes).sum(),
            Value::Object(fields) => fields
                .iter()
                .filter(|(name, _)| {
                    !matches!(name.as_str(), "url" | "data" | "bytes" | "role" | "type")
                })
                .map(|(_, value)| bytes(value))
                .sum(),
            _ => 0,
        }
    }
    let turns = |value: &Value| match value {
        Value::Null => 0,
        value => value.as_array().map_or(1, Vec::len),
    };
    prompt
        .iter()
        .map(|value| bytes(value).div_ceil(4) + 3 * turns(value))
        .sum()
}

/// The strings of a list; a single string stands for a list of one.
pub(crate) fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}
