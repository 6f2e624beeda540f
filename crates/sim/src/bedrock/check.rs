//! What Bedrock refuses.

use super::Bedrock;
use crate::{
    answer::{Ask, Choice, Tool},
    provider::{Api, Failure, claude, takes_prefill},
    turns::{count, given, strings},
};
use serde_json::Value;

pub(super) fn check(base: &str, json: &Value) -> Result<Ask, Failure> {
    let messages = messages(base, json)?;
    let inference = &json["inferenceConfig"];
    for name in ["temperature", "topP"] {
        let value = &inference[name];
        if value.is_null() {
            continue;
        }
        let Some(number) = value.as_f64().filter(|number| (0.0..=1.0).contains(number)) else {
            return Err(Failure::invalid(format!(
                "1 validation error detected: Value at 'inferenceConfig.{name}' failed to satisfy constraint: Member must have value between 0 and 1"
            )));
        };
        if claude(base).is_some_and(|version| version >= (4, 7)) && number != 1.0 {
            return Err(Failure::invalid(format!(
                "The model returned the following errors: `{name}` is deprecated for this model."
            )));
        }
    }
    let max_tokens = match &inference["maxTokens"] {
        Value::Null => None,
        max => Some(max.as_u64().filter(|max| *max >= 1).ok_or_else(|| {
            Failure::invalid("1 validation error detected: Value at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must have value greater than or equal to 1")
        })? as usize),
    };
    let stops = strings(&inference["stopSequences"]);
    if stops.iter().any(String::is_empty) {
        return Err(Failure::invalid(
            "1 validation error detected: Value at 'inferenceConfig.stopSequences' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ));
    }
    let tools = tools(json)?;
    let choice = choice(json, &tools)?;
    let used = messages
        .iter()
        .flat_map(blocks)
        .any(|block| !block["toolUse"].is_null() || !block["toolResult"].is_null());
    if used && tools.is_empty() {
        return Err(Failure::invalid(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ));
    }
    let last = messages.last().unwrap_or(&Value::Null);
    Ok(Ask {
        prompt_tokens: count(&[
            &json["system"],
            &json["messages"],
            &json["toolConfig"]["tools"],
        ]),
        max_tokens,
        stops,
        given: given(messages),
        tool_answered: blocks(last).any(|block| !block["toolResult"].is_null()),
        tools,
        choice,
        schema: schema(json)?,
        ..Ask::default()
    })
}

fn blocks(message: &Value) -> impl Iterator<Item = &Value> {
    message["content"].as_array().into_iter().flatten()
}

fn messages<'a>(base: &str, json: &'a Value) -> Result<&'a [Value], Failure> {
    let messages = json["messages"].as_array().map_or(&[][..], Vec::as_slice);
    if messages.first().is_none_or(|first| first["role"] != "user") {
        return Err(Failure::invalid(
            "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
        ));
    }
    if messages
        .windows(2)
        .any(|pair| pair[0]["role"] == pair[1]["role"])
    {
        return Err(Failure::invalid(
            "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.",
        ));
    }
    for (index, message) in messages.iter().enumerate() {
        if !matches!(message["role"].as_str(), Some("user" | "assistant")) {
            return Err(Failure::invalid(format!(
                "1 validation error detected: Value at 'messages.{}.member.role' failed to satisfy constraint: Member must satisfy enum value set: [user, assistant]",
                index + 1
            )));
        }
        if blocks(message).next().is_none() {
            return Err(Failure::invalid(format!(
                "The content field in the Message object at messages.{index} is empty. Add a ContentBlock object to the content field and try again."
            )));
        }
        for (at, block) in blocks(message).enumerate() {
            content(&format!("messages.{index}.content.{at}"), message, block)?;
        }
        let before = index
            .checked_sub(1)
            .map_or(&Value::Null, |before| &messages[before]);
        results(index, before, message)?;
    }
    let takes_any_end = claude(base).is_none() && !base.contains("nova");
    if !takes_any_end
        && !takes_prefill(base)
        && messages
            .last()
            .is_some_and(|last| last["role"] == "assistant")
    {
        return Err(Failure::invalid(Bedrock::NO_PREFILL));
    }
    Ok(messages)
}

