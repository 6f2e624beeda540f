//! What Anthropic refuses.

use super::Anthropic;
use crate::{
    answer::{Ask, Choice, Tool},
    provider::{Api, Failure, claude, takes_prefill},
    turns::{count, given, strings, text_of},
};
use http::HeaderMap;
use serde_json::Value;

const FIELDS: &[&str] = &[
    "model",
    "messages",
    "max_tokens",
    "system",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "tools",
    "tool_choice",
    "thinking",
    "metadata",
    "service_tier",
    "output_config",
    "container",
    "context_management",
    "inference_geo",
    "mcp_servers",
    "cache_control",
    "speed",
    "diagnostics",
];

pub(super) fn check(headers: &HeaderMap, base: &str, json: &Value) -> Result<Ask, Failure> {
    let version = headers
        .get("anthropic-version")
        .and_then(|version| version.to_str().ok());
    let version =
        version.ok_or_else(|| Failure::invalid("anthropic-version: header is required"))?;
    if let Some(name) = json
        .as_object()
        .and_then(|all| all.keys().find(|name| !FIELDS.contains(&name.as_str())))
    {
        return Err(Failure::invalid(format!(
            "{name}: Extra inputs are not permitted"
        )));
    }
    if base.is_empty() {
        return Err(Failure::invalid("model: Field required"));
    }
    let max_tokens = match &json["max_tokens"] {
        Value::Null => return Err(Failure::invalid("max_tokens: Field required")),
        max => max.as_u64().filter(|max| *max >= 1),
    };
    let max_tokens = max_tokens.ok_or_else(|| {
        Failure::invalid("max_tokens: Input should be greater than or equal to 1")
    })?;
    let messages = messages(base, json)?;
    sampling(version, base, json)?;
    let tools = tools(json)?;
    let choice = choice(json, &tools)?;
    thinking(base, json, max_tokens, &choice)?;
    let stops = strings(&json["stop_sequences"]);
    if stops.iter().any(|stop| stop.trim().is_empty()) {
        return Err(Failure::invalid(
            "stop_sequences: each stop sequence must contain non-whitespace",
        ));
    }
    if let Some(name) = json["metadata"]
        .as_object()
        .and_then(|all| all.keys().find(|name| *name != "user_id"))
    {
        return Err(Failure::invalid(format!(
            "metadata.{name}: Extra inputs are not permitted"
        )));
    }
    let last = messages.last().unwrap_or(&Value::Null);
    Ok(Ask {
        prompt_tokens: count(&[&json["system"], &json["messages"], &json["tools"]]),
        max_tokens: Some(max_tokens as usize),
        stops,
        given: given(messages),
        tools,
        choice,
        tool_answered: blocks(last).any(|block| block["type"] == "tool_result"),
        schema: schema(json)?,
        ..Ask::default()
    })
}

fn blocks(message: &Value) -> impl Iterator<Item = &Value> {
    message["content"].as_array().into_iter().flatten()
}

fn messages<'a>(base: &str, json: &'a Value) -> Result<&'a [Value], Failure> {
    let messages = match &json["messages"] {
        Value::Null => return Err(Failure::invalid("messages: Field required")),
        messages => messages
            .as_array()
            .ok_or_else(|| Failure::invalid("messages: Input should be a valid array"))?,
    };
    let Some(first) = messages.first() else {
        return Err(Failure::invalid(
            "messages: at least one message is required",
        ));
    };
    if first["role"] != "user" {
        return Err(Failure::invalid(
            "messages: first message must use the \"user\" role",
        ));
    }
    let takes_system = claude(base).is_none_or(|version| version >= (4, 8));
    let mut called: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        match message["role"].as_str() {
            Some("user" | "assistant") => {}
            Some("system") if takes_system => {}
            role => {
                return Err(Failure::invalid(format!(
                    "messages: Unexpected role {role:?}. The Messages API accepts a top-level `system` parameter, not \"system\" as an input message role."
                )));
            }
        }
        let last = index + 1 == messages.len();
        content(index, message, last)?;
        results(index, message, &called)?;
        called = blocks(message)
            .filter(|block| block["type"] == "tool_use")
            .filter_map(|block| block["id"].as_str())
            .collect();
    }
    let last = messages.last().unwrap_or(first);
    if last["role"] == "assistant" {
        if !takes_prefill(base) {
            return Err(Failure::invalid(Anthropic::NO_PREFILL));
        }
        if text_of(&last["content"]).ends_with(char::is_whitespace) {
            return Err(Failure::invalid(
                "messages: final assistant content cannot end with trailing whitespace",
            ));
        }
    }
    Ok(messages)
}

