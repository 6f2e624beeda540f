//! One pass over a request: what the layers need, and where each top-level member stands.

mod messages;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use self::messages::Messages;
use crate::InvalidChat;
use crate::request::{Head, Member};

/// As deep as `serde_json` recurses; also applied to members that are only skipped.
const MAX_DEPTH: usize = 128;

/// The longest name of a model, in bytes. It comes back in headers, messages and records.
const LONGEST_MODEL: usize = 512;

/// The members that we act on. Any other passes through unseen.
const KNOWN: &[&str] = &[
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "tools",
    "functions",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "temperature",
    "top_p",
    "stop",
    "seed",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "presence_penalty",
    "frequency_penalty",
    "reasoning_effort",
    "modalities",
    "audio",
    "user",
    "metadata",
    "service_tier",
    "continue_final_message",
    "add_generation_prompt",
    "echo",
];

pub(crate) fn head(payload: &[u8]) -> Result<Head, InvalidChat> {
    let text = std::str::from_utf8(payload).map_err(|error| {
        InvalidChat::new(
            format!(
                "the body is not UTF-8: byte {} is invalid",
                error.valid_up_to()
            ),
            None,
        )
    })?;
    if u32::try_from(text.len()).is_err() {
        return Err(InvalidChat::new("the body is larger than 4 GiB", None));
    }
    let at = Cell::new(At::Top(None));
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = json
        .deserialize_map(Top { text, at: &at })
        .and_then(|head| json.end().map(|()| head));
    let head = parsed.map_err(|error| InvalidChat::new(error.to_string(), at.get().param()))?;
    Ok(head)
}

/// Where the parser is, so that a mistake can be named by its path.
#[derive(Clone, Copy)]
enum At {
    Top(Option<&'static str>),
    Message(usize, Option<&'static str>),
    Part(usize, usize),
}

impl At {
    fn param(self) -> Option<String> {
        match self {
            Self::Top(name) => name.map(str::to_owned),
            Self::Message(index, None) => Some(format!("messages[{index}]")),
            Self::Message(index, Some(field)) => Some(format!("messages[{index}].{field}")),
            Self::Part(index, part) => Some(format!("messages[{index}].content[{part}]")),
        }
    }
}

struct Top<'de, 'at> {
    text: &'de str,
    at: &'at Cell<At>,
}

impl<'de> Visitor<'de> for Top<'de, '_> {
    type Value = Head;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a chat request: a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head, A::Error> {
        let mut head = Head {
            // More than most requests have.
            members: Vec::with_capacity(16),
            ..Head::default()
        };
        let mut model = None;
        let mut has_messages = false;
        while let Some(key) = map.next_key::<&'de RawValue>()? {
            let name = known(key.get());
            self.at.set(At::Top(name));
            if let Some(name) = name
                && head.members.iter().any(|member| member.name == Some(name))
            {
                return Err(de::Error::custom(format_args!("`{name}` appears twice")));
            }
            let key = span(self.text, key.get());
            let value = if name == Some("messages") {
                has_messages = true;
                let seed = Messages {
                    at: self.at,
                    needs: &mut head.needs,
                    size: &mut head.size,
                };
                map.next_value_seed(seed)?;
                // Nobody splices the messages, so their place is only the room between their neighbours.
                key.end..key.end
            } else {
                let raw: &'de RawValue = map.next_value()?;
                if let Some(name) = name {
                    read(name, raw, &mut head, &mut model)?;
                } else {
                    shallow(raw.get())?;
                    // Whatever it is, its provider may show it to the model.
                    head.size.text += raw.get().len() as u64;
                }
                span(self.text, raw.get())
            };
            head.members.push(Member { name, key, value });
            self.at.set(At::Top(None));
        }
        self.at.set(At::Top(Some("model")));
        head.model = model.ok_or_else(|| de::Error::missing_field("model"))?;
        self.at.set(At::Top(Some("messages")));
        if !has_messages {
            return Err(de::Error::missing_field("messages"));
        }
        settle_messages_span(self.text, &mut head.members);
        self.at.set(At::Top(None));
        Ok(head)
    }
}

/// Finds where the messages end: behind their last bracket, before the comma or brace that follows.
fn settle_messages_span(text: &str, members: &mut [Member]) {
    let Some(index) = members
        .iter()
        .position(|member| member.name == Some("messages"))
    else {
        return;
    };
    let from = members[index].key.end as usize;
    let to = members
        .get(index + 1)
        .map_or(text.len(), |next| next.key.start as usize);
    let between = &text[from..to];
    let (Some(first), Some(last)) = (between.find('['), between.rfind(']')) else {
        return;
    };
    members[index].value = offset(from + first)..offset(from + last + 1);
}

fn known(key: &str) -> Option<&'static str> {
    let name = if key.contains('\\') {
        Cow::Owned(serde_json::from_str::<String>(key).ok()?)
    } else {
        Cow::Borrowed(&key[1..key.len() - 1])
    };
    KNOWN.iter().copied().find(|known| *known == name)
}

