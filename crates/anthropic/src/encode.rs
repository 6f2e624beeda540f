//! From OpenAI's request to Anthropic's.

use std::borrow::Cow;
use std::collections::HashSet;

use backstop_chat::{
    Chat, Conversation, LEAST_THINKING, ProviderError, ToolChoice as Choice, thinking_budget,
};

use crate::PROVIDER;
use crate::models::{Model, Thinking, rules};
use crate::wire::{
    Format, Metadata, OutputConfig, Request, Schema, Speaker, Thinking as ThinkingConfig, Tool,
    ToolChoice,
};

mod turns;

/// Members that Anthropic has nothing for, and the values that say nothing.
const UNKNOWN: &[(&str, &str)] = &[
    ("seed", ""),
    ("logprobs", "false"),
    ("top_logprobs", "0"),
    ("logit_bias", "{}"),
    ("presence_penalty", "0"),
    ("frequency_penalty", "0"),
    ("metadata", "{}"),
];

/// Writes the body. `note` is told of everything that is left out or changed.
pub(crate) fn body(
    chat: &Chat,
    model: &str,
    inference_geo: Option<&str>,
    mut note: impl FnMut(Cow<'static, str>),
) -> Result<Vec<u8>, ProviderError> {
    // What the layers saw was valid; this parse may still find a wrong type in what only translations read.
    let conversation = chat.conversation().map_err(|error| {
        incapable("the request cannot be translated").with_message(error.message())
    })?;
    if conversation.n.is_some_and(|n| n > 1) {
        return Err(incapable("it answers with one choice only"));
    }
    if chat.needs().audio {
        return Err(incapable("it takes and makes no audio"));
    }
    if chat.has("functions") {
        return Err(incapable("it has no functions by the older name"));
    }
    let rules = rules(model);
    let note = &mut note;

    let mut request = Request {
        model,
        max_tokens: bound(&conversation, rules, model, note),
        system: Vec::new(),
        messages: Vec::new(),
        tools: tools(&conversation, rules, model, note)?,
        tool_choice: None,
        temperature: None,
        top_p: None,
        stop_sequences: Vec::new(),
        thinking: None,
        output_config: OutputConfig::default(),
        metadata: None,
        service_tier: None,
        inference_geo,
        stream: chat.stream(),
    };
    (request.system, request.messages) = turns::turns(&conversation, note)?;
    let prefill = request
        .messages
        .last()
        .is_some_and(|turn| turn.role == Speaker::Assistant);
    if prefill && !rules.prefill {
        return Err(incapable(format!(
            "{model} does not continue an assistant message"
        )));
    }

    choose_tools(&mut request, &conversation, rules)?;
    format(&mut request, &conversation, rules, prefill, note)?;
    think(&mut request, &conversation, rules, prefill, chat, note);
    sample(&mut request, &conversation, rules, note);

    for text in conversation.stop.iter().flat_map(|stop| &stop.0) {
        if text.trim().is_empty() {
            note("stop: a sequence of white space dropped".into());
        } else {
            request.stop_sequences.push(text);
        }
    }
    if let Some(user) = conversation.user.as_deref() {
        if is_personal(user) {
            note("user dropped: it looks like an address or a number".into());
        } else {
            request.metadata = Some(Metadata { user_id: user });
        }
    }
    if let Some(tier) = chat.member("service_tier") {
        request.service_tier = match tier {
            r#""auto""# => Some("auto"),
            r#""default""# => Some("standard_only"),
            _ => {
                note("service_tier dropped: it has another meaning here".into());
                None
            }
        };
    }
    for (name, neutral) in UNKNOWN {
        if chat.member(name).is_some_and(|value| value != *neutral) {
            note(format!("{name} dropped: Anthropic has nothing like it").into());
        }
    }
    Ok(serde_json::to_vec(&request).expect("a request is JSON"))
}

fn incapable(why: impl Into<Cow<'static, str>>) -> ProviderError {
    ProviderError::incapable(PROVIDER, why)
}

type Note<'a> = &'a mut dyn FnMut(Cow<'static, str>);

/// The bound on the answer, which is required.
fn bound(conversation: &Conversation<'_>, rules: &Model, model: &str, note: Note<'_>) -> u64 {
    match conversation.max_output() {
        None => rules.default_output,
        Some(wanted) if wanted > rules.max_output => {
            let most = rules.max_output;
            note(format!("max_tokens lowered to {most}: {model} writes no more").into());
            most
        }
        // 0 asks for no answer at all.
        Some(wanted) => wanted.max(1),
    }
}

fn tools<'a>(
    conversation: &'a Conversation<'_>,
    rules: &Model,
    model: &str,
    note: Note<'_>,
) -> Result<Vec<Tool<'a>>, ProviderError> {
    let mut tools = Vec::with_capacity(conversation.tools.len());
    for tool in &conversation.tools {
        let Some(function) = tool.function.as_ref().filter(|_| tool.kind == "function") else {
            return Err(incapable("it takes no tools but functions"));
        };
        let strict = function.strict == Some(true);
        if strict && !rules.schemas {
            note(format!("strict dropped: {model} enforces no schema").into());
        }
        tools.push(Tool {
            name: &function.name,
            description: function.description.as_deref(),
            input_schema: Schema::of(function.parameters),
            strict: strict && rules.schemas,
        });
    }
    if tools.is_empty() {
        // Calls in the messages need their tools to be known.
        let mut names = HashSet::new();
        for call in conversation
            .messages
            .iter()
            .flat_map(|message| &message.tool_calls)
        {
            let name = &*call.function.name;
            if names.insert(name) {
                tools.push(Tool {
                    name,
                    description: None,
                    input_schema: Schema::of(None),
                    strict: false,
                });
            }
        }
        if !tools.is_empty() {
            note(
                "tools added: the messages hold calls of tools that the request does not offer"
                    .into(),
            );
        }
    }
    Ok(tools)
}