fn content(at: &str, message: &Value, block: &Value) -> Result<(), Failure> {
    let Some((kind, value)) = block
        .as_object()
        .filter(|block| block.len() == 1)
        .and_then(|block| block.iter().next())
    else {
        return Err(Failure::invalid(format!(
            "The ContentBlock object at {at} must set exactly one of its fields."
        )));
    };
    let valid = match kind.as_str() {
        "text" if value.as_str().is_some_and(|text| text.trim().is_empty()) => {
            return Err(Failure::invalid(format!(
                "The text field in the ContentBlock object at {at} is blank. Add text to the text field, and try again."
            )));
        }
        "text" => value.is_string(),
        "image" => {
            message["role"] == "user"
                && matches!(
                    value["format"].as_str(),
                    Some("png" | "jpeg" | "gif" | "webp")
                )
                && (value["source"]["bytes"].is_string()
                    || value["source"]["s3Location"]["uri"].is_string())
        }
        "toolUse" => {
            is_id(&value["toolUseId"]) && value["name"].is_string() && value["input"].is_object()
        }
        "toolResult" => is_id(&value["toolUseId"]) && value["content"].is_array(),
        "document" | "video" | "audio" | "guardContent" | "cachePoint" | "reasoningContent"
        | "citationsContent" | "searchResult" => true,
        _ => false,
    };
    if valid {
        Ok(())
    } else {
        Err(Failure::invalid(format!(
            "1 validation error detected: Value at '{at}.{kind}' failed to satisfy constraint"
        )))
    }
}

fn is_id(id: &Value) -> bool {
    id.as_str().is_some_and(|id| {
        (1..=64).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':'))
    })
}

/// The results of a turn are those of the calls of the turn before.
fn results(index: usize, before: &Value, message: &Value) -> Result<(), Failure> {
    let ids = |message, kind: &str| -> Vec<&str> {
        let ids = blocks(message).filter_map(|block| block[kind]["toolUseId"].as_str());
        ids.collect()
    };
    let (called, answered) = (ids(before, "toolUse"), ids(message, "toolResult"));
    if let Some(id) = called.iter().find(|id| !answered.contains(id)) {
        return Err(Failure::invalid(format!(
            "Expected toolResult blocks at messages.{index}.content for the following Ids: {id}"
        )));
    }
    if answered.iter().any(|id| !called.contains(id)) {
        return Err(Failure::invalid(format!(
            "The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks of previous turn."
        )));
    }
    Ok(())
}

fn tools(json: &Value) -> Result<Vec<Tool>, Failure> {
    let config = &json["toolConfig"];
    if config.is_null() {
        return Ok(Vec::new());
    }
    let tools = config["tools"].as_array().filter(|tools| !tools.is_empty());
    let tools = tools.ok_or_else(|| {
        Failure::invalid("1 validation error detected: Value at 'toolConfig.tools' failed to satisfy constraint: Member must have length greater than or equal to 1")
    })?;
    let read = |(index, tool): (usize, &Value)| {
        let spec = &tool["toolSpec"];
        let name = spec["name"].as_str().filter(|name| is_name(name));
        match (name, &spec["inputSchema"]["json"]) {
            (Some(name), schema @ Value::Object(_)) => Ok(Tool {
                name: name.to_owned(),
                schema: schema.clone(),
            }),
            _ => Err(Failure::invalid(format!(
                "1 validation error detected: Value at 'toolConfig.tools.{}.member.toolSpec' failed to satisfy constraint",
                index + 1
            ))),
        }
    };
    tools
        .iter()
        .filter(|tool| tool["cachePoint"].is_null())
        .enumerate()
        .map(read)
        .collect()
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn choice(json: &Value, tools: &[Tool]) -> Result<Choice, Failure> {
    let choice = &json["toolConfig"]["toolChoice"];
    if choice["any"].is_object() {
        return Ok(Choice::Any);
    }
    match choice["tool"]["name"].as_str() {
        None if choice.is_null() || choice["auto"].is_object() => Ok(Choice::Auto),
        Some(name) if tools.iter().any(|tool| tool.name == name) => {
            Ok(Choice::Named(name.to_owned()))
        }
        _ => Err(Failure::invalid(
            "The toolChoice in toolConfig names no tool of toolConfig.tools.",
        )),
    }
}

fn schema(json: &Value) -> Result<Option<Value>, Failure> {
    let format = &json["outputConfig"]["textFormat"];
    if format.is_null() {
        return Ok(None);
    }
    let schema = format["structure"]["jsonSchema"]["schema"].as_str();
    let schema = schema
        .filter(|_| format["type"] == "json_schema")
        .and_then(|schema| serde_json::from_str(schema).ok());
    match schema {
        Some(schema @ Value::Object(_)) => Ok(Some(schema)),
        _ => Err(Failure::invalid(
            "outputConfig.textFormat: expected a json_schema whose schema is JSON in a string",
        )),
    }
}
