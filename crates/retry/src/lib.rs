//! A policy for Tower's retry layer that knows which failures are worth repeating.
//!
//! [`RetryPolicy`] goes into [`tower::retry::RetryLayer`]. It asks the same service again only where that helps: after
//! a rate limit that ends soon, after a connection that broke before anything was sent, or after a server's failure
//! when there is no other deployment to go to. Everything else is left to whoever can ask another deployment.
//!
//! # Example
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
//! use std::time::Duration;
//!
//! use backstop_core::{BoxError, Failure, FailureKind};
//! use backstop_retry::RetryPolicy;
//! use http::{Request, Response};
//! use tower::retry::RetryLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//!
//! let service = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryPolicy::new().retries(2)))
//!     .service(service_fn(|_: Request<&'static str>| async {
//!         if CALLS.fetch_add(1, Relaxed) == 0 {
//!             let limited = Failure::new(FailureKind::RateLimit);
//!             return Err::<Response<&'static str>, BoxError>(
//!                 limited.with_retry_after(Duration::from_millis(300)).into(),
//!             );
//!         }
//!         Ok(Response::new("Hello"))
//!     }));
//!
//! // The hint fits the policy's patience: it is slept through, and the same service is asked again.
//! let answer = service.oneshot(Request::new("Hi")).await?;
//! assert_eq!(*answer.body(), "Hello");
//! assert_eq!(CALLS.load(Relaxed), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # How it decides
//!
//! In this order; the first "no" is final, so that a repeat which will not happen is never paid for:
//!
//! 1. Is the outcome a failure ([`Classify`]), and does its row of the [`Policy`] table allow to ask here again? A
//!    refusal of our own and a provider's `x-should-retry: false` never do.
//! 2. Are [`retries`](RetryPolicy::retries) left? They are counted in the [`Trail`] over the whole request, so that
//!    retries of several deployments cannot multiply; without a trail the policy counts its own.
//! 3. The delay is the provider's hint or our [`backoff`](RetryPolicy::backoff), whichever is longer.
//! 4. Does it fit [`patience`](RetryPolicy::patience), and a quarter of what is left of the [`Deadline`]?
//! 5. Does it end before the deadline does?
//! 6. Does the [`RetryBudget`] grant it?
//!
//! One patience value configures retry and cooldown, so that a retry never wakes into a circuit that its own failure
//! opened: a hint up to it is slept through here, a longer one rests the deployment there.
//!
//! # Where it belongs
//!
//! Around one deployment, inside whatever moves on to another and outside everything that judges an attempt (circuit
//! breaker, attempt record, timeout): each repeat is an attempt of its own.
//!
//! # Readiness and cancellation
//!
//! Both are Tower's: `poll_ready` is the inner service's, the service is cloned once per request and readied again
//! before each repeat. Requests are cloned for each call that may be repeated, so they should be cheap to clone.
//! Dropping the response future drops the call or the pause that it is in.
//!
//! [`Classify`]: backstop_core::Classify
//! [`Deadline`]: backstop_core::Deadline
//! [`Policy`]: backstop_core::Policy
//! [`Trail`]: backstop_core::Trail

mod budget;
pub mod future;
mod policy;

pub use self::budget::RetryBudget;
pub use self::policy::{RetryPolicy, Situation};
