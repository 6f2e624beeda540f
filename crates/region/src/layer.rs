use std::sync::Arc;

use backstop_core::{Deployment, Failure, Observe};
use http::Extensions;
use tower_layer::Layer;

use crate::guard::Guard;
use crate::{Event, Place, Regional, Sealed};

/// Refuses requests that may not go to this deployment, before anything below it runs. See the [crate docs](crate).
///
/// It is the outer of two layers; [`seal`](Self::seal) makes the inner one.
#[derive(Clone, Debug)]
pub struct RegionLayer {
    guard: Arc<Guard>,
}

impl RegionLayer {
    /// Guards `deployment`, which is at `place`.
    #[must_use]
    pub fn new(deployment: impl Into<Arc<Deployment>>, place: Place) -> Self {
        Self {
            guard: Arc::new(Guard {
                deployment: deployment.into(),
                place,
                required: false,
                observer: None,
            }),
        }
    }

    /// Refuses requests for which nothing was decided, too: those that did not pass a
    /// [`ResidencyPolicyLayer`](crate::ResidencyPolicyLayer) and carry no [`Residency`](crate::Residency).
    ///
    /// Say it before [`seal`](Self::seal): the two layers know each other by it.
    #[must_use]
    pub fn required(mut self) -> Self {
        Arc::make_mut(&mut self.guard).required = true;
        self
    }

    /// Sets who is told what happens, at both ends. Say it before [`seal`](Self::seal).
    #[must_use]
    pub fn observe<O>(mut self, observe: O) -> Self
    where
        O: for<'a> Observe<Event<'a>> + Send + Sync + 'static,
    {
        Arc::make_mut(&mut self.guard).observer = Some(Arc::new(observe));
        self
    }

    /// What this layer will decide about a request with these extensions, before there is a call: for whoever plans
    /// which deployments to ask. It gives no permit, so the layer is needed all the same.
    ///
    /// A chain that is told so counts on nobody who will refuse: a retry knows that its deployment is the only one, and
    /// a timeout that nobody else needs a share of the deadline. Say it after [`required`](Self::required) and
    /// [`observe`](Self::observe); the observer is told what this refuses.
    ///
    /// ```
    /// use backstop_core::{BoxError, Deployment, Position};
    /// use backstop_fallback::{Fallback, Target};
    /// use backstop_region::{Declaration, Derivation, RegionLayer, Residency};
    /// use bytes::Bytes;
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let target = |id: &'static str, aws_region| {
    ///     let derived = Derivation::bedrock(aws_region, "anthropic.claude-sonnet-4-6")?;
    ///     let region = RegionLayer::new(Deployment::new(id), Declaration::new(derived).check()?);
    ///     let stack = ServiceBuilder::new()
    ///         .layer(region.clone())
    ///         .layer(region.seal())
    ///         .service(service_fn(|request: Request<()>| async move {
    ///             let position = request.extensions().get::<Position>();
    ///             assert!(position.is_some_and(|position| position.is_alone()));
    ///             Ok::<_, BoxError>(Response::new(Full::new(Bytes::from("Hello"))))
    ///         }));
    ///     Ok::<_, BoxError>(Target::new(Deployment::new(id), stack).admitting(region.check()))
    /// };
    /// let chain = Fallback::in_order([target("frankfurt", "eu-central-1")?, target("virginia", "us-east-1")?]);
    ///
    /// let mut request = Request::new(());
    /// request.extensions_mut().insert(Residency::only("eu"));
    /// assert!(chain.oneshot(request).await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn check(
        &self,
    ) -> impl Fn(&Extensions) -> Result<(), Failure> + Clone + Send + Sync + use<> {
        let guard = Arc::clone(&self.guard);
        move |extensions| match guard.check(extensions) {
            Ok(_) => Ok(()),
            Err(refused) => Err(refused.into_failure()),
        }
    }

    /// The layer that goes directly around the provider, and lets nothing out that this one has not let in.
    #[must_use]
    pub fn seal(&self) -> RegionSeal {
        RegionSeal {
            guard: Arc::clone(&self.guard),
        }
    }
}

impl<S> Layer<S> for RegionLayer {
    type Service = Regional<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Regional::new(inner, Arc::clone(&self.guard))
    }
}

/// The last gate before the wire; made by [`RegionLayer::seal`]. See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct RegionSeal {
    guard: Arc<Guard>,
}

impl<S> Layer<S> for RegionSeal {
    type Service = Sealed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Sealed::new(inner, Arc::clone(&self.guard))
    }
}
