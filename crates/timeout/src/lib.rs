//! Tower layers for the three times that matter to a stream: to its first token, between its chunks, and of the whole
//! chain.
//!
//! - [`TimeoutLayer`] bounds one attempt: the time until the response is there, the time between two frames of its
//!   body, and the time that pings and empty frames can fill. A long answer is never cut off for being long.
//! - [`DeadlineLayer`] bounds a whole request up to the response, all attempts, pauses and deployments included, and
//!   tells everything below by a [`Deadline`] in the request's extensions.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use backstop_core::{BoxError, FailureKind, failure_of};
//! use backstop_timeout::{DeadlineLayer, TimeoutLayer};
//! use http::{Request, Response};
//! use http_body_util::Empty;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let silent = service_fn(|_: Request<()>| async {
//!     std::future::pending::<()>().await;
//!     Ok::<_, BoxError>(Response::new(Empty::<bytes::Bytes>::new()))
//! });
//!
//! let attempt = TimeoutLayer::first_token(Duration::from_secs(30)).idle(Duration::from_secs(15));
//! let service = ServiceBuilder::new().layer(attempt.clone()).service(silent);
//! let error = service.oneshot(Request::new(())).await.expect_err("30 s are over");
//! assert!(error.is::<backstop_timeout::error::Elapsed>());
//! assert_eq!(failure_of(&*error).map(|f| f.kind()), Some(FailureKind::Timeout));
//!
//! // Below a deadline, an attempt gets no more than is left of that.
//! let chain = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new(Duration::from_secs(5)))
//!     .layer(attempt)
//!     .service(silent);
//! let begun = tokio::time::Instant::now();
//! chain.oneshot(Request::new(())).await.expect_err("5 s are over");
//! assert_eq!((tokio::time::Instant::now() - begun).as_secs(), 5);
//! # }
//! ```
//!
//! # Where they belong
//!
//! `TimeoutLayer` goes inside retry, so that pauses between attempts do not count, and outside
//! `PrimeLayer` (of `backstop-prime`): then a response is there when its first content is, and the bound is the time
//! to the first token. Without that layer it is the time to the response's head. For an answer that is not streamed it
//! is the time of the whole answer.
//!
//! `DeadlineLayer` goes above everything that repeats or moves on: retry and fallback.
//!
//! # Readiness, timers, cancellation
//!
//! `poll_ready` is the inner service's, and waiting there is not bounded. What is inside is always polled before the
//! clock is asked: an answer that is there is never thrown away because somebody was slow to fetch it. A timer exists
//! only once there is something to wait for, one per response and one per body; a service that answers at once needs
//! no Tokio runtime. Dropping a future or a body drops what is inside; nothing is spawned.
//!
//! [`Deadline`]: backstop_core::Deadline

mod alarm;
mod body;
mod deadline;
pub mod error;
pub mod future;
mod layer;
mod service;

pub use self::body::IdleBody;
pub use self::deadline::{DeadlineLayer, EnforceDeadline};
pub use self::layer::TimeoutLayer;
pub use self::service::Timeout;
