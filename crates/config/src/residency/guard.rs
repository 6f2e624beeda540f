//! The layers that hold requests to the rules: one pair for each deployment, one at the top of each model's stack.

use std::sync::Arc;

use backstop::core::FailureKind;
use backstop::fallback::NoTargets;
use backstop::region::{
    Classify, ClassifyLayer, Event, PersonalData, Place, Policies, RegionLayer, Regional,
    ResidencyPolicy, ResidencyPolicyLayer, Sealed,
};
use backstop::{Chat, ChatService, Deployment, Fallback, IntoTarget, Target};
use bytes::Bytes;
use http::Request;
use tower::util::Either;
use tower::{Layer, ServiceBuilder};

/// A deployment of a chain. There is no other way to make one than around a provider that is sealed, and chains are
/// made of nothing else:
///
/// ```
/// use backstop::client::Client;
/// use backstop::openai::OpenAi;
/// use backstop::region::Place;
/// use backstop::{Deployment, Fallback, IntoTarget, Provider};
/// use backstop_config::SealedTarget;
/// use tower::ServiceBuilder;
///
/// let provider = || Provider::new(OpenAi::new("a-key".into()).model("gpt-4o"), Client::plain_http());
/// let layers = ServiceBuilder::new();
/// let sealed = SealedTarget::new(Deployment::new("sealed"), Place::unknown(), &layers, provider());
/// assert!(SealedTarget::chain([sealed]).is_ok());
///
/// // One that is open is a target like any other, but none of these.
/// let open = provider().into_target(Deployment::new("open"));
/// let _ = Fallback::in_order([open]);
/// ```
///
/// ```compile_fail,E0271
/// # use backstop::client::Client;
/// # use backstop::openai::OpenAi;
/// # use backstop::{Deployment, IntoTarget, Provider};
/// # use backstop_config::SealedTarget;
/// # let provider = || Provider::new(OpenAi::new("a-key".into()).model("gpt-4o"), Client::plain_http());
/// let open = provider().into_target(Deployment::new("open"));
/// let _ = SealedTarget::chain([open]);
/// ```
///
/// ```compile_fail,E0423
/// # use backstop::client::Client;
/// # use backstop::openai::OpenAi;
/// # use backstop::{Deployment, IntoTarget, Provider};
/// # use backstop_config::SealedTarget;
/// # let provider = || Provider::new(OpenAi::new("a-key".into()).model("gpt-4o"), Client::plain_http());
/// let open = provider().into_target(Deployment::new("open"));
/// let _ = SealedTarget(open);
/// ```
#[derive(Clone, Debug)]
pub struct SealedTarget(Target<ChatService>);

impl SealedTarget {
    /// `layers` around `provider`, between the two gates of the deployment, which is at `place`.
    ///
    /// The policies decide about every request before, so one for which nothing was decided is refused.
    pub fn new<L, P>(
        deployment: Deployment,
        place: Place,
        layers: &ServiceBuilder<L>,
        provider: P,
    ) -> Self
    where
        L: Layer<Sealed<P>>,
        Regional<L::Service>: IntoTarget,
    {
        let deployment = Arc::new(deployment);
        let region = RegionLayer::new(Arc::clone(&deployment), place)
            .required()
            .observe(log);
        let stack = layers.service(region.seal().layer(provider));
        let check = region.check();
        Self(region.layer(stack).into_target(deployment).admitting(check))
    }

    /// The deployment at this place of a chain, asked only after these failures of others, if there are any.
    pub(crate) fn at(&self, order: u32, only_after: &'static [FailureKind]) -> Self {
        Self(self.0.clone().with_order(order).only_after(only_after))
    }

    /// These deployments, one after another.
    ///
    /// # Errors
    ///
    /// If there is none that may be asked first.
    pub fn chain(
        targets: impl IntoIterator<Item = Self>,
    ) -> Result<Fallback<ChatService>, NoTargets> {
        Fallback::new(targets.into_iter().map(|Self(target)| target))
    }
}

/// Takes the text that a classifier looks at from a request.
type Read = fn(&Request<Chat>) -> Bytes;

/// A model's stack, for which is decided where each request may go.
pub(crate) type Governed<S> =
    Either<Classify<ResidencyPolicy<S>, PersonalData<Read>>, ResidencyPolicy<S>>;

/// Decides for `stack`, which answers as `model`, whatever name stands for that. The text is looked at only if some
/// rule asks for classes of data.
pub(crate) fn governed<S>(policies: &Arc<Policies>, model: &Arc<str>, stack: S) -> Governed<S> {
    let governed = ResidencyPolicyLayer::new(Arc::clone(policies))
        .serves(Arc::clone(model))
        .layer(stack);
    if !policies.reads_classes() {
        return Either::Right(governed);
    }
    let read: Read = |request| request.body().payload().clone();
    Either::Left(ClassifyLayer::new(PersonalData::reading(read)).layer(governed))
}

fn log(event: &Event<'_>) {
    match event {
        // The record says so too.
        Event::Refused {
            deployment,
            refusal,
        } => {
            tracing::debug!(deployment = %deployment.id(), %refusal, "a rule keeps a request away")
        }
        Event::Undecided { deployment } => tracing::error!(
            deployment = %deployment.id(),
            "a request for which no residency was decided was refused"
        ),
        Event::Unpermitted { deployment } => tracing::error!(
            deployment = %deployment.id(),
            "a request without a permit was stopped before it was sent"
        ),
        Event::Misplaced {
            deployment,
            reported,
        } => tracing::error!(
            deployment = %deployment.id(),
            %reported,
            "the provider ran a request outside of where the deployment is said to be"
        ),
        _ => {}
    }
}
