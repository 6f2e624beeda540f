//! A Tower layer that refuses what a model cannot serve, before anything is sent.
//!
//! [`FitLayer`] holds a request against the [`Facts`] of one deployment's model: the prompt and the answer that is
//! asked for against the context window, and what the request needs against what the model can do. What does not fit
//! is refused with an [`Ineligible`](backstop_core::Ineligible) failure and its reason, so a fallback goes on to the
//! next deployment and no call is made.
//!
//! ```
//! use backstop_catalog::{Capability, Facts};
//! use backstop_chat::Chat;
//! use backstop_core::{BoxError, FailureKind, Ineligible, failure_of};
//! use backstop_fit::FitLayer;
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let facts = Facts::new().with_window(100).with_support(Capability::Vision, false);
//! let service = ServiceBuilder::new()
//!     .layer(FitLayer::new(facts))
//!     .service(service_fn(async |_: Request<Chat>| Ok::<_, BoxError>(Response::new("Hello"))));
//!
//! let answer = service.clone().oneshot(Request::new(Chat::user("Are you there?"))).await?;
//! assert_eq!(*answer.body(), "Hello");
//!
//! let error = service.oneshot(Request::new(Chat::user(&"long ".repeat(200)))).await.expect_err("too long");
//! let kind = failure_of(&*error).map(|failure| failure.kind());
//! assert_eq!(kind, Some(FailureKind::Ineligible(Ineligible::Window)));
//! # Ok(())
//! # }
//! ```
//!
//! # What fits
//!
//! - **The window.** A bound that needs no tokenizer ([`estimate::bound`]) settles most requests at once. Only where
//!   that is larger than the window, the prompt is counted ([`estimate::count`]), once per request however many
//!   deployments ask; and only a prompt that has too many tokens *at least* is refused. The answer takes room in the
//!   window too, as much as the request allows it (`max_tokens`) and the model can write, unless the model has room
//!   for it beside the window ([`Facts::output_apart`]).
//! - **Capabilities**: tools, several tool calls at once, images, audio, files, a JSON schema, reasoning.
//!
//! What is not known is not held against anybody: a model whose window is unknown is asked, and so is one of which
//! nothing is said about a capability, and a request that does not tell its size passes. What a deployment must not be
//! asked for is said with [`Facts::with_support`].
//!
//! A model may still find a prompt too long, because its tokens are estimated. Then a fallback asks only deployments
//! whose [window](backstop_core::Deployment::window) is larger.
//!
//! # Place in a stack
//!
//! Per deployment, outside of retry and of whatever counts attempts: a refusal is none, and asking again does not help.
//!
//! # Readiness, errors, cancellation
//!
//! `poll_ready` is the inner service's. Errors are the inner service's, or a [`Failure`](backstop_core::Failure).
//! Counting takes place within `call`, on its thread: see [`estimate::count`] for how long it takes. Nothing is
//! spawned and nothing is held.
//!
//! [`Facts`]: backstop_catalog::Facts
//! [`Facts::output_apart`]: backstop_catalog::Facts::output_apart
//! [`Facts::with_support`]: backstop_catalog::Facts::with_support
//! [`estimate::bound`]: backstop_catalog::estimate::bound
//! [`estimate::count`]: backstop_catalog::estimate::count

pub mod future;
mod judge;
mod layer;
mod service;

pub use self::layer::FitLayer;
pub use self::service::Fit;
