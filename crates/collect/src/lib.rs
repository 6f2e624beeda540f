//! A Tower layer that asks for a stream on behalf of callers that want none, and puts the answer together.
//!
//! Of an answer that is not streamed nothing is seen until all of it is there: a provider that hangs is noticed when
//! the whole answer is late, and one that breaks off takes everything with it. [`CollectLayer`] asks the service
//! below for a stream, with its usage, and collects the chunks into one document as OpenAI writes it. Layers below
//! see a stream: a time to the first token, the time between chunks, and mid-stream failover hold for every caller.
//!
//! ```
//! use backstop_chat::{Body, Chat, emit};
//! use backstop_collect::CollectLayer;
//! use backstop_core::BoxError;
//! use http::{Request, Response};
//! use http_body_util::BodyExt;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // Stands for a provider, or a chain of them.
//! let provider = service_fn(async |request: Request<Chat>| {
//!     assert!(request.body().stream() && request.body().include_usage());
//!     Ok::<_, BoxError>(Response::new(emit::answer(request.body(), "some-model", "Hello")))
//! });
//!
//! let chat = Chat::user("Greet me");
//! assert!(!chat.stream());
//! let answer = CollectLayer::new().layer(provider).oneshot(Request::new(chat)).await?;
//!
//! let mut body = answer.into_body();
//! let document = body.frame().await.expect("one frame")?.into_data().expect("a chunk");
//! assert!(document.is_document());
//! assert_eq!(Body::once(document).text().await?, "Hello");
//! # Ok(())
//! # }
//! ```
//!
//! # What is collected
//!
//! Text, reasoning, refusals, tool calls, log probabilities, several choices, usage, and what a provider adds of its
//! own: texts grow, lists grow, entries with an `index` grow each for itself, and of anything else the last value
//! counts. An answer with audio is not collected: it is asked for as it came, since its sound has another format in a
//! stream. Nor is a document, should the service below answer with one: it is handed on as it is.
//!
//! Layers below are told that the answer is [`Collected`](backstop_chat::Collected): one that breaks off and cannot be
//! gone on with, such as a JSON document, may be asked for again from the beginning.
//!
//! # Some deployments and not others
//!
//! Some servers cannot stream. [`as_asked`] gives the request back as the caller made it; around such a deployment,
//! below a fallback, `tower::util::MapRequestLayer` carries it.
//!
//! # Where it belongs
//!
//! Above the layers that a stream is wanted for (`ResumeLayer`, `DeadlineLayer`, the fallback), below the edge, which
//! reads a document to its end before it writes the head: a failure behind the first token is still an error with
//! its own status, never half an answer.
//!
//! # Readiness, errors, cancellation
//!
//! `poll_ready` and the errors of the call are the inner service's. The body ends with the stream's own error, or with
//! a [`Failure`](backstop_core::Failure) of kind `ServerError` where chunks do not fit together or hold more than
//! 64 MiB, and of kind `Network` where there are none. Dropping the future or the body drops what runs within; nothing
//! is spawned. A request that passes through costs nothing but a look at it.

mod assembly;
pub mod body;
pub mod future;
mod growing;
mod layer;
mod service;

pub use self::body::CollectBody;
pub use self::layer::CollectLayer;
pub use self::service::{Collect, as_asked};
