//! Tools and the choice among them.

use std::collections::HashSet;

use aws_sdk_bedrockruntime::types as aws;
use aws_smithy_types::Document;
use backstop_chat::{Conversation, Function, ProviderError, ToolChoice};

use crate::document;
use crate::messages::incapable;
use crate::models::Rules;

/// Said where tools have to be described, for the history holds calls, but none may be called.
const NO_CALLS: &str = "Do not call any tool in your next answer.";

/// What a request says of tools, in Converse's terms.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    pub(crate) config: Option<aws::ToolConfiguration>,
    /// A tool choice that Converse itself cannot say, in Anthropic's format.
    pub(crate) anthropic_choice: Option<Document>,
    /// What to add to the system prompt.
    pub(crate) instruction: Option<&'static str>,
    /// Whether the model has to call a tool.
    pub(crate) forced: bool,
    pub(crate) notes: Vec<&'static str>,
}

impl Tools {
    pub(crate) fn read(
        conversation: &Conversation<'_>,
        rules: Rules,
    ) -> Result<Self, ProviderError> {
        let mut tools = Self::default();
        let called: Vec<&str> = conversation
            .messages
            .iter()
            .flat_map(|message| &message.tool_calls)
            .map(|call| &*call.function.name)
            .collect();
        let none_may = matches!(conversation.tool_choice, Some(ToolChoice::None));
        let offered = !conversation.tools.is_empty();
        if called.is_empty() && (none_may || !offered) {
            return Ok(tools);
        }

        let mut list = Vec::new();
        for tool in &conversation.tools {
            let Some(function) = &tool.function else {
                return Err(incapable("Converse takes function tools only"));
            };
            list.push(tools.specification(function, rules)?);
        }
        // Converse rejects a history with calls unless tools are described, whether or not they may be called.
        if !offered {
            let mut names = HashSet::new();
            for name in &called {
                if names.insert(*name) {
                    list.push(described(name, None, any_object(), None));
                }
            }
        }
        let mut choice = None;
        if none_may || !offered {
            tools.instruction = Some(NO_CALLS);
            tools
                .notes
                .push("a ban on tool calls said in the system prompt");
        } else {
            choice = chosen(conversation.tool_choice.as_ref(), rules)?;
            tools.forced = choice.is_some();
            if conversation.parallel_tool_calls == Some(false) {
                if rules.anthropic && choice.is_none() {
                    tools.anthropic_choice = Some(document::object([
                        ("type", "auto".into()),
                        ("disable_parallel_tool_use", true.into()),
                    ]));
                } else {
                    tools.notes.push("parallel_tool_calls dropped");
                }
            }
        }
        let config = aws::ToolConfiguration::builder()
            .set_tools(Some(list))
            .set_tool_choice(choice)
            .build()
            .expect("there are tools");
        tools.config = Some(config);
        Ok(tools)
    }

    fn specification(
        &mut self,
        function: &Function<'_>,
        rules: Rules,
    ) -> Result<aws::Tool, ProviderError> {
        let schema = match function.parameters {
            Some(schema) => document::parse(schema.get())
                .map_err(|_| incapable("a tool's schema that is not JSON"))?,
            None => any_object(),
        };
        let mut strict = function.strict.filter(|strict| *strict);
        if strict.is_some() && !rules.schemas {
            self.notes.push("strict tools dropped");
            strict = None;
        }
        let description = function.description.as_deref();
        Ok(described(&function.name, description, schema, strict))
    }
}

fn chosen(
    choice: Option<&ToolChoice<'_>>,
    rules: Rules,
) -> Result<Option<aws::ToolChoice>, ProviderError> {
    let choice = match choice {
        None | Some(ToolChoice::None | ToolChoice::Auto) => return Ok(None),
        Some(ToolChoice::Required) => aws::ToolChoice::Any(aws::AnyToolChoice::builder().build()),
        Some(ToolChoice::Function(name)) => aws::ToolChoice::Tool(
            aws::SpecificToolChoice::builder()
                .name(&**name)
                .build()
                .expect("a tool has a name"),
        ),
        Some(_) => return Err(incapable("a tool choice that Converse does not know")),
    };
    if rules.forced_tools {
        Ok(Some(choice))
    } else {
        Err(incapable("the model cannot be made to call a tool"))
    }
}

fn described(
    name: &str,
    description: Option<&str>,
    schema: Document,
    strict: Option<bool>,
) -> aws::Tool {
    let tool = aws::ToolSpecification::builder()
        .name(name)
        .set_description(
            description
                .filter(|text| !text.trim().is_empty())
                .map(str::to_owned),
        )
        .input_schema(aws::ToolInputSchema::Json(schema))
        .set_strict(strict)
        .build()
        .expect("a tool has a name and a schema");
    aws::Tool::ToolSpec(tool)
}

fn any_object() -> Document {
    document::object([
        ("type", "object".into()),
        ("properties", document::object([])),
    ])
}
