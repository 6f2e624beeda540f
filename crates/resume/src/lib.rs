//! `http::Response` of chunks that breaks in the middle → one that goes on: mid-stream failover as a Tower layer.
//!
//! A provider that dies after the first token has left the caller with half an answer. [`ResumeLayer`] asks the stack
//! below again, for the rest: the deployment that broke is asked last, and the answer goes on as one stream, with one
//! id, one role, one finish, and the usage of both parts. Where the two texts meet is verified byte for byte. Where
//! that cannot be, the caller gets the failure that broke the stream: never glued text, never a silent end.
//!
//! ```
//! use backstop_chat::emit::Writer;
//! use backstop_chat::{Body, Chat, Continue, Continued, Finish, Mode};
//! use backstop_core::{BoxError, Failure, FailureKind};
//! use backstop_resume::ResumeLayer;
//! use http::{Request, Response};
//! use http_body::Frame;
//! use http_body_util::StreamBody;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // Stands for a chain of deployments: the first breaks in the middle, the second takes prefill and goes on.
//! let chain = service_fn(async |request: Request<Chat>| {
//!     let writer = Writer::new("chatcmpl-1", "some-model", 0, false);
//!     let go_on = request.extensions().get::<Continue>();
//!     let frames = match go_on {
//!         None => vec![Ok(writer.text("Hello, ")), Err(Failure::new(FailureKind::Network).into())],
//!         Some(_) => vec![Ok(writer.text("world.")), Ok(writer.finish(Finish::Stop, true))],
//!     };
//!     let frames = frames.into_iter().map(|frame: Result<_, BoxError>| frame.map(Frame::data));
//!     let mut response = Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))));
//!     if go_on.is_some() {
//!         response.extensions_mut().insert(Continued(Mode::Prefill { echoes: false }));
//!     }
//!     Ok::<_, BoxError>(response)
//! });
//!
//! let request = Request::new(Chat::user("Greet me").streamed(true));
//! let answer = ResumeLayer::new().layer(chain).oneshot(request).await?;
//! assert_eq!(Body::new(answer.into_body()).text().await?, "Hello, world.");
//! # Ok(())
//! # }
//! ```
//!
//! # How an answer goes on
//!
//! The deployment that is asked takes the first of these that it and the [`ResumeOptions`] allow, and says which in
//! the response's extensions ([`Continued`](backstop_chat::Continued)):
//!
//! - **prefill**: the delivered text is the beginning of the assistant's turn. Exact; only some models take it.
//! - **replay**: the same request again, where its answer is determined (`temperature: 0`, or a `seed`) and the model
//!   is the same. What was delivered must come again byte for byte, and is skipped.
//! - **prompted**: a user turn quotes the last characters and asks to begin with them. Most models can; the quotation
//!   makes the seam verifiable. Off unless it is asked for.
//!
//! # What is not continued
//!
//! Answers that are not plain text of one choice: several choices, a JSON schema or object, log probabilities, an
//! answer that continues the caller's own prefill; nor one whose tool call has been delivered in part, which is why
//! tool calls are best held back until they are whole ([`ResumeOptions::hold_tool_calls`]). Nor what a content filter
//! stopped. Reasoning that was shown is not shown again.
//!
//! # Where it belongs
//!
//! Above the deadline layer and the fallback (each part of an answer has a deadline of its own), below the edge. It
//! wraps anything that answers chats, a single provider too.
//!
//! # Cost, and cancel safety
//!
//! A stream keeps a clone of the service and of the request, and the text that was delivered; it boxes only what
//! follows a break. Nothing is spawned: dropping the body drops whichever part is under way.

pub mod body;
mod delivered;
pub mod future;
mod layer;
mod leg;
mod seam;
mod service;
mod state;

pub use self::body::ResumeBody;
pub use self::layer::{ResumeLayer, ResumeOptions};
pub use self::service::Resume;
