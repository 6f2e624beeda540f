//! The vocabulary that Backstop's layers share, and nothing else: no I/O, no serde, no tower.
//!
//! - [`Failure`]: one value that answers "again here?", "ask the next one?" and "whose fault?"; every error of
//!   ours carries one in its [`source`](std::error::Error::source) chain, where [`failure_of`] finds it.
//! - [`Policy`]: those three answers as a table that can be edited.
//! - [`Classify`]: the same question for responses that are failures by status.
//! - [`Deadline`], [`Position`], [`LastResort`], [`Continuing`]: what travels in a request's [`http::Extensions`].
//! - [`Exhausted`]: the error of a whole plan of deployments.
//! - [`Trail`]: what happened to one request: each attempt, each deployment passed over.
//! - [`Tracked`], [`Watch`] and [`Track`]: how an obligation moves from a response future into its body.
//! - [`NanoUsd`]: money, exactly.
//! - [`Frame`] and [`Ask`]: the few questions that layers put to a payload.
//!
//! ```
//! use backstop_core::{Failure, FailureKind, Policy, failure_of};
//! use std::time::Duration;
//!
//! let failure = Failure::new(FailureKind::RateLimit).with_retry_after(Duration::from_secs(2));
//! let error: backstop_core::BoxError = failure.into();
//!
//! let found = failure_of(&*error).expect("a failure is its own leaf");
//! assert_eq!(found.retry_after(), Some(Duration::from_secs(2)));
//! assert!(Policy::default().moves_on(found.kind()));
//! ```

mod ask;
pub mod body;
mod classify;
mod context;
mod deployment;
mod exhausted;
mod failure;
pub mod hint;
mod money;
mod observe;
mod policy;
mod trail;
mod usage;
pub mod wall;

pub use self::ask::{Ask, Frame, Needs, PromptSize};
pub use self::body::{OnBody, OnResponse, Settle, Track, Tracked, Watch};
pub use self::classify::{ByStatus, Classify, Failures};
pub use self::context::{
    Continuing, Deadline, HasExtensions, LastResort, Position, RanIn, UpstreamId,
};
pub use self::deployment::Deployment;
pub use self::exhausted::Exhausted;
pub use self::failure::{Failure, FailureKind, Ineligible, Reach, failure_of, root_of};
pub use self::money::{InvalidUsd, NanoUsd};
pub use self::observe::Observe;
pub use self::policy::{Again, Blame, Next, Policy, Row};
pub use self::trail::{
    Attempt, AttemptHandle, Ceiling, Decision, Outcome, Resume, RowId, Skipped, Trail,
    TrailSnapshot,
};
pub use self::usage::{Usage, UsageSource};

/// Any error, as tower's own layers spell it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