fn choose_tools<'a>(
    request: &mut Request<'a>,
    conversation: &'a Conversation<'_>,
    rules: &Model,
) -> Result<(), ProviderError> {
    if request.tools.is_empty() {
        return Ok(());
    }
    if conversation.tools.is_empty() {
        request.tool_choice = Some(ToolChoice::None);
        return Ok(());
    }
    let disable_parallel_tool_use = conversation.parallel_tool_calls == Some(false);
    let choice = match &conversation.tool_choice {
        None if disable_parallel_tool_use => ToolChoice::Auto {
            disable_parallel_tool_use,
        },
        None => return Ok(()),
        Some(Choice::None) => ToolChoice::None,
        Some(Choice::Auto) => ToolChoice::Auto {
            disable_parallel_tool_use,
        },
        Some(Choice::Required) => ToolChoice::Any {
            disable_parallel_tool_use,
        },
        Some(Choice::Function(name)) => ToolChoice::Tool {
            name,
            disable_parallel_tool_use,
        },
        Some(_) => return Err(incapable("it cannot choose among some of the tools")),
    };
    if is_forced(&choice) && !rules.forced_tools {
        return Err(incapable(format!(
            "{} cannot be made to call a tool",
            request.model
        )));
    }
    request.tool_choice = Some(choice);
    Ok(())
}

const fn is_forced(choice: &ToolChoice<'_>) -> bool {
    matches!(choice, ToolChoice::Any { .. } | ToolChoice::Tool { .. })
}

fn format<'a>(
    request: &mut Request<'a>,
    conversation: &'a Conversation<'_>,
    rules: &Model,
    prefill: bool,
    note: Note<'_>,
) -> Result<(), ProviderError> {
    let Some(format) = &conversation.response_format else {
        return Ok(());
    };
    match &*format.kind {
        "json_schema" if !rules.schemas => Err(incapable(format!(
            "{} follows no JSON schema",
            request.model
        ))),
        "json_schema" if prefill => Err(incapable("it does not continue an answer by a schema")),
        "json_schema" => {
            let schema = format.json_schema.as_ref().and_then(|format| format.schema);
            request.output_config.format = Some(Format::JsonSchema {
                schema: Schema::of(schema),
            });
            Ok(())
        }
        "json_object" => {
            note("response_format dropped: Anthropic has no JSON mode without a schema".into());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Reasoning effort, in the form that the model takes.
fn think(
    request: &mut Request<'_>,
    conversation: &Conversation<'_>,
    rules: &Model,
    prefill: bool,
    chat: &Chat,
    note: Note<'_>,
) {
    let Some(effort) = conversation.reasoning_effort.as_deref() else {
        return;
    };
    if effort == "none" {
        return;
    }
    let Some(budget) = thinking_budget(effort) else {
        note("reasoning_effort dropped: it is not known here".into());
        return;
    };
    if request.tool_choice.as_ref().is_some_and(is_forced) {
        note("reasoning_effort dropped: a call is forced, and thinking excludes that".into());
        return;
    }
    match rules.thinking {
        Thinking::No => {
            note(format!("reasoning_effort dropped: {} does not think", request.model).into())
        }
        Thinking::Adaptive(levels) => {
            request.thinking = Some(ThinkingConfig::Adaptive);
            let level = match effort {
                "minimal" => "low",
                "xhigh" if !levels.contains(&"xhigh") => "high",
                other => other,
            };
            request.output_config.effort = levels.iter().copied().find(|known| *known == level);
        }
        // The turns before would have to begin with their thinking, which OpenAI's format does not keep.
        Thinking::Budget if prefill || chat.needs().tool_history => {
            note("reasoning_effort dropped: the messages do not hold the thinking so far".into());
        }
        Thinking::Budget => {
            // Half of the bound is left for the answer itself.
            let budget = budget.min(request.max_tokens / 2);
            if budget < LEAST_THINKING {
                note("reasoning_effort dropped: max_tokens leaves no room to think".into());
            } else {
                request.thinking = Some(ThinkingConfig::Enabled {
                    budget_tokens: budget,
                });
            }
        }
    }
}

fn sample(
    request: &mut Request<'_>,
    conversation: &Conversation<'_>,
    rules: &Model,
    note: Note<'_>,
) {
    // 1 is the default of both, so saying it says nothing.
    let temperature = conversation.temperature.filter(|value| *value != 1.0);
    let top_p = conversation.top_p.filter(|value| *value != 1.0);
    let refused = if !rules.sampling {
        Some(format!("{} takes none", request.model))
    } else if request.thinking.is_some() {
        Some("thinking excludes it".to_owned())
    } else {
        None
    };
    if let Some(why) = refused {
        for (name, value) in [("temperature", temperature), ("top_p", top_p)] {
            if value.is_some() {
                note(format!("{name} dropped: {why}").into());
            }
        }
        return;
    }
    if let Some(wanted) = temperature {
        let taken = wanted.clamp(0.0, 1.0);
        if taken != wanted {
            note(format!("temperature {wanted} lowered to {taken}").into());
        }
        request.temperature = Some(taken);
    }
    if request.temperature.is_some() && top_p.is_some() {
        note(
            format!(
                "top_p dropped: {} takes it only without temperature",
                request.model
            )
            .into(),
        );
    } else {
        request.top_p = top_p;
    }
}

/// Anthropic refuses addresses and telephone numbers as user ids.
fn is_personal(user: &str) -> bool {
    let digits = user.bytes().filter(u8::is_ascii_digit).count();
    user.contains('@')
        || (digits >= 7
            && user
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b"+-() ./".contains(&byte)))
}
