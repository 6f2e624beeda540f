use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use backstop_core::{BoxError, Classify, Failures, HasExtensions, Observe, Policy};
use tower_service::Service;

use crate::future::ResponseFuture;
use crate::plan::Plan;
use crate::target::Chain;
use crate::{Event, InOrder, Strategy, Target};

/// Asks one target after another until one answers.
///
/// See the [crate docs](crate) for who is asked and what comes back.
///
/// # Readiness
///
/// Always ready: who will be asked is not known until there is a request, and holding readiness of every target
/// to find out would starve their other callers. In the response future the service of the target that has its
/// turn is cloned, driven to readiness and called. That readiness may take its time; whatever bounds the request
/// ([`Deadline`](backstop_core::Deadline)) bounds it too. An error from it is that target's failure.
///
/// # Clone
///
/// A reference count for the chain, and the strategy, classifier, policy and observer, which are meant to be as
/// cheap. To be sent between threads the targets' services must be `Sync`:
/// `tower::util::BoxCloneSyncService`, not `BoxCloneService`.
///
/// # Requests
///
/// Each target but the last gets a clone of the request, with its own [`Position`](backstop_core::Position) in
/// the extensions. All share the [`Trail`](backstop_core::Trail) that is found there, or else started.
///
/// # Cancel safety
///
/// At most one attempt is in flight, the response future owns it, and nothing is spawned: dropping the future
/// cancels that attempt and starts no other. An attempt is gone before the next one starts.
pub struct Fallback<S, P = InOrder, C = Failures, O = ()> {
    pub(crate) chain: Arc<Chain<S>>,
    pub(crate) strategy: P,
    pub(crate) classify: C,
    pub(crate) policy: Policy,
    pub(crate) observe: O,
}

impl<S> Fallback<S> {
    /// Asks `targets` in order: by tier, and within a tier as they are given.
    ///
    /// An empty array does not compile:
    ///
    /// ```compile_fail
    /// use backstop_fallback::{Fallback, Target};
    ///
    /// let targets: [Target<()>; 0] = [];
    /// Fallback::in_order(targets);
    /// ```
    ///
    /// # Panics
    ///
    /// If all targets wait for a failure ([`Target::only_after`]).
    #[must_use]
    pub fn in_order<const N: usize>(targets: [Target<S>; N]) -> Self {
        const { assert!(N > 0, "a fallback needs at least one target") };
        Self::new(targets).expect("a target that is open from the start")
    }

    /// As [`in_order`](Self::in_order), for a list whose length is known at run time.
    ///
    /// # Errors
    ///
    /// [`NoTargets`] if the list is empty, or all in it wait for a failure ([`Target::only_after`]).
    pub fn new(targets: impl IntoIterator<Item = Target<S>>) -> Result<Self, NoTargets> {
        let targets: Vec<_> = targets.into_iter().collect();
        if targets.iter().all(|target| target.waits()) {
            return Err(NoTargets(()));
        }
        Ok(Self {
            chain: Arc::new(Chain::new(targets)),
            strategy: InOrder,
            classify: Failures,
            policy: Policy::default(),
            observe: (),
        })
    }
}

impl<S, P, C, O> Fallback<S, P, C, O> {
    /// Sets who is asked next within a tier.
    #[must_use]
    pub fn strategy<P2>(self, strategy: P2) -> Fallback<S, P2, C, O> {
        Fallback {
            chain: self.chain,
            strategy,
            classify: self.classify,
            policy: self.policy,
            observe: self.observe,
        }
    }

    /// Sets which outcomes are failures. The default finds the failures that our own layers attach.
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> Fallback<S, P, C2, O> {
        Fallback {
            chain: self.chain,
            strategy: self.strategy,
            classify,
            policy: self.policy,
            observe: self.observe,
        }
    }

    /// Sets which failures are surfaced and which go on to the next target.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets who is told what happens.
    ///
    /// ```
    /// use backstop_core::Deployment;
    /// use backstop_fallback::{Event, Fallback, Target};
    ///
    /// let fallback = Fallback::in_order([Target::new(Deployment::new("east"), ())]).observe(|event: &Event<'_>| {
    ///     if let Event::MovedOn { from, to, failure } = event {
    ///         eprintln!("{} -> {}: {failure}", from.id(), to.id());
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn observe<O2>(self, observe: O2) -> Fallback<S, P, C, O2> {
        Fallback {
            chain: self.chain,
            strategy: self.strategy,
            classify: self.classify,
            policy: self.policy,
            observe,
        }
    }
}

impl<S, P, C, O, Req> Service<Req> for Fallback<S, P, C, O>
where
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
    P: Strategy<Req> + Clone,
    C: Classify<S::Response> + Clone,
    O: for<'a> Observe<Event<'a>> + Clone,
    Req: Clone + HasExtensions,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S, P, C, O, Req>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        ResponseFuture::new(Plan::new(self.clone(), request))
    }
}

impl<S, P: Clone, C: Clone, O: Clone> Clone for Fallback<S, P, C, O> {
    fn clone(&self) -> Self {
        Self {
            chain: Arc::clone(&self.chain),
            strategy: self.strategy.clone(),
            classify: self.classify.clone(),
            policy: self.policy.clone(),
            observe: self.observe.clone(),
        }
    }
}

impl<S, P: fmt::Debug, C, O> fmt::Debug for Fallback<S, P, C, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback")
            .field("targets", &self.chain.candidates)
            .field("strategy", &self.strategy)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// A list of targets was empty, or all in it wait for a failure: there would be nobody to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTargets(());

impl fmt::Display for NoTargets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fallback needs at least one target that is open from the start")
    }
}

impl Error for NoTargets {}