fn content(index: usize, message: &Value, last: bool) -> Result<(), Failure> {
    let at = |problem: &str| Failure::invalid(format!("messages.{index}: {problem}"));
    match &message["content"] {
        Value::String(text) if text.is_empty() && !(last && message["role"] == "assistant") => {
            Err(at(
                "all messages must have non-empty content except for the optional final assistant message",
            ))
        }
        Value::String(_) => Ok(()),
        Value::Array(blocks) if blocks.is_empty() => Err(at(
            "all messages must have non-empty content except for the optional final assistant message",
        )),
        Value::Array(blocks) => blocks.iter().try_for_each(|block| {
            let source = &block["source"];
            let fits = match block["type"].as_str() {
                Some("text") if block["text"] == "" => {
                    return Err(at("text content blocks must be non-empty"));
                }
                Some("text") => block["text"].is_string(),
                Some("image") => match source["type"].as_str() {
                    Some("url") => source["url"].is_string(),
                    Some("base64") => {
                        matches!(
                            source["media_type"].as_str(),
                            Some("image/jpeg" | "image/png" | "image/gif" | "image/webp")
                        ) && source["data"].is_string()
                    }
                    _ => source["type"] == "file",
                },
                Some("tool_use") => {
                    block["id"].is_string()
                        && block["name"].is_string()
                        && block["input"].is_object()
                }
                Some("tool_result") => block["tool_use_id"].is_string(),
                Some("document" | "thinking" | "redacted_thinking" | "search_result") => true,
                _ => false,
            };
            if fits {
                Ok(())
            } else {
                Err(at("content: Input should be a valid content block"))
            }
        }),
        _ => Err(at("content: Field required")),
    }
}

