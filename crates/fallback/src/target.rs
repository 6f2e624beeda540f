use std::fmt;
use std::sync::Arc;

use backstop_core::{Deployment, FailureKind};

use crate::Load;

/// One link of the chain: a service, and what is known of the deployment behind it.
#[derive(Clone)]
pub struct Target<S> {
    candidate: Candidate,
    service: S,
}

impl<S> Target<S> {
    /// `service` asks `deployment`; it stands in tier 0, and nobody counts its load.
    pub fn new(deployment: impl Into<Arc<Deployment>>, service: S) -> Self {
        Self {
            candidate: Candidate {
                index: 0,
                deployment: deployment.into(),
                order: 0,
                load: Load::default(),
                only_after: &[],
            },
            service,
        }
    }

    /// Sets its tier: lower ones are asked to the end first.
    #[must_use]
    pub fn with_order(mut self, order: u32) -> Self {
        self.candidate.order = order;
        self
    }

    /// Says that it is asked only after another target has failed in one of these ways: else it is passed over, as if
    /// it were not there.
    ///
    /// The same deployment may stand in the chain without that, too. It is asked once.
    ///
    /// ```
    /// use backstop_core::{Deployment, FailureKind, Ineligible};
    /// use backstop_fallback::{Fallback, Target};
    ///
    /// let too_long = &[FailureKind::ContextWindow, FailureKind::Ineligible(Ineligible::Window)];
    /// let chain = Fallback::in_order([
    ///     Target::new(Deployment::new("small"), ()),
    ///     Target::new(Deployment::new("large, and dear"), ()).only_after(too_long),
    /// ]);
    /// ```
    #[must_use]
    pub fn only_after(mut self, failures: &'static [FailureKind]) -> Self {
        self.candidate.only_after = failures;
        self
    }

    /// Sets the count of what is in flight there, which a [`LoadLayer`](crate::LoadLayer) in the service keeps.
    #[must_use]
    pub fn with_load(mut self, load: Load) -> Self {
        self.candidate.load = load;
        self
    }

    /// The deployment.
    pub fn deployment(&self) -> &Arc<Deployment> {
        &self.candidate.deployment
    }

    /// The tier.
    pub fn order(&self) -> u32 {
        self.candidate.order
    }

    /// The count of what is in flight there.
    pub fn load(&self) -> &Load {
        &self.candidate.load
    }

    /// The service.
    pub fn service(&self) -> &S {
        &self.service
    }
}

impl<S> fmt::Debug for Target<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("deployment", &self.candidate.deployment)
            .field("order", &self.candidate.order)
            .field("load", &self.candidate.load)
            .finish_non_exhaustive()
    }
}

/// What a [`Strategy`](crate::Strategy) sees of a [`Target`].
#[derive(Clone, Debug)]
pub struct Candidate {
    index: usize,
    deployment: Arc<Deployment>,
    order: u32,
    load: Load,
    /// Empty for one that needs no reason.
    only_after: &'static [FailureKind],
}

impl Candidate {
    /// The deployment.
    #[must_use]
    pub fn deployment(&self) -> &Arc<Deployment> {
        &self.deployment
    }

    /// The tier.
    #[must_use]
    pub fn order(&self) -> u32 {
        self.order
    }

    /// The count of what is in flight there.
    #[must_use]
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// The failures of others after which alone it is asked; empty if it needs none.
    pub(crate) fn only_after(&self) -> &'static [FailureKind] {
        self.only_after
    }

    /// Its place in the chain.
    pub(crate) fn index(&self) -> usize {
        self.index
    }
}

/// The targets by tier. Services lie apart, so that a strategy need not know their type.
pub(crate) struct Chain<S> {
    pub(crate) candidates: Box<[Candidate]>,
    pub(crate) services: Box<[S]>,
    /// How many of them need no reason to be asked.
    usual: usize,
}

impl<S> Chain<S> {
    pub(crate) fn new(mut targets: Vec<Target<S>>) -> Self {
        targets.sort_by_key(Target::order);
        let (mut candidates, services): (Vec<_>, Vec<_>) = targets
            .into_iter()
            .map(|target| (target.candidate, target.service))
            .unzip();
        for (index, candidate) in candidates.iter_mut().enumerate() {
            candidate.index = index;
        }
        let usual = candidates
            .iter()
            .filter(|candidate| candidate.only_after.is_empty())
            .count();
        Self {
            candidates: candidates.into(),
            services: services.into(),
            usual,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.candidates.len()
    }

    /// How many of them need no reason to be asked.
    pub(crate) fn usual(&self) -> usize {
        self.usual
    }

    pub(crate) fn deployment(&self, index: usize) -> &Arc<Deployment> {
        &self.candidates[index].deployment
    }
}
