//! The messages of a request as Converse's system blocks and turns.

use std::borrow::Cow;

use aws_sdk_bedrockruntime::types as aws;
use aws_smithy_types::{Blob, base64};
use backstop_chat::{
    Content, Conversation, ImageUrl, Message, Part, ProviderError, Role, ToolCall,
};

use crate::{PROVIDER, document};

/// The most images of one message, and the most bytes of each. Source: Converse's API reference, `Message.content`.
const IMAGES: usize = 20;
const IMAGE_BYTES: usize = 3_932_160; // 3.75 MiB

/// Why a request cannot be said to Bedrock, or to this model.
pub(crate) fn incapable(why: &'static str) -> ProviderError {
    ProviderError::incapable(PROVIDER, why)
}

/// The conversation as Converse takes it: user and assistant in turn, the user first.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    pub(crate) system: Vec<String>,
    turns: Vec<Turn>,
    pub(crate) notes: Vec<&'static str>,
}

#[derive(Debug)]
struct Turn {
    role: aws::ConversationRole,
    /// The results of calls, which stand before whatever else the user says.
    results: Vec<aws::ContentBlock>,
    said: Vec<aws::ContentBlock>,
}

impl Turn {
    fn of(role: aws::ConversationRole, said: Vec<aws::ContentBlock>) -> Self {
        Self {
            role,
            results: Vec::new(),
            said,
        }
    }
}

impl Turns {
    pub(crate) fn read(conversation: &Conversation<'_>) -> Result<Self, ProviderError> {
        let mut turns = Self::default();
        for message in &conversation.messages {
            turns.message(message)?;
        }
        let opening = match turns.turns.first() {
            Some(first) if first.role == aws::ConversationRole::User => return Ok(turns),
            // Nobody but the operator speaks: that is the question.
            None if !turns.system.is_empty() => {
                turns
                    .notes
                    .push("system messages sent as the user's: there are no others");
                let system = turns.system.drain(..);
                system.map(aws::ContentBlock::Text).collect()
            }
            None => return Err(incapable("no message says anything")),
            Some(_) => {
                turns
                    .notes
                    .push("a first user turn added: the messages begin with the assistant");
                vec![aws::ContentBlock::Text(".".to_owned())]
            }
        };
        let opening = Turn::of(aws::ConversationRole::User, opening);
        turns.turns.insert(0, opening);
        Ok(turns)
    }

    /// Whether the last turn is the assistant's: the answer is to go on from there.
    pub(crate) fn is_prefill(&self) -> bool {
        let last = self.turns.last();
        last.is_some_and(|last| last.role == aws::ConversationRole::Assistant)
    }

    /// Readies the last turn to be gone on from.
    pub(crate) fn prefill(&mut self) -> Result<(), ProviderError> {
        let last = self.turns.last_mut().and_then(|turn| turn.said.last_mut());
        let Some(aws::ContentBlock::Text(text)) = last else {
            return Err(incapable("a tool call cannot be gone on from"));
        };
        // Models that take prefill reject it with white space at its end.
        if text.ends_with(char::is_whitespace) {
            text.truncate(text.trim_end().len());
            self.notes
                .push("white space at the end of the prefill removed");
        }
        Ok(())
    }

    pub(crate) fn into_messages(self) -> Vec<aws::Message> {
        self.turns
            .into_iter()
            .map(|turn| {
                let mut content = turn.results;
                content.extend(turn.said);
                aws::Message::builder()
                    .role(turn.role)
                    .set_content(Some(content))
                    .build()
                    .expect("a message has a role and content")
            })
            .collect()
    }

    fn message(&mut self, message: &Message<'_>) -> Result<(), ProviderError> {
        match message.role {
            Role::System | Role::Developer => {
                for text in texts(message)? {
                    if !is_blank(&text) {
                        self.system.push(text.into_owned());
                    }
                }
            }
            Role::User => self.user(message)?,
            Role::Assistant => {
                for text in texts(message)? {
                    self.text(aws::ConversationRole::Assistant, &text);
                }
                if let Some(refusal) = &message.refusal {
                    self.text(aws::ConversationRole::Assistant, refusal);
                }
                for call in &message.tool_calls {
                    let call = self.tool_use(call);
                    self.push(aws::ConversationRole::Assistant, call);
                }
            }
            Role::Tool => {
                let result = tool_result(message)?;
                self.turn(aws::ConversationRole::User).results.push(result);
            }
            _ => return Err(incapable("Converse has no messages of this role")),
        }
        Ok(())
    }

