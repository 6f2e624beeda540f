//! A Tower layer that holds spend ceilings: it reserves before a call and settles what the call really took.
//!
//! A ceiling that is looked at before a call and charged after it is none: a thousand calls at once all see room. Here
//! the most that a call can cost is reserved first, under every budget that holds for it, in one step; when the answer
//! has ended, what it took is booked, and the rest is given back. A call that would break a ceiling is not made.
//!
//! ```
//! use backstop_budget::{Budget, BudgetLayer, Budgets, Limit, MemoryLedger, Scope, Spender, Window};
//! use backstop_core::{BoxError, Deployment, FailureKind, Ineligible, NanoUsd, Usage, failure_of};
//! # use backstop_core::{Ask, PromptSize};
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! use std::sync::Arc;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # struct Prompt(&'static str);
//! # impl Ask for Prompt {
//! #     fn model(&self) -> &str { "mine" }
//! #     fn streams(&self) -> bool { false }
//! #     fn max_output(&self) -> Option<u64> { Some(500) }
//! #     fn prompt_size(&self) -> Option<PromptSize> {
//! #         let mut size = PromptSize::default();
//! #         size.text = self.0.len() as u64;
//! #         Some(size)
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // A cent a day for each team, and a service of your own that costs 2 dollars for a million tokens in, 10 out.
//! let cent = Limit::Usd(NanoUsd::from_usd_str("0.01")?);
//! let teams = Budget::new(Scope::Team, cent, Window::day("Europe/Berlin")?);
//! let budgets = Budgets::new(Arc::new(MemoryLedger::new()), [teams])?;
//! let price = |usage: &Usage| Some(NanoUsd::from_nano(usage.input * 2_000 + usage.output * 10_000));
//! let service = BudgetLayer::new(&budgets, Deployment::new("mine"), price).layer(service_fn(answer));
//!
//! let mut request = Request::new(Prompt("Where did the money go?"));
//! request.extensions_mut().insert(Spender::new().team("growth"));
//! # let again = { let mut again = Request::new(Prompt("And now?")); again.extensions_mut().insert(Spender::new().team("growth")); again };
//! let under_way = service.clone().oneshot(request).await?;
//!
//! // Until that answer has ended, nobody knows what is left.
//! let error = service.oneshot(again).await.unwrap_err();
//! let failure = failure_of(&*error).unwrap();
//! assert_eq!(failure.kind(), FailureKind::Ineligible(Ineligible::Budget));
//! assert!(failure.retry_after().is_some(), "tomorrow, in Berlin");
//! # drop(under_way);
//! # Ok(())
//! # }
//! # async fn answer(_: Request<Prompt>) -> Result<Response<Full<Bytes>>, BoxError> {
//! #     Ok(Response::new(Full::new(Bytes::from_static(b"Into the cloud."))))
//! # }
//! ```
//!
//! # What holds for whom
//!
//! A [`Budget`] is a [`Scope`], a [`Limit`] and a [`Window`]: so many dollars, tokens or requests, for one key or each
//! of them, a day, a month, the last 24 hours. Model, deployment and provider are known from the call; for the rest
//! the request says in its [`Spender`] who spends. All that hold must have room. A [`Mode::Soft`] limit only tells.
//!
//! # What is reserved
//!
//! The most that the call can take at this deployment's [`Price`]: a bound on the prompt's tokens, and the bound on the
//! answer's that the request, the model or [`output_cap`](BudgetLayer::output_cap) sets. If there is less room, the
//! request's bound is lowered to what fits, as long as [`min_output`](BudgetLayer::min_output) does: then the provider
//! itself holds the ceiling. A closer look at the prompt is taken before that, where the price has one.
//!
//! # What is charged
//!
//! | outcome | charge |
//! |---|---|
//! | an answer, to its end | what the provider reports |
//! | an answer that broke off, or was let go | what was reported or seen of it, marked as an estimate |
//! | refused by us, never sent, `4xx`, `429`, `5xx` | nothing |
//! | sent, and nobody knows (timeout, reset, cancelled) | as [`Unknown`] says: all that was held |
//!
//! Whoever turns a whole answer down, such as one that a filter stopped, does not read it: what it took may stand in
//! the response's extensions as a [`Usage`](backstop_core::Usage), as the layer `Prime` puts it there.
//!
//! It is booked in the window that the call was admitted in, and noted in the request's
//! [`Trail`](backstop_core::Trail), to the nano-dollar.
//!
//! # Ledgers
//!
//! Accounts are kept by a [`Ledger`]: [`MemoryLedger`] for one process as long as it runs; others keep them on disk or
//! share them between machines. Settling never waits and never fails, so that a body that is dropped settles too.
//!
//! # Place in the stack
//!
//! Around each deployment's service, inside of retry and cooldown, so that each attempt is its own reservation and a
//! resting deployment costs no step; outside of whatever turns slowness and broken streams into errors. [`SpendLayer`]
//! goes around the fallback, so that a chain needs its headroom once.
//!
//! # Readiness
//!
//! The inner service's. A ledger that has to ask somebody is asked in the response future, and the service that was
//! ready waits there; a clone takes its place.
//!
//! # Errors
//!
//! The inner service's, [`OverBudget`], or a plain [`Failure`](backstop_core::Failure): `Ineligible(Budget)` for a call
//! that cannot be bounded or has no price, `Ineligible(Ledger)` where the ledger is not available.
//!
//! # Cancellation
//!
//! Dropped before the call, nothing is left reserved. Dropped during it, it is charged as the table says.
//!
//! # Cost
//!
//! A request that no budget holds for takes no step and allocates nothing. With [`MemoryLedger`] a reservation
//! allocates its legs and itself.

mod admission;
mod amounts;
mod budget;
mod budgets;
mod decision;
mod denied;
pub mod error;
mod event;
pub mod future;
mod layer;
mod lease;
mod ledger;
mod memory;
mod meter;
mod price;
mod quote;
mod reservation;
mod service;
mod spend;
mod spender;
mod sync;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod window;

pub use self::amounts::{Amounts, Currency, MAX_AMOUNT};
pub use self::budget::{Budget, Limit, Mode, Scope};
pub use self::budgets::{Budgets, SameName};
pub use self::decision::{Booked, Granted};
pub use self::denied::{Denied, Reason, Refused, Unavailable};
pub use self::error::OverBudget;
pub use self::event::Event;
pub use self::layer::{BudgetLayer, Unknown, Unpriced};
pub use self::lease::Lease;
pub use self::ledger::{Balance, Balances, Hold, Ledger, LedgerFuture, Reserving, Settlement};
pub use self::memory::{Entry, MemoryLedger, Movement};
pub use self::meter::Meter;
pub use self::price::Price;
pub use self::reservation::{IfLost, Leg, Reservation, ReservationId};
pub use self::service::Budgeted;
pub use self::spend::{SpendLayer, Spending};
pub use self::spender::Spender;
pub use self::window::{Span, UnknownZone, Window};
