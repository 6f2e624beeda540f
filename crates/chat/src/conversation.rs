//! A chat request, typed and borrowed from its payload: what a translation to another wire format reads.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The request as OpenAI's chat completions define it. `null` and absent are the same.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
#[non_exhaustive]
pub struct Conversation<'a> {
    /// The messages.
    #[serde(borrow)]
    pub messages: Vec<Message<'a>>,
    /// The tools that the model may call.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub tools: Vec<Tool<'a>>,
    /// Which of them it must call.
    #[serde(borrow)]
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether it may call several at once.
    pub parallel_tool_calls: Option<bool>,
    /// `text`, `json_object` or `json_schema`.
    #[serde(borrow)]
    pub response_format: Option<ResponseFormat<'a>>,
    /// The most tokens of the answer, by its newer name.
    pub max_completion_tokens: Option<u64>,
    /// The most tokens of the answer, by its older name.
    pub max_tokens: Option<u64>,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// Where to stop.
    #[serde(borrow)]
    pub stop: Option<Stop<'a>>,
    /// How many choices.
    pub n: Option<u32>,
    /// `none` to `max`.
    #[serde(borrow)]
    pub reasoning_effort: Option<Text<'a>>,
    /// The end user, by the caller's opaque name.
    #[serde(borrow)]
    pub user: Option<Text<'a>>,
}

impl Conversation<'_> {
    /// The most tokens of the answer, by either name.
    #[must_use]
    pub fn max_output(&self) -> Option<u64> {
        self.max_completion_tokens.or(self.max_tokens)
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// The operator.
    System,
    /// The operator, by its newer name.
    Developer,
    /// The user.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
    /// The result of a function call, by its older name.
    Function,
}

/// One message.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with a role")]
#[non_exhaustive]
pub struct Message<'a> {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    #[serde(borrow)]
    pub content: Option<Content<'a>>,
    /// The tools that the assistant called.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub tool_calls: Vec<ToolCall<'a>>,
    /// The call that a tool's result answers.
    #[serde(borrow)]
    pub tool_call_id: Option<Text<'a>>,
    /// The assistant's refusal, which it said instead of content.
    #[serde(borrow)]
    pub refusal: Option<Text<'a>>,
    /// The speaker's name.
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
}

/// A string that borrows from the payload where it has no escapes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// What a message says.
#[derive(Debug)]
pub enum Content<'a> {
    /// Plain text.
    Text(Text<'a>),
    /// Text, images and more, in order.
    Parts(Vec<Part<'a>>),
}

impl Content<'_> {
    /// All text in it, its parts put together.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Parts(parts) => parts
                .iter()
                .filter_map(|part| part.text.as_deref())
                .collect::<String>()
                .into(),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Content<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of parts")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Content::Text(Text(text.into())))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Content::Text(Text(Cow::Owned(text.into()))))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = seq.next_element()? {
                    parts.push(part);
                }
                Ok(Content::Parts(parts))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// One part of a message. Which of the fields is there follows from `kind`.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with a type")]
#[non_exhaustive]
pub struct Part<'a> {
    /// `text`, `image_url`, `input_audio`, `file`, `refusal`.
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    /// Of `text`.
    #[serde(borrow)]
    pub text: Option<Text<'a>>,
    /// Of `image_url`.
    #[serde(borrow)]
    pub image_url: Option<ImageUrl<'a>>,
    /// Of `refusal`.
    #[serde(borrow)]
    pub refusal: Option<Text<'a>>,
}

/// An image, by URL or inline.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with a url")]
#[non_exhaustive]
pub struct ImageUrl<'a> {
    /// `http(s):` or `data:`.
    #[serde(borrow)]
    pub url: Cow<'a, str>,
}

impl ImageUrl<'_> {
    /// Whether the provider would have to fetch it.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        !self.url.starts_with("data:")
    }

    /// Media type and base64 text of an inline image: `data:image/png;base64,…`.
    #[must_use]
    pub fn inline(&self) -> Option<(&str, &str)> {
        let (head, data) = self.url.strip_prefix("data:")?.split_once(',')?;
        Some((head.strip_suffix(";base64")?, data))
    }
}

/// A tool call that the assistant made.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with an id")]
#[non_exhaustive]
pub struct ToolCall<'a> {
    /// Its id.
    #[serde(borrow)]
    pub id: Text<'a>,
    /// What was called.
    #[serde(borrow)]
    pub function: FunctionCall<'a>,
}

/// The function of a call.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with a name")]
#[non_exhaustive]
pub struct FunctionCall<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Its arguments: JSON in a string, as the model wrote it, which may not parse.
    #[serde(borrow)]
    pub arguments: Text<'a>,
}

/// A tool that is offered.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with a type")]
#[non_exhaustive]
pub struct Tool<'a> {
    /// `function`, or a provider's own kind.
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    /// Of `function`.
    #[serde(borrow)]
    pub function: Option<Function<'a>>,
}

/// A function that is offered.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with a name")]
#[non_exhaustive]
pub struct Function<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// What it does.
    #[serde(borrow)]
    pub description: Option<Text<'a>>,
    /// The JSON schema of its arguments.
    #[serde(borrow)]
    pub parameters: Option<&'a RawValue>,
    /// Whether the schema is enforced.
    pub strict: Option<bool>,
}

/// Which tool must be called.
#[derive(Debug)]
#[non_exhaustive]
pub enum ToolChoice<'a> {
    /// None may.
    None,
    /// The model decides.
    Auto,
    /// Some must.
    Required,
    /// This one must.
    Function(Text<'a>),
    /// Something else, such as `allowed_tools`.
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for ToolChoice<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(expecting = "an object with a name")]
        struct Named<'a> {
            #[serde(borrow)]
            name: Text<'a>,
        }

        #[derive(Deserialize)]
        #[serde(expecting = "an object with a type")]
        struct Object<'a> {
            #[serde(borrow)]
            function: Option<Named<'a>>,
        }

        let raw = <&'de RawValue>::deserialize(deserializer)?;
        if raw.get().starts_with('{') {
            let object: Object<'de> = serde_json::from_str(raw.get()).map_err(de::Error::custom)?;
            return Ok(object
                .function
                .map_or(Self::Other, |function| Self::Function(function.name)));
        }
        let word: Cow<'de, str> = serde_json::from_str(raw.get()).map_err(de::Error::custom)?;
        match &*word {
            "none" => Ok(Self::None),
            "auto" => Ok(Self::Auto),
            "required" => Ok(Self::Required),
            other => Err(de::Error::unknown_variant(
                other,
                &["none", "auto", "required"],
            )),
        }
    }
}

/// What form the answer must have.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with a type")]
#[non_exhaustive]
pub struct ResponseFormat<'a> {
    /// `text`, `json_object`, `json_schema`.
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    /// Of `json_schema`.
    #[serde(borrow)]
    pub json_schema: Option<JsonSchema<'a>>,
}

/// The schema that the answer must follow.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with a name")]
#[non_exhaustive]
pub struct JsonSchema<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// What it is for.
    #[serde(borrow)]
    pub description: Option<Text<'a>>,
    /// The schema itself.
    #[serde(borrow)]
    pub schema: Option<&'a RawValue>,
    /// Whether it is enforced.
    pub strict: Option<bool>,
}

/// Where to stop: one string or several.
#[derive(Debug)]
pub struct Stop<'a>(pub Vec<Text<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Stop<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Stop<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Stop(vec![Text(text.into())]))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Stop(vec![Text(Cow::Owned(text.into()))]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(text) = seq.next_element()? {
                    all.push(text);
                }
                Ok(Stop(all))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
