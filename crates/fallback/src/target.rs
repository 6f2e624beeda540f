use std::fmt;
use std::sync::Arc;

use backstop_core::{Deployment, Failure, FailureKind, Reach};
use http::Extensions;

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
                check: None,
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

    /// Keeps it closed until another target has failed in one of these ways in the same request; from then on it
    /// comes before all that were open from the start.
    ///
    /// Where nothing fails so, the chain is as if it were not there: it is neither asked nor skipped, and no
    /// [`Position`](backstop_core::Position) counts it. Those that are opened are each other's siblings, by tier and
    /// strategy. What the policy surfaces opens nothing.
    ///
    /// The same deployment may stand in the chain without that, too. It is asked once: by whichever of the two has
    /// the first turn.
    ///
    /// ```
    /// use backstop_core::{BoxError, Deployment, Failure, FailureKind, Ineligible};
    /// use backstop_fallback::{Fallback, Target};
    /// use http::{Request, Response};
    /// use tower::{ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let model = |id: &'static str, window: usize| {
    ///     let service = service_fn(move |request: Request<&str>| {
    ///         let answer = (request.body().len() <= window).then(|| Response::new(id));
    ///         async move { answer.ok_or_else(|| BoxError::from(Failure::new(FailureKind::ContextWindow))) }
    ///     });
    ///     Target::new(Deployment::new(id), service)
    /// };
    ///
    /// let too_long = &[FailureKind::ContextWindow, FailureKind::Ineligible(Ineligible::Window)];
    /// let chain = Fallback::in_order([
    ///     model("small", 5),
    ///     model("other", 5),
    ///     model("large", 50).only_after(too_long),
    /// ]);
    ///
    /// let answer = chain.clone().oneshot(Request::new("hello")).await?;
    /// assert_eq!(*answer.body(), "small");
    /// let answer = chain.oneshot(Request::new("good morning")).await?;
    /// assert_eq!(*answer.body(), "large");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn only_after(mut self, failures: &'static [FailureKind]) -> Self {
        self.candidate.only_after = failures;
        self
    }

    /// Sets a check of where a request may go, by what is in its extensions.
    ///
    /// It is made once for each request, before anybody is asked. A target that it refuses is not called: its turn
    /// is spent on being skipped for that failure, and no [`Position`](backstop_core::Position) counts it, so one that
    /// only such targets stand beside is alone. The check should be cheap, and depend on the extensions alone.
    ///
    /// ```
    /// use backstop_core::{BoxError, Deployment, Failure, Ineligible, Position};
    /// use backstop_fallback::{Fallback, Target};
    /// use http::{Extensions, Request, Response};
    /// use tower::{ServiceExt, service_fn};
    ///
    /// /// In the extensions of requests that stay inside.
    /// #[derive(Clone)]
    /// struct Confidential;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let target = |id: &'static str| {
    ///     let service = service_fn(move |request: Request<()>| async move {
    ///         let alone = request.extensions().get().is_some_and(|position: &Position| position.is_alone());
    ///         Ok::<_, BoxError>(Response::new((id, alone)))
    ///     });
    ///     Target::new(Deployment::new(id), service)
    /// };
    ///
    /// let chain = Fallback::in_order([
    ///     target("outside").admitting(|extensions: &Extensions| match extensions.get::<Confidential>() {
    ///         Some(_) => Err(Failure::ineligible(Ineligible::Region)),
    ///         None => Ok(()),
    ///     }),
    ///     target("inside"),
    /// ]);
    ///
    /// let mut request = Request::new(());
    /// assert_eq!(*chain.clone().oneshot(request.clone()).await?.body(), ("outside", false));
    /// request.extensions_mut().insert(Confidential);
    /// assert_eq!(*chain.oneshot(request).await?.body(), ("inside", true));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn admitting<F>(mut self, check: F) -> Self
    where
        F: Fn(&Extensions) -> Result<(), Failure> + Send + Sync + 'static,
    {
        self.candidate.check = Some(Check(Arc::new(check)));
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

    pub(crate) fn waits(&self) -> bool {
        self.candidate.waits()
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
            .field("only_after", &self.candidate.only_after)
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
    /// What opens it; empty for one that is open from the start.
    only_after: &'static [FailureKind],
    check: Option<Check>,
}

/// Which requests may go to a target.
#[derive(Clone)]
struct Check(Arc<dyn Fn(&Extensions) -> Result<(), Failure> + Send + Sync>);

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").finish_non_exhaustive()
    }
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

    /// Its place in the chain.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Whether it is closed at first.
    pub(crate) fn waits(&self) -> bool {
        !self.only_after.is_empty()
    }

    pub(crate) fn is_opened_by(&self, failure: FailureKind) -> bool {
        self.only_after.contains(&failure)
    }

    /// Why a request with these extensions may not go there.
    pub(crate) fn refusal(&self, extensions: &Extensions) -> Option<Failure> {
        let Check(check) = self.check.as_ref()?;
        let failure = check(extensions).err()?;
        Some(failure.with_reach(Reach::Refused))
    }
}

/// The targets by tier, and before them, by tier too, those that are closed at first. Services lie apart, so that a
/// strategy need not know their type.
pub(crate) struct Chain<S> {
    pub(crate) candidates: Box<[Candidate]>,
    pub(crate) services: Box<[S]>,
}

impl<S> Chain<S> {
    pub(crate) fn new(mut targets: Vec<Target<S>>) -> Self {
        targets.sort_by_key(|target| (!target.waits(), target.order()));
        let (mut candidates, services): (Vec<_>, Vec<_>) = targets
            .into_iter()
            .map(|target| (target.candidate, target.service))
            .unzip();
        for (index, candidate) in candidates.iter_mut().enumerate() {
            candidate.index = index;
        }
        Self {
            candidates: candidates.into(),
            services: services.into(),
        }
    }

    pub(crate) fn deployment(&self, index: usize) -> &Arc<Deployment> {
        &self.candidates[index].deployment
    }
}
