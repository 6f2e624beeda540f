//! OpenAI's chat completions, and servers compatible with it, as a Backstop dialect.
//!
//! [`OpenAi`] over any HTTP client is a provider. A request goes on byte for byte as it came, but for the model's
//! name and for what that model does not take; an answer comes back frame by frame as it came.
//!
//! ```
//! use backstop_chat::{Body, Chat, Provider};
//! use backstop_openai::OpenAi;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), backstop_core::BoxError> {
//! // Any HTTP client goes here; this one answers without a network.
//! let client = service_fn(|request: Request<Full<Bytes>>| async move {
//!     assert_eq!(request.uri(), "https://api.openai.com/v1/chat/completions");
//!     let answer = r#"{"choices": [{"message": {"content": "Hello!"}, "finish_reason": "stop"}]}"#;
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(answer)))
//! });
//!
//! let provider = Provider::new(OpenAi::new("sk-1".into()).model("gpt-4o"), client);
//! let answer = provider.oneshot(Request::new(Chat::user("Hi"))).await?;
//! assert_eq!(Body::new(answer.into_body()).text().await?, "Hello!");
//! # Ok(())
//! # }
//! ```
//!
//! A server of one's own is [`OpenAi::keyless`] or [`OpenAi::at`] a [`Server`], which knows the exceptions that
//! this server makes:
//!
//! ```
//! use backstop_openai::{OpenAi, Server};
//!
//! let ollama = OpenAi::at(Server::Ollama, None).model("llama3.3");
//! let mine = OpenAi::keyless().named("mine").base_url(&"http://10.0.0.7:8000/v1".parse()?)?;
//! # let _ = (ollama, mine);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Failures
//!
//! Errors are classified by their structured words first, then by status, and by their text at last; the tables are
//! `failures.rs` for OpenAI and Azure and `compatible.rs` for the others. An error inside a 200 is an error, in a
//! stream as well. A stream that ends without a finish reason for each of its choices is a
//! [network failure](backstop_core::FailureKind::Network).

mod classify;
mod compatible;
mod decode;
mod dialect;
mod failures;
mod finish;
mod frame;
mod key;
mod rules;
mod server;

pub use self::decode::Decoder;
pub use self::dialect::OpenAi;
pub use self::server::Server;