    fn user(&mut self, message: &Message<'_>) -> Result<(), ProviderError> {
        match &message.content {
            None => {}
            Some(Content::Text(text)) => self.text(aws::ConversationRole::User, text),
            Some(Content::Parts(parts)) => {
                for part in parts {
                    match (&*part.kind, &part.image_url) {
                        ("image_url", Some(url)) => {
                            let image = aws::ContentBlock::Image(image(url)?);
                            self.push(aws::ConversationRole::User, image);
                            if self.images() > IMAGES {
                                return Err(incapable("Converse takes 20 images in a message"));
                            }
                        }
                        _ => self.text(aws::ConversationRole::User, text(part)?),
                    }
                }
            }
        }
        Ok(())
    }

    /// How many images the last turn has.
    fn images(&self) -> usize {
        let said = self.turns.last().map_or(&[][..], |turn| &turn.said);
        said.iter().filter(|block| block.is_image()).count()
    }

    /// Converse rejects blank text.
    fn text(&mut self, role: aws::ConversationRole, text: &str) {
        if !is_blank(text) {
            self.push(role, aws::ContentBlock::Text(text.to_owned()));
        }
    }

    fn push(&mut self, role: aws::ConversationRole, block: aws::ContentBlock) {
        self.turn(role).said.push(block);
    }

    /// The turn that `role` has, or a new one.
    fn turn(&mut self, role: aws::ConversationRole) -> &mut Turn {
        if self.turns.last().is_none_or(|last| last.role != role) {
            self.turns.push(Turn::of(role, Vec::new()));
        }
        self.turns.last_mut().expect("it was there, or was added")
    }

