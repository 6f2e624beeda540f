//! A request as the parts of a Converse call.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_bedrockruntime::types as aws;
use aws_smithy_types::Document;
use backstop_chat::{Chat, Conversation, LEAST_THINKING, ProviderError, thinking_budget};
use backstop_core::BoxError;

use crate::document;
use crate::messages::{Turns, incapable};
use crate::models::{Effort, Rules, Sampling};
use crate::tools::Tools;

/// Members that Converse has no place for: dropped, with a note unless they say what goes without saying.
const DROPPED: [(&str, &[&str], &str); 7] = [
    ("seed", &[], "seed dropped"),
    ("logprobs", &["false"], "logprobs dropped"),
    ("top_logprobs", &["0"], "top_logprobs dropped"),
    ("logit_bias", &["{}"], "logit_bias dropped"),
    (
        "presence_penalty",
        &["0", "0.0"],
        "presence_penalty dropped",
    ),
    (
        "frequency_penalty",
        &["0", "0.0"],
        "frequency_penalty dropped",
    ),
    (
        "service_tier",
        &["\"auto\"", "\"default\""],
        "service_tier dropped",
    ),
];

/// The most entries of `requestMetadata`, and the longest key or value. Source: Converse's API reference.
const METADATA: (usize, usize) = (16, 256);

/// The parts of a Converse call, and what had to be changed for it.
#[derive(Debug, Default)]
pub(crate) struct Call {
    pub(crate) system: Vec<aws::SystemContentBlock>,
    pub(crate) messages: Vec<aws::Message>,
    pub(crate) inference: Option<aws::InferenceConfiguration>,
    pub(crate) tools: Option<aws::ToolConfiguration>,
    pub(crate) output: Option<aws::OutputConfig>,
    pub(crate) additional: Option<Document>,
    pub(crate) metadata: Option<HashMap<String, String>>,
    pub(crate) notes: Vec<&'static str>,
}

impl Call {
    pub(crate) fn read(chat: &Chat, rules: Rules) -> Result<Self, BoxError> {
        let needs = chat.needs();
        if needs.several {
            return Err(incapable("Converse gives one choice").into());
        }
        if needs.audio {
            return Err(incapable("audio is not translated to Converse").into());
        }
        if chat.has("functions") {
            return Err(incapable("Converse has no functions by the older name").into());
        }
        let conversation = chat.conversation()?;
        let mut call = Self::default();
        for (name, unsaid, note) in DROPPED {
            if chat
                .member(name)
                .is_some_and(|value| !unsaid.contains(&value))
            {
                call.notes.push(note);
            }
        }

        let mut turns = Turns::read(&conversation)?;
        let prefill = turns.is_prefill();
        if prefill {
            if !rules.prefill {
                let why = "the model does not go on from a message of the assistant";
                return Err(incapable(why).into());
            }
            turns.prefill()?;
        }
        let tools = Tools::read(&conversation, rules)?;

        let mut additional = HashMap::new();
        if let Some(choice) = tools.anthropic_choice {
            additional.insert("tool_choice".to_owned(), choice);
        }
        // A turn that goes on from a prefill or a tool's result would have to begin with its thinking, which
        // OpenAI's format does not keep.
        let unthinking = prefill || needs.tool_history;
        let effort = call.effort(
            &conversation,
            rules,
            unthinking,
            tools.forced,
            &mut additional,
        );
        let thinks = additional.contains_key("thinking");
        call.inference(&conversation, rules, thinks);
        let format = call.format(&conversation, rules, prefill)?;
        if effort.is_some() || format.is_some() {
            let output = aws::OutputConfig::builder()
                .set_effort(effort)
                .set_text_format(format);
            call.output = Some(output.build());
        }
        call.metadata(chat, &conversation);

        call.system = turns
            .system
            .drain(..)
            .chain(tools.instruction.map(str::to_owned))
            .map(aws::SystemContentBlock::Text)
            .collect();
        call.notes.append(&mut turns.notes);
        call.notes.extend(tools.notes);
        call.notes.sort_unstable();
        call.notes.dedup();
        call.messages = turns.into_messages();
        call.tools = tools.config;
        if !additional.is_empty() {
            call.additional = Some(Document::Object(additional));
        }
        Ok(call)
    }

    /// Says the effort: Converse's own level of it, or what the model wants to be told besides.
    fn effort(
        &mut self,
        conversation: &Conversation<'_>,
        rules: Rules,
        unthinking: bool,
        forced: bool,
        additional: &mut HashMap<String, Document>,
    ) -> Option<String> {
        let effort = conversation.reasoning_effort.as_deref()?;
        if effort == "none" {
            return None;
        }
        let Some(budget) = thinking_budget(effort) else {
            self.notes
                .push("reasoning_effort dropped: it is not known here");
            return None;
        };
        let low_to_high = match effort {
            "minimal" => "low",
            "xhigh" | "max" => "high",
            effort => effort,
        };
        let mut say = |name: &str, value: Document| drop(additional.insert(name.to_owned(), value));
        match rules.effort {
            Effort::None => self
                .notes
                .push("reasoning_effort dropped: the model has none"),
            Effort::OpenAi => say("reasoning_effort", low_to_high.into()),
            Effort::Nova => {
                let effort = ("maxReasoningEffort", low_to_high.into());
                say(
                    "reasoningConfig",
                    document::object([("type", "enabled".into()), effort]),
                );
            }
            Effort::Budget | Effort::Adaptive { .. } if forced => {
                self.notes
                    .push("reasoning_effort dropped: a tool call is forced");
            }
            Effort::Budget if unthinking => {
                self.notes
                    .push("reasoning_effort dropped: the thinking so far is not known");
            }
            Effort::Budget => {
                // Half of the bound is left for the answer itself.
                let room = conversation.max_output().map_or(u64::MAX, |most| most / 2);
                let budget = budget.min(room);
                if budget < LEAST_THINKING {
                    self.notes
                        .push("reasoning_effort dropped: max_tokens leaves no room for it");
                } else {
                    let budget = ("budget_tokens", budget.into());
                    say(
                        "thinking",
                        document::object([("type", "enabled".into()), budget]),
                    );
                }
            }
            Effort::Adaptive { xhigh } => {
                say("thinking", document::object([("type", "adaptive".into())]));
                let level = match effort {
                    "max" => "max",
                    "xhigh" if xhigh => "xhigh",
                    _ => low_to_high,
                };
                return Some(level.to_owned());
            }
        }
        None
    }

