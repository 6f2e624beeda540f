//! What OpenAI refuses.

use crate::{
    answer::{Ask, Choice, Tool, any_object},
    provider::Failure,
    turns::{count, given, strings},
};
use serde_json::Value;

const ROLES: &[&str] = &[
    "system",
    "developer",
    "user",
    "assistant",
    "tool",
    "function",
];

pub(super) fn check(base: &str, json: &Value) -> Result<Ask, Failure> {
    if base.is_empty() {
        return Err(Failure::invalid("you must provide a model parameter"));
    }
    let messages = messages(json)?;
    let stream = flag(json, "stream")?;
    if !json["stream_options"].is_null() && !stream {
        return Err(Failure::invalid(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        )
        .param("stream_options"));
    }
    sampling(base, json)?;
    let tools = tools(json)?;
    let choice = choice(json, &tools)?;
    let stops = strings(&json["stop"]);
    if stops.len() > 4 {
        return Err(Failure::invalid(
            "Invalid 'stop': array too long. Expected an array with maximum length 4.",
        )
        .param("stop")
        .code("array_above_max_length"));
    }
    let choices = match &json["n"] {
        Value::Null => 1,
        n => n
            .as_u64()
            .filter(|n| (1..=128).contains(n))
            .ok_or_else(|| bad("n", "an integer from 1 to 128"))?,
    };
    Ok(Ask {
        usage: json["stream_options"]["include_usage"] == true,
        padded: json["stream_options"]["include_obfuscation"] != false,
        choices: choices as usize,
        prompt_tokens: count(&[&json["messages"], &json["tools"]]),
        max_tokens: max_tokens(json)?,
        stops,
        given: given(messages),
        tools,
        choice,
        tool_answered: messages.last().is_some_and(|last| last["role"] == "tool"),
        schema: schema(json, messages)?,
        ..Ask::default()
    })
}

fn bad(param: &str, expected: &str) -> Failure {
    Failure::invalid(format!("Invalid type for '{param}': expected {expected}."))
        .param(param)
        .code("invalid_type")
}

fn flag(json: &Value, name: &str) -> Result<bool, Failure> {
    match &json[name] {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        _ => Err(bad(name, "a boolean")),
    }
}

fn messages(json: &Value) -> Result<&[Value], Failure> {
    let messages = match &json["messages"] {
        Value::Null => {
            return Err(Failure::invalid("Missing required parameter: 'messages'.")
                .param("messages")
                .code("missing_required_parameter"));
        }
        messages => messages
            .as_array()
            .ok_or_else(|| bad("messages", "an array of objects"))?,
    };
    if messages.is_empty() {
        return Err(Failure::invalid(
            "Invalid 'messages': empty array. Expected an array with minimum length 1.",
        )
        .param("messages")
        .code("empty_array"));
    }
    let mut calls: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let at = format!("messages[{index}]");
        let role = message["role"].as_str().unwrap_or_default();
        if !ROLES.contains(&role) {
            return Err(Failure::invalid(format!(
                "Invalid value: '{role}'. Supported values are: {}.",
                ROLES.join(", ")
            ))
            .param(format!("{at}.role"))
            .code("invalid_value"));
        }
        let called = message["tool_calls"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        if role == "assistant" {
            calls = called
                .iter()
                .filter_map(|call| call["id"].as_str())
                .collect();
            for call in called {
                if !call["function"]["name"].is_string()
                    || !call["function"]["arguments"].is_string()
                {
                    return Err(bad(
                        &format!("{at}.tool_calls"),
                        "calls with a name and arguments as a string",
                    ));
                }
            }
        }
        if role == "tool"
            && !message["tool_call_id"]
                .as_str()
                .is_some_and(|id| calls.contains(&id))
        {
            return Err(Failure::invalid(
                "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
            )
            .param(format!("{at}.role")));
        }
        content(&at, message, called.is_empty())?;
    }
    Ok(messages)
}

fn content(at: &str, message: &Value, required: bool) -> Result<(), Failure> {
    let at = format!("{at}.content");
    match &message["content"] {
        Value::String(_) => Ok(()),
        Value::Null if message["role"] == "assistant" && !required => Ok(()),
        Value::Array(parts) if !parts.is_empty() => {
            for part in parts {
                let known = match part["type"].as_str() {
                    Some("text") => part["text"].is_string(),
                    Some("refusal") => part["refusal"].is_string(),
                    Some("image_url") => {
                        part["image_url"]["url"].is_string() && message["role"] == "user"
                    }
                    Some("input_audio" | "file") => message["role"] == "user",
                    _ => false,
                };
                if !known {
                    return Err(bad(&at, "content parts that this role may have"));
                }
            }
            Ok(())
        }
        _ => Err(bad(&at, "one of a string or array of objects")),
    }
}

/// Reasoning models take neither sampling parameters nor `max_tokens`.
fn reasons(base: &str) -> bool {
    let o = base
        .strip_prefix('o')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    o || ((base.starts_with("gpt-5") || base.starts_with("gpt-6")) && !base.contains("chat"))
}