fn read<E: de::Error>(
    name: &'static str,
    raw: &RawValue,
    head: &mut Head,
    model: &mut Option<Arc<str>>,
) -> Result<(), E> {
    let text = raw.get();
    shallow(text)?;
    // `null` is as good as absent, as it is at OpenAI.
    if text == "null" && name != "model" {
        return Ok(());
    }
    match name {
        "model" => {
            let name: crate::Text<'_> = typed(raw)?;
            if name.len() > LONGEST_MODEL {
                return Err(E::custom(format_args!(
                    "a model's name has {LONGEST_MODEL} bytes at the most"
                )));
            }
            *model = Some(Arc::from(&*name));
        }
        "stream" => head.stream = typed(raw)?,
        "stream_options" => {
            head.include_usage = typed::<StreamOptions, E>(raw)?
                .include_usage
                .unwrap_or(false)
        }
        "max_tokens" | "max_completion_tokens" => {
            // Where both are given, either may be the one that a provider looks at.
            let bound = typed(raw)?;
            head.max_output = head.max_output.max(Some(bound));
        }
        "n" => {
            head.choices = typed::<u32, E>(raw)?.into();
            head.needs.several = head.choices > 1;
        }
        "tools" | "functions" => {
            head.size.tools += typed::<Vec<&RawValue>, E>(raw)?.len() as u64;
            head.size.schemas += text.len() as u64;
            head.needs.tools = head.size.tools > 0;
        }
        "tool_choice" => {
            head.needs.forced_tools = !matches!(text, r#""auto""# | r#""none""#);
        }
        "response_format" => {
            let format: Typed<'_> = typed(raw)?;
            head.needs.json_schema = format.kind == "json_schema";
            head.needs.json_object = format.kind == "json_object";
            head.size.schemas += text.len() as u64;
        }
        "temperature" | "top_p" | "presence_penalty" | "frequency_penalty" => {
            typed::<f64, E>(raw)?;
        }
        "parallel_tool_calls" => head.needs.parallel_tools = typed(raw)?,
        "logprobs" => head.needs.logprobs = typed(raw)?,
        "reasoning_effort" => head.needs.reasoning = typed::<String, E>(raw)? != "none",
        "stop" => drop(typed::<crate::Stop<'_>, E>(raw)?),
        "audio" => {
            head.needs.audio = true;
            head.needs.audio_out = true;
        }
        _ => {}
    }
    Ok(())
}

#[derive(serde::Deserialize)]
#[serde(expecting = "an object")]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(serde::Deserialize)]
#[serde(expecting = "an object with a type")]
struct Typed<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

fn typed<'a, T: serde::Deserialize<'a>, E: de::Error>(raw: &'a RawValue) -> Result<T, E> {
    serde_json::from_str(raw.get()).map_err(|error| {
        // That place is counted from where the value begins; the one in the body is added further up.
        let message = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        E::custom(message.strip_suffix(&place).unwrap_or(&message))
    })
}

/// Refuses what is nested so deep that somebody further down may overflow a stack on it.
fn shallow<E: de::Error>(json: &str) -> Result<(), E> {
    let mut depth = 0_usize;
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(E::custom("recursion limit exceeded"));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'\\' => drop(bytes.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where `part`, which was borrowed from `text`, stands in it.
fn span(text: &str, part: &str) -> std::ops::Range<u32> {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    offset(start)..offset(start + part.len())
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("the length was checked before parsing")
}

#[cfg(test)]
mod tests;
