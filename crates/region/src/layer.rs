use std::sync::Arc;

use backstop_core::{Deployment, Observe};
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
