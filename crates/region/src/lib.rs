//! Tower layers that keep data where it must stay: no byte of a prompt leaves for a deployment that its rules forbid.
//!
//! A deployment has a [`Place`]: where it processes and stores, what attests to that, and its compliance marks. A
//! request has a [`Residency`]: the rules that hold for it. [`RegionLayer`] compares the two before anything below it
//! runs, and [`Sealed`], directly around the provider, lets nothing out that has not passed there. Everything fails
//! closed: what nobody has declared satisfies no rule.
//!
//! # Example
//!
//! ```
//! use backstop_core::{BoxError, Deployment, FailureKind, Ineligible, failure_of};
//! use backstop_region::{Declaration, Derivation, RegionLayer, Residency};
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let deployment = |id: &'static str, aws_region| {
//!     let derived = Derivation::bedrock(aws_region, "anthropic.claude-sonnet-4-6")?;
//!     let region = RegionLayer::new(Deployment::new(id), Declaration::new(derived).check()?);
//!     Ok::<_, BoxError>(
//!         ServiceBuilder::new()
//!             .layer(region.clone())
//!             // Here go retry, a circuit breaker, timeouts.
//!             .layer(region.seal())
//!             .service(service_fn(move |_: Request<&'static str>| async move {
//!                 Ok::<_, BoxError>(Response::new(Full::new(Bytes::from(id))))
//!             })),
//!     )
//! };
//! let (virginia, frankfurt) = (deployment("virginia", "us-east-1")?, deployment("frankfurt", "eu-central-1")?);
//!
//! let mut request = Request::new("Hello");
//! request.extensions_mut().insert(Residency::only("eu"));
//!
//! let error = virginia.oneshot(request.clone()).await.unwrap_err();
//! let failure = failure_of(&*error).unwrap();
//! assert_eq!(failure.kind(), FailureKind::Ineligible(Ineligible::Region));
//! assert_eq!(failure.detail(), Some("rule `only eu`: it processes in us-east-1, not within eu"));
//!
//! assert!(frankfurt.oneshot(request).await.is_ok());
//! # Ok(())
//! # }
//! ```
//!
//! # The words
//!
//! [`Regions`] are sets of cloud regions, countries and jurisdictions. [`Derivation`] knows what a provider's address,
//! SKU or profile says about where it runs; a [`Declaration`] adds what the operator claims, and is refused if that
//! promises more. A [`Rule`] says which requests it is for ([`Match`]) and what it asks of a deployment ([`Require`]);
//! [`Policies`] are an ordered list of them, and [`examples`] some to begin with. [`Labels`] are what is known of a
//! request, [`PersonalData`] adds what it finds in the text.
//!
//! # Where they belong
//!
//! ```text
//!  ClassifyLayer          (optional) claims classes of data that it finds in the request
//!  ResidencyPolicyLayer   decides which rules hold: above caches, above resuming, above the chain of deployments
//!   │ per deployment:
//!   ├─ RegionLayer        outermost: nothing runs for a deployment that the request may not touch
//!   ├─ …                  retry, circuit breaker, budget, timeouts
//!   ├─ RegionSeal         directly around the provider
//!   └─ the provider
//! ```
//!
//! A request without rules passes, unless the layer is [`required`](RegionLayer::required): then it has to have come
//! through a [`ResidencyPolicyLayer`]. With rules, the seal wants the [`Permit`] that the [`RegionLayer`] of this very
//! deployment gave to this very request under these very rules; so a retry, a probe, the rest of a broken stream or
//! whatever else finds its way to a provider cannot leave without having been compared.
//!
//! A chain of deployments can be told beforehand whom it need not count on: [`RegionLayer::check`].
//!
//! # After the answer
//!
//! Where the provider reports where it ran ([`Frame::place`], [`RanIn`]), the seal compares that with the declaration.
//! A contradiction is an [`Event::Misplaced`], a note in the [`Trail`], and a failure of kind
//! [`Permission`](backstop_core::FailureKind::Permission), which opens the deployment's circuit for long. The answer is
//! not handed on, as far as it has not been already.
//!
//! # Readiness, errors, cancellation
//!
//! `poll_ready` is the inner service's, and clones start unready if its clones do. The error type is [`BoxError`]: the
//! inner service's, [`error::Refused`] or [`error::Unreadable`]. Nothing is spawned and nothing
//! outlives the future and the body. A request without rules costs no allocation on its way out.
//!
//! # What this is not
//!
//! It holds the gateway to what was declared. It does not see what a provider logs, which sub-processors it uses, or
//! whether a contract says what its mark claims.
//!
//! [`BoxError`]: backstop_core::BoxError
//! [`Frame::place`]: backstop_core::Frame::place
//! [`RanIn`]: backstop_core::RanIn
//! [`Trail`]: backstop_core::Trail

mod body;
mod classify;
mod date;
mod derive;
pub mod error;
mod event;
pub mod examples;
pub mod future;
mod governed;
mod guard;
mod labels;
mod layer;
mod matching;
mod narrow;
mod permit;
mod personal;
mod place;
mod policy;
mod regions;
mod residency;
mod rule;
mod service;

/// The names of the headers that narrow a request.
pub mod header {
    pub use crate::narrow::{DATA_CLASS, RESIDENCY, USER_REGION};
}

pub use self::body::SealedBody;
pub use self::classify::{Classifier, Classify, ClassifyFuture, ClassifyLayer};
pub use self::date::{Date, InvalidDate};
pub use self::derive::Derivation;
pub use self::event::Event;
pub use self::governed::{ResidencyPolicy, ResidencyPolicyLayer};
pub use self::labels::Labels;
pub use self::layer::{RegionLayer, RegionSeal};
pub use self::matching::Match;
pub use self::permit::Permit;
pub use self::personal::PersonalData;
pub use self::place::{Declaration, Evidence, Expiring, Mark, Place, WiderClaim};
pub use self::policy::{InvalidPolicy, Policies};
pub use self::regions::{Regions, UnknownRegion};
pub use self::residency::Residency;
pub use self::rule::{Reason, Refusal, Require, Rule};
pub use self::service::{Regional, Sealed};