    fn tool_use(&mut self, call: &ToolCall<'_>) -> aws::ContentBlock {
        let arguments = &*call.function.arguments;
        let input = match document::parse(if is_blank(arguments) { "{}" } else { arguments }) {
            Ok(input) if input.is_object() => input,
            // Another model wrote it, and its successor should still see what it wrote.
            _ => {
                self.notes
                    .push("tool arguments that are no JSON object wrapped in one");
                document::object([("arguments", arguments.to_owned().into())])
            }
        };
        let block = aws::ToolUseBlock::builder()
            .tool_use_id(tool_id(&call.id))
            .name(&*call.function.name)
            .input(input)
            .build()
            .expect("a tool call has an id, a name and arguments");
        aws::ContentBlock::ToolUse(block)
    }
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn texts<'a>(message: &'a Message<'_>) -> Result<Vec<Cow<'a, str>>, ProviderError> {
    match &message.content {
        None => Ok(Vec::new()),
        Some(Content::Text(text)) => Ok(vec![Cow::Borrowed(&**text)]),
        Some(Content::Parts(parts)) => parts
            .iter()
            .map(|part| text(part).map(Cow::Borrowed))
            .collect(),
    }
}

fn text<'a>(part: &'a Part<'_>) -> Result<&'a str, ProviderError> {
    let text = match &*part.kind {
        "text" => &part.text,
        "refusal" => &part.refusal,
        "image_url" => return Err(incapable("Converse takes images in user messages only")),
        "input_audio" => return Err(incapable("audio is not translated to Converse")),
        "file" => return Err(incapable("files are not translated to Converse")),
        _ => return Err(incapable("a message part of an unknown kind")),
    };
    Ok(text.as_deref().unwrap_or_default())
}

fn tool_result(message: &Message<'_>) -> Result<aws::ContentBlock, ProviderError> {
    let Some(id) = &message.tool_call_id else {
        return Err(incapable("a tool's result without the id of its call"));
    };
    let text = texts(message)?.concat();
    // Text is what the caller wrote, byte for byte; but blank text is rejected.
    let content = if is_blank(&text) {
        aws::ToolResultContentBlock::Json(document::object([]))
    } else {
        aws::ToolResultContentBlock::Text(text)
    };
    let block = aws::ToolResultBlock::builder()
        .tool_use_id(tool_id(id))
        .content(content)
        .build()
        .expect("a result has an id and content");
    Ok(aws::ContentBlock::ToolResult(block))
}

/// An id in Converse's alphabet: up to 64 of `a-z A-Z 0-9 _ . : -`.
///
/// An id that another provider made up is replaced by one that follows from it, so that call and result still
/// agree. The caller never sees it: answers bring ids of their own.
fn tool_id(id: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    if !id.is_empty() && id.len() <= 64 && id.chars().all(fits) {
        return Cow::Borrowed(id);
    }
    // FNV-1a keeps apart what the replaced characters no longer do.
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let kept: String = id
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .take(47)
        .collect();
    Cow::Owned(format!("{kept}-{hash:016x}"))
}

fn image(url: &ImageUrl<'_>) -> Result<aws::ImageBlock, ProviderError> {
    if url.is_remote() {
        return Err(incapable("Converse takes inline images only, no URLs"));
    }
    let Some((media, data)) = url.inline() else {
        return Err(incapable("an inline image that is not base64"));
    };
    let format = match media {
        "image/png" => aws::ImageFormat::Png,
        "image/jpeg" | "image/jpg" => aws::ImageFormat::Jpeg,
        "image/gif" => aws::ImageFormat::Gif,
        "image/webp" => aws::ImageFormat::Webp,
        _ => return Err(incapable("Converse takes png, jpeg, gif and webp images")),
    };
    let bytes =
        base64::decode(data).map_err(|_| incapable("an inline image that is not base64"))?;
    if bytes.len() > IMAGE_BYTES {
        return Err(incapable("Converse takes images of up to 3.75 MiB"));
    }
    Ok(aws::ImageBlock::builder()
        .format(format)
        .source(aws::ImageSource::Bytes(Blob::new(bytes)))
        .build()
        .expect("an image has a format"))
}

#[cfg(test)]
mod tests {
    use super::{Turns, tool_id};
    use crate::models::rules;
    use crate::tools::Tools;
    use backstop_chat::Chat;

    #[test]
    fn many_calls_and_results_take_time_by_their_number() {
        const CALLS: usize = 100_000;
        let list = |one: fn(usize) -> String| (0..CALLS).map(one).collect::<Vec<_>>().join(",");
        let calls = list(|id| {
            format!(
                r#"{{"id":"{id}","type":"function","function":{{"name":"f{id}","arguments":""}}}}"#
            )
        });
        let results =
            list(|id| format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"x"}}"#));
        let chat = Chat::parse(format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}},{{"role":"assistant","tool_calls":[{calls}]}},{results}]}}"#
        ));
        let chat = chat.expect("a request");
        let conversation = chat.conversation().expect("valid");
        let turns = Turns::read(&conversation).expect("it can be said");
        let results = turns.into_messages().pop().expect("the last turn");
        assert_eq!(results.content().len(), CALLS);
        let tools = Tools::read(&conversation, rules("anthropic.claude-sonnet-4-6"));
        let config = tools.expect("they can be described").config;
        assert_eq!(config.map(|config| config.tools().len()), Some(CALLS));
    }

    #[test]
    fn tool_ids_fit_and_stay_apart() {
        assert_eq!(tool_id("call_9.x:1-A"), "call_9.x:1-A");
        let long = "c".repeat(200);
        let ids =
            ["", "call é", "call ü", &long, &format!("{long}d")].map(|id| tool_id(id).into_owned());
        for (index, id) in ids.iter().enumerate() {
            assert!(id.len() <= 64 && id.is_ascii(), "{id}");
            assert_eq!(tool_id(id), id.as_str(), "fits as it is");
            assert!(!ids[..index].contains(id), "{id} is unique");
        }
    }
}