    fn inference(&mut self, conversation: &Conversation<'_>, rules: Rules, thinks: bool) {
        // 1 is Claude's default of both, so saying it says nothing.
        let says = |value: &f64| !rules.anthropic || *value != 1.0;
        let mut temperature = conversation.temperature.filter(says);
        let mut top_p = conversation.top_p.filter(says);
        let sampling = if thinks {
            Sampling::Neither
        } else {
            rules.sampling
        };
        match sampling {
            Sampling::Neither => {
                if temperature.is_some() || top_p.is_some() {
                    self.notes.push("temperature and top_p dropped");
                }
                (temperature, top_p) = (None, None);
            }
            Sampling::Either if temperature.is_some() && top_p.is_some() => {
                top_p = None;
                self.notes.push("top_p dropped beside temperature");
            }
            Sampling::Either | Sampling::Both => {}
        }
        if temperature.is_some_and(|it| it > 1.0) {
            self.notes.push("temperature lowered to 1");
        }
        let unit = |value: f64| value.clamp(0.0, 1.0) as f32;

        let stops = conversation.stop.as_ref().map_or(&[][..], |stop| &stop.0);
        let kept: Vec<String> = stops
            .iter()
            .filter(|stop| !stop.trim().is_empty())
            .map(|stop| (**stop).to_owned())
            .collect();
        if kept.len() < stops.len() {
            self.notes.push("blank stop sequences dropped");
        }
        let bound = conversation
            .max_output()
            .map(|most| i32::try_from(most).unwrap_or(i32::MAX).max(1));
        if bound.is_none() && temperature.is_none() && top_p.is_none() && kept.is_empty() {
            return;
        }
        let config = aws::InferenceConfiguration::builder()
            .set_max_tokens(bound)
            .set_temperature(temperature.map(unit))
            .set_top_p(top_p.map(unit))
            .set_stop_sequences((!kept.is_empty()).then_some(kept))
            .build();
        self.inference = Some(config);
    }

    fn format(
        &mut self,
        conversation: &Conversation<'_>,
        rules: Rules,
        prefill: bool,
    ) -> Result<Option<aws::OutputFormat>, ProviderError> {
        let Some(format) = &conversation.response_format else {
            return Ok(None);
        };
        match &*format.kind {
            "text" => return Ok(None),
            // The prompt has to ask for JSON at OpenAI, too.
            "json_object" => {
                self.notes.push("response_format json_object dropped");
                return Ok(None);
            }
            "json_schema" if !rules.schemas => {
                return Err(incapable("the model does not follow a JSON schema"));
            }
            "json_schema" if prefill => {
                return Err(incapable(
                    "the model does not continue an answer by a schema",
                ));
            }
            "json_schema" => {}
            _ => return Err(incapable("a response format that Converse does not know")),
        }
        let Some(schema) = &format.json_schema else {
            return Err(incapable("a response format without its schema"));
        };
        let definition = aws::JsonSchemaDefinition::builder()
            .schema(schema.schema.map_or("{}", |schema| schema.get()))
            .name(&*schema.name)
            .set_description(schema.description.as_deref().map(str::to_owned))
            .build()
            .expect("a definition has a schema");
        let format = aws::OutputFormat::builder()
            .r#type(aws::OutputFormatType::JsonSchema)
            .structure(aws::OutputFormatStructure::JsonSchema(definition))
            .build()
            .expect("a format has a type");
        Ok(Some(format))
    }

    fn metadata(&mut self, chat: &Chat, conversation: &Conversation<'_>) {
        // Values of other types are for those who take them.
        let own: BTreeMap<String, String> = chat
            .member("metadata")
            .and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default();
        let user = conversation
            .user
            .as_deref()
            .map(|user| ("user".to_owned(), user.to_owned()));
        let asked = own.len() + usize::from(user.is_some());
        let (most, longest) = METADATA;
        let fits = |text: &str| {
            !text.is_empty()
                && text.len() <= longest
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || " :_@$#=/+,-.".contains(c))
        };
        let kept: HashMap<String, String> = user
            .into_iter()
            .chain(own)
            .filter(|(key, value)| fits(key) && fits(value))
            .take(most)
            .collect();
        if kept.len() < asked {
            self.notes
                .push("metadata that Bedrock does not take dropped");
        }
        if !kept.is_empty() {
            self.metadata = Some(kept);
        }
    }
}