fn sampling(base: &str, json: &Value) -> Result<(), Failure> {
    for (name, min, max) in [
        ("temperature", 0.0, 2.0),
        ("top_p", 0.0, 1.0),
        ("presence_penalty", -2.0, 2.0),
        ("frequency_penalty", -2.0, 2.0),
    ] {
        let value = match &json[name] {
            Value::Null => continue,
            value => value.as_f64().ok_or_else(|| bad(name, "a decimal"))?,
        };
        if !(min..=max).contains(&value) {
            return Err(Failure::invalid(format!(
                "Invalid '{name}': expected a value from {min} to {max}."
            ))
            .param(name)
            .code("decimal_out_of_range"));
        }
        let default = if name.ends_with("penalty") { 0.0 } else { 1.0 };
        if reasons(base) && value != default {
            return Err(Failure::invalid(format!(
                "Unsupported value: '{name}' does not support {value} with this model. Only the default ({default}) value is supported."
            ))
            .param(name)
            .code("unsupported_value"));
        }
    }
    let refused: &[&str] = match reasons(base) {
        true if base.starts_with("o3") || base.starts_with("o4") => &[
            "max_tokens",
            "logprobs",
            "top_logprobs",
            "logit_bias",
            "stop",
        ],
        true => &["max_tokens", "logprobs", "top_logprobs", "logit_bias"],
        false => &["reasoning_effort"],
    };
    match refused.iter().find(|name| !json[**name].is_null()) {
        None => Ok(()),
        Some(&"max_tokens") => Err(Failure::invalid(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        )
        .param("max_tokens")
        .code("unsupported_parameter")),
        Some(name) => Err(Failure::invalid(format!("Unsupported parameter: '{name}' is not supported with this model."))
            .param(*name)
            .code("unsupported_parameter")),
    }
}

fn max_tokens(json: &Value) -> Result<Option<usize>, Failure> {
    for name in ["max_completion_tokens", "max_tokens"] {
        let value = &json[name];
        if !value.is_null() {
            let max = value.as_u64().filter(|max| *max >= 1);
            return max
                .map(|max| Some(max as usize))
                .ok_or_else(|| bad(name, "an integer above 0"));
        }
    }
    Ok(None)
}

fn tools(json: &Value) -> Result<Vec<Tool>, Failure> {
    let tools = match &json["tools"] {
        Value::Null => return Ok(Vec::new()),
        tools => tools.as_array().filter(|tools| !tools.is_empty()),
    };
    let tools = tools.ok_or_else(|| bad("tools", "an array with minimum length 1"))?;
    let read = |(index, tool): (usize, &Value)| {
        let function = &tool["function"];
        let name = function["name"].as_str().unwrap_or_default();
        let fits = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if tool["type"] != "function" || !fits {
            return Err(Failure::invalid(format!("Invalid 'tools[{index}]': expected a function whose name matches '^[a-zA-Z0-9_-]{{1,64}}$'."))
                .param(format!("tools[{index}].function.name"))
                .code("invalid_value"));
        }
        if !matches!(function["parameters"], Value::Null | Value::Object(_)) {
            return Err(bad(
                &format!("tools[{index}].function.parameters"),
                "an object",
            ));
        }
        Ok(Tool {
            name: name.to_owned(),
            schema: function["parameters"].clone(),
        })
    };
    tools.iter().enumerate().map(read).collect()
}

fn choice(json: &Value, tools: &[Tool]) -> Result<Choice, Failure> {
    for name in ["tool_choice", "parallel_tool_calls"] {
        if tools.is_empty() && !json[name].is_null() && json[name] != "none" {
            return Err(Failure::invalid(format!(
                "Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified."
            ))
            .param(name));
        }
    }
    let choice = &json["tool_choice"];
    match choice {
        Value::Null => Ok(Choice::Auto),
        Value::String(choice) if choice == "auto" => Ok(Choice::Auto),
        Value::String(choice) if choice == "none" => Ok(Choice::Never),
        Value::String(choice) if choice == "required" => Ok(Choice::Any),
        Value::Object(_) if choice["type"] == "allowed_tools" => {
            Ok(if choice["allowed_tools"]["mode"] == "required" {
                Choice::Any
            } else {
                Choice::Auto
            })
        }
        _ => {
            let name = choice["function"]["name"].as_str();
            name.filter(|name| tools.iter().any(|tool| tool.name == *name))
                .map(|name| Choice::Named(name.to_owned()))
                .ok_or_else(|| {
                    bad(
                        "tool_choice",
                        "none, auto, required or a function of 'tools'",
                    )
                })
        }
    }
}

fn schema(json: &Value, messages: &[Value]) -> Result<Option<Value>, Failure> {
    let format = &json["response_format"];
    match format["type"].as_str() {
        None if format.is_null() => Ok(None),
        Some("text") => Ok(None),
        Some("json_object") => {
            let said = messages.iter().any(|message| {
                message["content"]
                    .to_string()
                    .to_ascii_lowercase()
                    .contains("json")
            });
            said.then(|| Some(any_object())).ok_or_else(|| {
                Failure::invalid("'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.")
                    .param("messages")
            })
        }
        Some("json_schema") => {
            let schema = &format["json_schema"];
            if !schema["name"].is_string() {
                return Err(Failure::invalid(
                    "Missing required parameter: 'response_format.json_schema.name'.",
                )
                .param("response_format.json_schema.name")
                .code("missing_required_parameter"));
            }
            match &schema["schema"] {
                Value::Object(_) => Ok(Some(schema["schema"].clone())),
                Value::Null => Ok(Some(any_object())),
                _ => Err(bad("response_format.json_schema.schema", "an object")),
            }
        }
        _ => Err(bad("response_format", "text, json_object or json_schema")),
    }
}
