use std::sync::Arc;

use backstop_catalog::Facts;
use tower_layer::Layer;

use crate::Fit;

/// Refuses what a model cannot serve. See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct FitLayer {
    facts: Arc<Facts>,
}

impl FitLayer {
    /// Holds requests against these facts of the model.
    #[must_use]
    pub fn new(facts: impl Into<Arc<Facts>>) -> Self {
        Self {
            facts: facts.into(),
        }
    }
}

impl<S> Layer<S> for FitLayer {
    type Service = Fit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Fit::new(inner, Arc::clone(&self.facts))
    }
}
