//! OpenAI's HTTP format in front of any Backstop chat service.
//!
//! [`EdgeLayer`] turns a `Service<http::Request<Chat>>` into a service over plain HTTP bodies: it reads the body
//! under a limit, parses it once, asks the service within, and writes the answer as JSON or as server-sent
//! events, with the headers that say who answered. Every error becomes a response in OpenAI's error format, so
//! its own error type is [`Infallible`](std::convert::Infallible): it can be mounted as it is in axum or hyper.
//!
//! ```
//! use backstop_chat::{Body, Chat, Chunk, Meta};
//! use backstop_core::BoxError;
//! use backstop_edge::EdgeLayer;
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let chat = service_fn(async |request: http::Request<Chat>| {
//!     let answer = format!(r#"{{"choices": [], "model": "{}"}}"#, request.body().model());
//!     Ok::<_, BoxError>(http::Response::new(Body::once(Chunk::document(answer, Meta::default()))))
//! });
//! let http = EdgeLayer::openai().layer(chat);
//!
//! let request = http::Request::post("/v1/chat/completions")
//!     .body(Full::<Bytes>::from(r#"{"model": "m", "messages": [{"role": "user", "content": "hi"}]}"#))
//!     .unwrap();
//! let response = http.oneshot(request).await.unwrap();
//! assert_eq!(response.status(), 200);
//! assert!(response.headers().contains_key("x-backstop-request-id"));
//! # }
//! ```
//!
//! # Where it belongs
//!
//! Inside the audit layer, which it tells what was asked for, and outside everything that speaks of chats. It
//! takes the [`Trail`](backstop_core::Trail) that it finds in the request's extensions, or begins one.
//!
//! # Cancel safety
//!
//! Dropping the future or the body drops what runs within. An answer that is not streamed is read to its end
//! before its head is written, so a failure on the way is still an error with its own status.

mod answer;
pub mod body;
mod error;
pub mod future;
mod intake;
mod layer;
mod service;
mod verdict;

pub use self::body::EdgeBody;
pub use self::error::Rejection;
pub use self::layer::EdgeLayer;
pub use self::service::Edge;
