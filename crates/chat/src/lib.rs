//! The seam between Tower layers and LLM providers: `http::Request<Chat>` in, `http::Response` of [`Chunk`]s out.
//!
//! - [`Chat`]: a request in OpenAI's format, parsed once. Cloning it is two reference counts, so it can be
//!   replayed for every attempt; forwarding it to a server of the same format splices the few members that
//!   change and leaves every other byte as it came.
//! - [`Chunk`]: one frame of an answer in OpenAI's format, with what was noticed while framing it. It is a
//!   [`bytes::Buf`], so a stream of them is an ordinary body. An answer that is not streamed is one chunk.
//! - [`Dialect`] and [`Decode`]: what a provider's wire format adds; [`Provider`] makes a service of a dialect
//!   and any HTTP client.
//! - [`Conversation`] and [`emit`]: the typed request and the OpenAI answer, for dialects that translate.
//! - [`sse`]: server-sent events, from bytes however they are split.
//! - [`answer`], [`patterns`], [`endpoint`] and [`thinking_budget`]: what the decoders, failure tables, base URLs and
//!   models of dialects have in common.
//!
//! ```
//! use backstop_chat::Chat;
//!
//! let chat = Chat::parse(
//!     r#"{"model": "smart", "messages": [{"role": "user", "content": "hi"}], "x-mine": 1}"#,
//! )?;
//! assert_eq!(chat.model(), "smart");
//!
//! let forwarded = chat.edit().set_model("gpt-4o").finish();
//! assert_eq!(
//!     forwarded,
//!     r#"{"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "x-mine": 1}"#,
//! );
//! # Ok::<(), backstop_chat::InvalidChat>(())
//! ```

mod adopt;
pub mod answer;
mod body;
mod chunk;
mod clean;
mod continuing;
mod conversation;
mod decoded;
mod dialect;
mod edit;
pub mod emit;
mod endpoint;
mod error;
mod invalid;
mod parse;
pub mod patterns;
pub mod provider;
mod request;
mod said;
pub mod sse;
mod texts;
mod thinking;

pub use self::body::Body;
pub use self::chunk::{Chunk, Finish, Meta};
pub use self::clean::clean;
pub use self::continuing::{Collected, Continue, Continued, Mode, Modes, Prefill, SURE, anchor};
pub use self::conversation::{
    Content, Conversation, Function, FunctionCall, ImageUrl, JsonSchema, Message, Part,
    ResponseFormat, Role, Stop, Text, Tool, ToolCall, ToolChoice,
};
pub use self::decoded::Decoded;
pub use self::dialect::{Decode, Dialect};
pub use self::edit::Edit;
pub use self::endpoint::{InvalidBaseUrl, endpoint};
pub use self::error::ProviderError;
pub use self::invalid::InvalidChat;
pub use self::provider::Provider;
pub use self::request::Chat;
pub use self::said::CallDelta;
pub use self::thinking::{LEAST_THINKING, thinking_budget};
pub use backstop_core::Needs;
