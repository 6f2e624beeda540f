//! A Tower layer that rests a failing deployment and probes it before it returns: a circuit breaker.
//!
//! Each call is evidence. After too many failures, or one that says how long to stay away, calls are refused on the
//! spot for a while, so that whoever asks can go elsewhere; then a single call probes, and an answer lets the rest
//! back in. [`CooldownConfig`] says when and for how long, [`Circuit`] how.
//!
//! ```
//! use backstop_cooldown::{Circuit, CooldownConfig, CooldownLayer, State};
//! use backstop_core::{BoxError, Failure, FailureKind, Ineligible, failure_of};
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let circuit = Circuit::new("primary", CooldownConfig::new().allowed_fails(1));
//! let service = CooldownLayer::new(circuit.clone()).layer(service_fn(
//!     |_: Request<Full<Bytes>>| async {
//!         Err::<Response<Full<Bytes>>, BoxError>(Failure::new(FailureKind::ServerError).into())
//!     },
//! ));
//!
//! for _ in 0..2 {
//!     let error = service.clone().oneshot(Request::default()).await.unwrap_err();
//!     assert_eq!(failure_of(&*error).unwrap().kind(), FailureKind::ServerError);
//! }
//! assert_eq!(circuit.state(), State::Open);
//!
//! // From now on it is refused without a call, and told when to come back.
//! let error = service.oneshot(Request::default()).await.unwrap_err();
//! let failure = failure_of(&*error).unwrap();
//! assert_eq!(failure.kind(), FailureKind::Ineligible(Ineligible::Cooling));
//! assert!(failure.retry_after().is_some());
//! # }
//! ```
//!
//! It needs neither a body nor an LLM. Here failures are statuses, and an answer is over when it is there:
//!
//! ```
//! use backstop_cooldown::{Circuit, CooldownConfig, CooldownLayer, State};
//! use backstop_core::{BoxError, ByStatus, OnResponse};
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let circuit = Circuit::new("api", CooldownConfig::new());
//! let service = CooldownLayer::new(circuit.clone())
//!     .classify(ByStatus)
//!     .track(OnResponse)
//!     .layer(service_fn(|_: Request<()>| async {
//!         Response::builder()
//!             .status(503)
//!             .header("retry-after", "20")
//!             .body(Full::new(Bytes::new()))
//!     }));
//!
//! // The answer is handed on as it is; the circuit has seen that it asks for twenty seconds.
//! assert_eq!(service.oneshot(Request::new(())).await?.status(), 503);
//! assert_eq!(circuit.state(), State::Open);
//! # Ok(())
//! # }
//! ```
//!
//! # Place in the stack
//!
//! Inside retry, so that each attempt is judged and an opening circuit ends the retrying; outside of whatever turns
//! slowness and broken streams into errors (timeouts, priming), so that those are judged too.
//!
//! Deployments that share a key or a host can share [its circuit](CooldownLayer::credential) too: then one failure
//! spares them all.
//!
//! # When a call is judged
//!
//! An error, or a response that the classifier calls a failure, at once. Otherwise the answer has to end first: at
//! the end of its body with [`OnBody`](backstop_core::OnBody), at the response with
//! [`OnResponse`](backstop_core::OnResponse). A probe is judged sooner, at the first content of its body, and goes on
//! as an ordinary call.
//!
//! # Last resort
//!
//! If health alone leaves nobody to ask, whoever plans the request says so with
//! [`LastResort`](backstop_core::LastResort) in its extensions: see [`Circuit::admit`].
//!
//! # Readiness
//!
//! Requests are admitted in `call`, so a caller that becomes ready and never calls holds no probe. `poll_ready` passes
//! the inner service's readiness through, with one exception: while a circuit rests and the inner service is busy it
//! is ready, because a refusal need not wait. Should such a request be admitted after all (the rest ended in between,
//! or it is a [`LastResort`](backstop_core::LastResort)), it is refused as [saturated]. A caller that began to wait
//! before the circuit opened waits on.
//!
//! Clones share circuits and start unready.
//!
//! # Errors
//!
//! The inner service's, [`Resting`], or a refusal as saturated; all as
//! [`BoxError`](backstop_core::BoxError).
//!
//! # Cancellation
//!
//! A call or a body that is dropped before it is judged is neutral: nothing is counted, and a probe's place goes to
//! the next request. A body that is dropped after its first content has been answered as far as a probe goes.
//!
//! # Panics
//!
//! `call` panics unless `poll_ready` has returned `Ready` before.
//!
//! [saturated]: backstop_core::Ineligible::Saturated

mod circuit;
mod circuits;
mod config;
pub mod error;
mod event;
pub mod future;
mod judge;
mod keys;
mod layer;
mod service;
mod sync;
mod ticket;
mod window;
mod word;

pub use self::circuit::Circuit;
pub use self::circuits::Circuits;
pub use self::config::CooldownConfig;
pub use self::error::Resting;
pub use self::event::Event;
pub use self::judge::Judge;
pub use self::layer::CooldownLayer;
pub use self::service::Cooldown;
pub use self::ticket::Ticket;
pub use self::word::State;