/// The results of all calls of the turn before, in front, and no others.
fn results(index: usize, message: &Value, called: &[&str]) -> Result<(), Failure> {
    let mut open = called.to_vec();
    for (at, block) in blocks(message)
        .enumerate()
        .filter(|(_, block)| block["type"] == "tool_result")
    {
        let id = block["tool_use_id"].as_str().unwrap_or_default();
        if !called.contains(&id) {
            return Err(Failure::invalid(format!(
                "messages.{index}.content.{at}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )));
        }
        open.retain(|open| *open != id);
    }
    let in_front = blocks(message)
        .skip_while(|block| block["type"] == "tool_result")
        .all(|block| block["type"] != "tool_result");
    if open.is_empty() && in_front {
        return Ok(());
    }
    Err(Failure::invalid(format!(
        "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
        index.saturating_sub(1),
        open.join(", ")
    )))
}

fn sampling(version: &str, base: &str, json: &Value) -> Result<(), Failure> {
    let set = |name: &str| !json[name].is_null();
    for name in ["temperature", "top_p", "top_k"] {
        if !set(name) {
            continue;
        }
        if version >= "2026-10-21" {
            return Err(Failure::invalid(format!(
                "{name}: Extra inputs are not permitted"
            )));
        }
        let default = if name == "top_k" { None } else { Some(1.0) };
        if claude(base).is_some_and(|version| version >= (4, 7)) && json[name].as_f64() != default {
            return Err(Failure::invalid(format!(
                "`{name}` is deprecated for this model."
            )));
        }
        if name != "top_k"
            && !json[name]
                .as_f64()
                .is_some_and(|value| (0.0..=1.0).contains(&value))
        {
            return Err(Failure::invalid(format!("{name}: range: 0..1")));
        }
    }
    if set("temperature") && set("top_p") {
        return Err(Failure::invalid(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        ));
    }
    Ok(())
}

fn tools(json: &Value) -> Result<Vec<Tool>, Failure> {
    let tools = json["tools"].as_array().into_iter().flatten().enumerate();
    tools
        .map(|(index, tool)| {
            let name = tool["name"].as_str().filter(|name| !name.is_empty());
            let name = name
                .ok_or_else(|| Failure::invalid(format!("tools.{index}.name: Field required")))?;
            // Tools that the server runs have a type and no schema.
            if tool["type"].as_str().is_none_or(|kind| kind == "custom")
                && tool["input_schema"]["type"] != "object"
            {
                return Err(Failure::invalid(format!(
                    "tools.{index}.custom.input_schema.type: Field required"
                )));
            }
            Ok(Tool {
                name: name.to_owned(),
                schema: tool["input_schema"].clone(),
            })
        })
        .collect()
}

fn choice(json: &Value, tools: &[Tool]) -> Result<Choice, Failure> {
    let choice = &json["tool_choice"];
    if choice.is_null() {
        return Ok(Choice::Auto);
    }
    if tools.is_empty() {
        return Err(Failure::invalid(
            "tool_choice: tool_choice may only be specified while providing tools",
        ));
    }
    match choice["type"].as_str() {
        Some("auto") => Ok(Choice::Auto),
        Some("none") => Ok(Choice::Never),
        Some("any") => Ok(Choice::Any),
        Some("tool") => {
            let name = choice["name"].as_str().unwrap_or_default();
            match tools.iter().any(|tool| tool.name == name) {
                true => Ok(Choice::Named(name.to_owned())),
                false => Err(Failure::invalid(format!(
                    "Tool '{name}' not found in provided tools"
                ))),
            }
        }
        _ => Err(Failure::invalid(
            "tool_choice: Input tag does not match any of the expected tags: 'auto', 'any', 'tool', 'none'",
        )),
    }
}

fn thinking(base: &str, json: &Value, max_tokens: u64, choice: &Choice) -> Result<(), Failure> {
    let kind = json["thinking"]["type"].as_str();
    if matches!(kind, None | Some("disabled")) {
        return Ok(());
    }
    if matches!(choice, Choice::Any | Choice::Named(_)) {
        return Err(Failure::invalid(
            "Thinking may not be enabled when tool_choice forces tool use.",
        ));
    }
    if kind != Some("enabled") {
        return Ok(());
    }
    if claude(base).is_some_and(|version| version >= (4, 7)) {
        return Err(Failure::invalid(
            "thinking.type: \"enabled\" is not supported for this model. Use \"adaptive\" and `output_config.effort`.",
        ));
    }
    match json["thinking"]["budget_tokens"].as_u64() {
        Some(budget) if budget >= 1024 && budget < max_tokens => Ok(()),
        Some(budget) if budget >= 1024 => Err(Failure::invalid(
            "`max_tokens` must be greater than `thinking.budget_tokens`.",
        )),
        _ => Err(Failure::invalid(
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        )),
    }
}

fn schema(json: &Value) -> Result<Option<Value>, Failure> {
    let format = &json["output_config"]["format"];
    match (format["type"].as_str(), &format["schema"]) {
        (None, _) if format.is_null() => Ok(None),
        (Some("json_schema"), schema @ Value::Object(_)) => Ok(Some(schema.clone())),
        _ => Err(Failure::invalid(
            "output_config.format: expected a json_schema with its schema",
        )),
    }
}
