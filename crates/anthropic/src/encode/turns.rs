//! Messages: the operator's go to the top, the others into turns that alternate and begin with the user.

use std::borrow::Cow;

use backstop_chat::{Content, Conversation, ImageUrl, Message, Part, ProviderError, Role};
use serde_json::value::RawValue;

use super::{Note, incapable};
use crate::wire::{Block, Input, Source, Speaker, Turn};

/// The system blocks and the turns.
pub(super) fn turns<'a>(
    conversation: &'a Conversation<'_>,
    note: Note<'_>,
) -> Result<(Vec<Block<'a>>, Vec<Turn<'a>>), ProviderError> {
    let mut system = Vec::new();
    let mut spoken = Spoken::default();
    for message in &conversation.messages {
        match message.role {
            Role::System | Role::Developer => {
                let text = message.content.as_ref().map(Content::text);
                system.extend(text.and_then(text_block));
            }
            Role::User => {
                let said = blocks(message.content.as_ref())?;
                spoken.push(Speaker::User, said);
            }
            Role::Assistant => {
                let mut said = blocks(message.content.as_ref())?;
                let refusal = message.refusal.as_deref();
                said.extend(refusal.and_then(|text| text_block(text.into())));
                for call in &message.tool_calls {
                    said.push(Block::ToolUse {
                        id: id(&call.id),
                        name: &call.function.name,
                        input: input(&call.function.arguments, note),
                    });
                }
                spoken.push(Speaker::Assistant, said);
            }
            Role::Tool => spoken.result(result(message)?),
            _ => {
                return Err(incapable(
                    "it has no results of functions by the older name",
                ));
            }
        }
    }
    let mut turns = spoken.into_turns();
    match turns.first() {
        Some(first) if first.role == Speaker::User => {}
        // Nobody but the operator speaks: that is the question.
        None if !system.is_empty() => {
            note("system messages sent as the user's: there are no others".into());
            let content = std::mem::take(&mut system);
            turns.push(Turn {
                role: Speaker::User,
                content,
            });
        }
        None => {
            return Err(incapable(
                "it takes no blank messages, and there are no others",
            ));
        }
        Some(_) => {
            note("a first user turn added: the messages begin with the assistant".into());
            turns.insert(
                0,
                Turn {
                    role: Speaker::User,
                    content: vec![Block::Text { text: ".".into() }],
                },
            );
        }
    }
    // What the assistant is to continue must not end in white space.
    if let Some(Turn {
        role: Speaker::Assistant,
        content,
    }) = turns.last_mut()
        && let Some(Block::Text { text }) = content.last_mut()
    {
        let length = text.trim_end().len();
        match text {
            Cow::Borrowed(text) => *text = &text[..length],
            Cow::Owned(text) => text.truncate(length),
        }
    }
    Ok((system, turns))
}

/// Turns in the making.
#[derive(Default)]
struct Spoken<'a>(Vec<Making<'a>>);

struct Making<'a> {
    speaker: Speaker,
    /// The results of calls, which stand before whatever else the user says.
    results: Vec<Block<'a>>,
    said: Vec<Block<'a>>,
}

impl<'a> Spoken<'a> {
    /// The turn that `speaker` has, or a new one.
    fn turn(&mut self, speaker: Speaker) -> &mut Making<'a> {
        if self.0.last().is_none_or(|last| last.speaker != speaker) {
            self.0.push(Making {
                speaker,
                results: Vec::new(),
                said: Vec::new(),
            });
        }
        self.0.last_mut().expect("it was there, or was added")
    }

    fn push(&mut self, speaker: Speaker, said: Vec<Block<'a>>) {
        // A blank message begins no turn.
        if !said.is_empty() {
            self.turn(speaker).said.extend(said);
        }
    }

    fn result(&mut self, result: Block<'a>) {
        self.turn(Speaker::User).results.push(result);
    }

    fn into_turns(self) -> Vec<Turn<'a>> {
        let turns = self.0.into_iter();
        turns
            .map(|turn| {
                let mut content = turn.results;
                content.extend(turn.said);
                Turn {
                    role: turn.speaker,
                    content,
                }
            })
            .collect()
    }
}

fn text_block(text: Cow<'_, str>) -> Option<Block<'_>> {
    // Blank blocks are refused.
    (!text.trim().is_empty()).then_some(Block::Text { text })
}

fn blocks<'a>(content: Option<&'a Content<'_>>) -> Result<Vec<Block<'a>>, ProviderError> {
    match content {
        None => Ok(Vec::new()),
        Some(Content::Text(text)) => Ok(text_block((&**text).into()).into_iter().collect()),
        Some(Content::Parts(parts)) => parts
            .iter()
            .filter_map(|part| block(part).transpose())
            .collect(),
    }
}

fn block<'a>(part: &'a Part<'_>) -> Result<Option<Block<'a>>, ProviderError> {
    let text = |text: Option<&'a str>| Ok(text.and_then(|text| text_block(text.into())));
    match &*part.kind {
        "text" => text(part.text.as_deref()),
        "refusal" => text(part.refusal.as_deref()),
        "image_url" => {
            let image = part
                .image_url
                .as_ref()
                .ok_or_else(|| incapable("an image part without an image"))?;
            let source = source(image)?;
            Ok(Some(Block::Image { source }))
        }
        "input_audio" => Err(incapable("it takes no audio")),
        "file" => Err(incapable("it takes no files in OpenAI's form")),
        _ => Err(incapable("a message has a part that it does not know")),
    }
}

fn source<'a>(image: &'a ImageUrl<'_>) -> Result<Source<'a>, ProviderError> {
    if image.is_remote() {
        return Ok(Source::Url { url: &image.url });
    }
    let (media, data) = image
        .inline()
        .ok_or_else(|| incapable("an inline image that is not base64"))?;
    let media_type = match media {
        "image/jpg" | "image/jpeg" => "image/jpeg",
        "image/png" | "image/gif" | "image/webp" => media,
        _ => return Err(incapable("it takes only PNG, JPEG, GIF and WebP images")),
    };
    Ok(Source::Base64 { media_type, data })
}

fn result<'a>(message: &'a Message<'_>) -> Result<Block<'a>, ProviderError> {
    let call = message
        .tool_call_id
        .as_deref()
        .ok_or_else(|| incapable("a tool's result does not say which call it answers"))?;
    let content = message.content.as_ref().map(Content::text);
    Ok(Block::ToolResult {
        tool_use_id: id(call),
        content: content.unwrap_or_default(),
    })
}

/// An id in the letters that Anthropic takes: other providers' ids hold dots and colons.
fn id(id: &str) -> Cow<'_, str> {
    let taken = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if id.chars().all(taken) {
        return id.into();
    }
    id.chars().map(|c| if taken(c) { c } else { '_' }).collect()
}

fn input<'a>(arguments: &'a str, note: Note<'_>) -> Input<'a> {
    if arguments.trim().is_empty() {
        return Input::Empty {};
    }
    match serde_json::from_str::<&RawValue>(arguments) {
        Ok(raw) if raw.get().starts_with('{') => Input::Object(raw),
        _ => {
            note("the arguments of a call were wrapped: they are not a JSON object".into());
            Input::Wrapped { arguments }
        }
    }
}
