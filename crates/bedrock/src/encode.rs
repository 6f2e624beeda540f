//! A request as the parts of a Converse call.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_bedrockruntime::types as aws;
use aws_smithy_types::Document;
use backstop_chat::{Chat, Conversation, ProviderError};
use backstop_core::BoxError;

use crate::document;
use crate::messages::{Turns, incapable};
use crate::models::{Effort, Rules, Sampling};
use crate::tools::Tools;

/// Members that Converse has no place for: dropped, with a note.
const DROPPED: [(&str, &str); 7] = [
    ("seed", "seed dropped"),
    ("logprobs", "logprobs dropped"),
    ("top_logprobs", "top_logprobs dropped"),
    ("logit_bias", "logit_bias dropped"),
    ("presence_penalty", "presence_penalty dropped"),
    ("frequency_penalty", "frequency_penalty dropped"),
    ("service_tier", "service_tier dropped"),
];

/// What stands for an effort as a budget of thinking tokens, from Anthropic's least (1024) up.
const BUDGETS: [(&str, u64); 6] = [
    ("minimal", 1024),
    ("low", 1024),
    ("medium", 4096),
    ("high", 16_384),
    ("xhigh", 24_576),
    ("max", 32_768),
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
        let conversation = chat.conversation()?;
        let mut call = Self::default();
        for (name, note) in DROPPED {
            if chat.member(name).is_some_and(|value| value != "false") {
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
        // Thinking on a budget must have begun the turn that a prefill or a tool's result goes on with, and
        // leaves the choice of tools to the model.
        let bound = prefill || needs.tool_history || tools.forced;
        let thinks = call.effort(&conversation, rules, bound, &mut additional);
        call.inference(&conversation, rules, thinks);
        call.format(&conversation, rules)?;
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

    /// Says the effort, and whether the model will think so that sampling is not the caller's.
    fn effort(
        &mut self,
        conversation: &Conversation<'_>,
        rules: Rules,
        bound: bool,
        additional: &mut HashMap<String, Document>,
    ) -> bool {
        let Some(effort) = conversation.reasoning_effort.as_deref() else {
            return false;
        };
        if effort == "none" {
            return false;
        }
        let from = |levels: &[&str]| levels.contains(&effort).then(|| effort.to_owned());
        match rules.effort {
            Effort::Budget if !bound => {
                let budget = BUDGETS.iter().find(|(name, _)| *name == effort);
                let most = conversation
                    .max_output()
                    .map_or(u64::MAX, |most| most - most.min(1));
                match budget.map(|(_, budget)| (*budget).min(most)) {
                    Some(budget) if budget >= BUDGETS[0].1 => {
                        let thinking = document::object([
                            ("type", "enabled".into()),
                            ("budget_tokens", budget.into()),
                        ]);
                        additional.insert("thinking".to_owned(), thinking);
                        return true;
                    }
                    _ => self
                        .notes
                        .push("reasoning_effort dropped: no room for it in max_tokens"),
                }
            }
            Effort::Budget => self
                .notes
                .push("reasoning_effort dropped: not with this history"),
            Effort::Adaptive => {
                let effort = from(&["medium", "high", "max"]).unwrap_or_else(|| match effort {
                    // Only some models know `xhigh`, all know `high`.
                    "xhigh" => "high".to_owned(),
                    _ => "low".to_owned(),
                });
                let adaptive = document::object([("type", "adaptive".into())]);
                additional.insert("thinking".to_owned(), adaptive);
                let output = document::object([("effort", effort.into())]);
                additional.insert("output_config".to_owned(), output);
                return true;
            }
            Effort::OpenAi => {
                let effort = low_to_high(effort);
                additional.insert("reasoning_effort".to_owned(), effort.to_owned().into());
            }
            Effort::Nova => {
                let config = document::object([
                    ("type", "enabled".into()),
                    ("maxReasoningEffort", low_to_high(effort).to_owned().into()),
                ]);
                additional.insert("reasoningConfig".to_owned(), config);
            }
            Effort::None => self.notes.push("reasoning_effort dropped"),
        }
        false
    }

    fn inference(&mut self, conversation: &Conversation<'_>, rules: Rules, thinks: bool) {
        let mut temperature = conversation.temperature;
        let mut top_p = conversation.top_p;
        let sampling = if thinks {
            Sampling::Neither
        } else {
            rules.sampling
        };
        match sampling {
            Sampling::Neither => {
                // 1 is the default of both, and may be left out unseen.
                if temperature.is_some_and(|it| it != 1.0) || top_p.is_some_and(|it| it != 1.0) {
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
            .map(|most| i32::try_from(most).unwrap_or(i32::MAX));
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
    ) -> Result<(), ProviderError> {
        let Some(format) = &conversation.response_format else {
            return Ok(());
        };
        match &*format.kind {
            "text" => Ok(()),
            // The prompt has to ask for JSON at OpenAI, too.
            "json_object" => {
                self.notes.push("response_format json_object dropped");
                Ok(())
            }
            "json_schema" => {
                if !rules.schemas {
                    return Err(incapable("the model does not follow a JSON schema"));
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
                self.output = Some(aws::OutputConfig::builder().text_format(format).build());
                Ok(())
            }
            _ => Err(incapable("a response format that Converse does not know")),
        }
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

fn low_to_high(effort: &str) -> &str {
    match effort {
        "medium" => "medium",
        "high" | "xhigh" | "max" => "high",
        _ => "low",
    }
}
