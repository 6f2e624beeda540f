//! A Tower layer that holds a response until its first content.
//!
//! A provider of streams answers `200 OK` and fails afterwards: an error event instead of the first token, a
//! connection that ends behind the role delta. Layers that look at the response future alone take that for a success.
//! [`PrimeLayer`] keeps the response back until the body has shown what it is, so that a failure in a 200 is a
//! failure for every layer above: for retry, fallback, a circuit breaker, a timeout.
//!
//! # Example
//!
//! ```
//! use backstop_core::BoxError;
//! use backstop_prime::PrimeLayer;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body::Frame;
//! use http_body_util::StreamBody;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // The head says 200, the body fails before it has said anything.
//! let broken = service_fn(|_: Request<()>| async {
//!     let frames: [Result<Frame<Bytes>, BoxError>; 1] = [Err("overloaded".into())];
//!     Ok::<_, BoxError>(Response::new(StreamBody::new(futures_util::stream::iter(frames))))
//! });
//!
//! let service = ServiceBuilder::new().layer(PrimeLayer::new()).service(broken);
//! let error = service.oneshot(Request::new(())).await.expect_err("the failure comes in time");
//! assert_eq!(error.to_string(), "overloaded");
//! # }
//! ```
//!
//! # What ends the wait
//!
//! The response is handed on with the first of these, and everything read so far is replayed in order:
//!
//! - a frame with content, or one that proves the answer complete ([`Frame::is_content`], [`Frame::is_terminal`]);
//! - trailers, or the end of the body: an empty answer is an answer;
//! - more than [`limit`](PrimeLayer::limit) bytes held, 64 KiB by default.
//!
//! Role deltas, pings and lifecycle events do not end it. An error of the body before that is the error of the call. A
//! verdict that a held frame carries ([`Frame::failure`], such as a refusal) is put into the response's extensions,
//! where [`Failures`] finds it: the response stays `Ok`, so that the provider's own words can be handed on. If the
//! whole answer is held and says what it took, so is its [`Usage`]: whoever leaves such an answer behind does not read
//! it.
//!
//! # Where it belongs
//!
//! Right around the provider, inside everything that judges an attempt. A timeout outside it bounds the time to the
//! first token. The layer itself has no timer: a provider that never goes on is held for as long as nobody gives up.
//!
//! # Readiness, errors, cancellation
//!
//! `poll_ready` is the inner service's. The error type is [`BoxError`]: the service's own error or the body's, as it
//! came. Dropping the future drops the call or the body that it holds; nothing is spawned. It costs one box per
//! response, which lets a body that is not `Unpin` move, and nothing per frame once the held ones are replayed.
//!
//! [`BoxError`]: backstop_core::BoxError
//! [`Failures`]: backstop_core::Failures
//! [`Usage`]: backstop_core::Usage
//! [`Frame::failure`]: backstop_core::Frame::failure
//! [`Frame::is_content`]: backstop_core::Frame::is_content
//! [`Frame::is_terminal`]: backstop_core::Frame::is_terminal

mod body;
pub mod future;
mod held;
mod layer;
mod service;

pub use self::body::PrimedBody;
pub use self::layer::PrimeLayer;
pub use self::service::Prime;
