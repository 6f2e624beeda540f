//! Anthropic's messages API as a Backstop dialect.
//!
//! [`Anthropic`] over any HTTP client is a provider: requests in OpenAI's format go in, answers in OpenAI's format
//! come out, and between them stands Anthropic's own: turns that alternate, system prompts apart, tools, images,
//! thinking, structured output, and streams of named events.
//!
//! ```
//! use backstop_anthropic::Anthropic;
//! use backstop_chat::{Body, Chat, Provider};
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), backstop_core::BoxError> {
//! // Any HTTP client goes here; this one answers without a network.
//! let client = service_fn(|request: Request<Full<Bytes>>| async move {
//!     assert_eq!(request.uri(), "https://api.anthropic.com/v1/messages");
//!     let answer = r#"{"type": "message", "content": [{"type": "text", "text": "Hello!"}],
//!         "stop_reason": "end_turn"}"#;
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(answer)))
//! });
//!
//! let provider = Provider::new(Anthropic::new("key".into()).model("claude-sonnet-4-6"), client);
//! let answer = provider.oneshot(Request::new(Chat::user("Hi"))).await?;
//! assert_eq!(Body::new(answer.into_body()).text().await?, "Hello!");
//! # Ok(())
//! # }
//! ```
//!
//! # What is left out
//!
//! Parameters that Anthropic, or the model, would refuse are left out or lowered, with a note in the
//! [`Trail`](backstop_core::Trail); the rules of each model are data, in `models.rs`. A request that would lose its
//! meaning is refused before it is sent, as [incapable](backstop_chat::ProviderError::incapable): more than one
//! choice, audio, files, a schema or a forced call where the model has neither, and an assistant message at the end
//! where the model does not go on from it.
//!
//! # Failures
//!
//! Errors are classified by their code, their type, the status, and at last by their text; the table is
//! `failures.rs`. An `error` event in a stream is an error. A stream that ends before its reason to end is a
//! [network failure](backstop_core::FailureKind::Network).

mod classify;
mod decode;
mod dialect;
mod encode;
mod event;
mod failures;
mod key;
mod models;
mod wire;

pub use self::decode::Decoder;
pub use self::dialect::Anthropic;

/// The provider's name in errors and records.
const PROVIDER: &str = "anthropic";
