use std::sync::Arc;

use backstop_core::{Deployment, Failure};

/// What a [`Fallback`](crate::Fallback) tells its observer.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A target was passed over; no call was made.
    Skipped {
        /// Who.
        deployment: &'a Arc<Deployment>,
        /// Why.
        failure: &'a Failure,
    },
    /// A target was asked and failed.
    Failed {
        /// Who.
        deployment: &'a Arc<Deployment>,
        /// How.
        failure: &'a Failure,
    },
    /// The next target has its turn.
    MovedOn {
        /// Who was left behind, asked or skipped.
        from: &'a Arc<Deployment>,
        /// Whose turn it is.
        to: &'a Arc<Deployment>,
        /// Why.
        failure: &'a Failure,
    },
    /// Health alone has emptied the chain, so this resting target is asked nevertheless.
    LastResort {
        /// Who.
        deployment: &'a Arc<Deployment>,
    },
    /// The caller gets [`Exhausted`](backstop_core::Exhausted).
    Exhausted {
        /// What it all amounts to.
        verdict: &'a Failure,
    },
}
