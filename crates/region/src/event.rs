use std::sync::Arc;

use backstop_core::Deployment;

use crate::{Refusal, Regions};

/// What the layers do, for whoever counts and raises alarms. See [`RegionLayer::observe`](crate::RegionLayer::observe).
///
/// Told inline: an observer must not block.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A rule keeps a request away from a deployment.
    Refused {
        /// The deployment.
        deployment: &'a Arc<Deployment>,
        /// The rule, and what the deployment lacks.
        refusal: &'a Refusal,
    },
    /// A request came without a decision to a deployment that requires one.
    Undecided {
        /// The deployment.
        deployment: &'a Arc<Deployment>,
    },
    /// Alarm: a request under a rule reached the provider's door without a permit for it. It was not sent.
    Unpermitted {
        /// The deployment.
        deployment: &'a Arc<Deployment>,
    },
    /// Alarm: the provider reports that it ran outside of where the deployment is said to be.
    Misplaced {
        /// The deployment.
        deployment: &'a Arc<Deployment>,
        /// Where it ran; empty if the report names no region that we know.
        reported: &'a Regions,
    },
}
