//! A Tower service that asks one deployment after another until one answers.
//!
//! A [`Fallback`] holds a chain of [`Target`]s, each an ordinary [`Service`](tower_service::Service) with the
//! [`Deployment`](backstop_core::Deployment) that it stands for. It asks the first, judges the outcome by its
//! [`Failure`](backstop_core::Failure) and a [`Policy`](backstop_core::Policy), and either hands it on or asks the
//! next one, at once.
//!
//! Nothing here knows about language models. Two regions of some HTTP API:
//!
//! ```
//! use backstop_core::{BoxError, ByStatus, Deployment};
//! use backstop_fallback::{Fallback, Target};
//! use http::{Request, Response};
//! use tower::{ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let region = |id: &'static str, status: u16| {
//!     let service = service_fn(move |_: Request<String>| async move {
//!         Ok::<_, BoxError>(Response::builder().status(status).body(id)?)
//!     });
//!     Target::new(Deployment::new(id), service)
//! };
//!
//! let api = Fallback::in_order([region("east", 503), region("west", 200)]).classify(ByStatus);
//!
//! let answer = api.oneshot(Request::new("hello".to_owned())).await?;
//! assert_eq!(*answer.body(), "west");
//! # Ok(())
//! # }
//! ```
//!
//! # Who is asked
//!
//! Targets stand in tiers ([`Target::with_order`]); a lower tier is asked to its end before the next one begins.
//! Within a tier a [`Strategy`] picks: [`InOrder`], [`Weighted`] or [`LeastBusy`]. It picks again after each
//! failure among those that are left, so the siblings of a failed target follow it.
//!
//! After a failure the policy's [`Next`](backstop_core::Next) decides: `Surface` returns this very outcome, `Ask`
//! goes on, `AskLarger` goes on but passes over targets whose window is known not to be larger. Before each
//! attempt the [`Deadline`](backstop_core::Deadline) in the request's extensions is checked. Going on never
//! sleeps.
//!
//! A target can be kept for one kind of failure ([`Target::only_after`]): a larger window for prompts that do not
//! fit, another vendor for those that a content filter refuses.
//!
//! A target can say which requests may go to it at all ([`Target::admitting`]). Whoever is refused by that is skipped
//! in their turn, and from the start no [`Position`](backstop_core::Position) counts them.
//!
//! # What comes back
//!
//! - The first outcome that is no failure, or whose failure is surfaced.
//! - In a chain of one (targets that no failure has opened do not count): its own outcome, whatever it is.
//! - At the end of the chain: a failed *response* of the last target, untouched, and likewise the last target's
//!   error if it was a content filter's, where targets that this request may not go to (region, budget, window,
//!   capability) do not count. Both are the provider's own verdict on the request.
//! - Otherwise [`Exhausted`](backstop_core::Exhausted), with every error in order and one verdict: the deadline; else
//!   overload, if any target was asked or is resting (but the context window, if that is all they complained about,
//!   and the ledger, if that is what all of them wait for); else budget, window, capability; and region only if every
//!   target was refused for it.
//!
//! # The last resort
//!
//! If no target was asked, and some only rest, health alone has emptied the chain. Those are asked once more,
//! the one that recovers first being first, with [`LastResort`](backstop_core::LastResort) in the extensions,
//! until a circuit admits the request; that outcome decides. Whoever refused for another reason is not asked.
//!
//! # Place in a stack
//!
//! Below whatever concerns the whole request (record, deadline, resuming a stream), above whatever concerns one
//! deployment (retry, circuit, budget, timeout): those are layers on the targets' own services.
//!
//! A target's readiness is awaited after it was picked. A target that may be full should therefore say so at once
//! instead of being pending, with `tower::load_shed`, and its error be classified as a refusal:
//!
//! ```
//! use backstop_core::{BoxError, Classify, Deployment, Failure, Failures, Ineligible};
//! use backstop_fallback::{Fallback, Target};
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, load_shed::error::Overloaded, service_fn};
//!
//! let service = ServiceBuilder::new()
//!     .load_shed()
//!     .concurrency_limit(8)
//!     .service(service_fn(async |_: Request<()>| Ok::<_, BoxError>(Response::new(()))));
//!
//! let classify = |outcome: Result<&Response<()>, &BoxError>| match outcome {
//!     Err(error) if error.is::<Overloaded>() => Some(Failure::ineligible(Ineligible::Saturated)),
//!     outcome => Failures.classify(outcome),
//! };
//! let fallback = Fallback::in_order([Target::new(Deployment::new("east"), service)]).classify(classify);
//! # fn check<S: tower::Service<Request<()>>>(_: S) {}
//! # check(fallback);
//! ```

mod event;
pub mod future;
pub mod load;
mod plan;
mod service;
mod strategy;
mod target;
mod tried;
mod turns;

pub use self::event::Event;
pub use self::load::{Load, LoadLayer};
pub use self::service::{Fallback, NoTargets};
pub use self::strategy::{Candidates, InOrder, LeastBusy, Strategy, Weighted};
pub use self::target::{Candidate, Target};
