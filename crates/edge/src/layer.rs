use std::sync::Arc;

use tower_layer::Layer;

use crate::Edge;

/// Serves OpenAI's chat completions over HTTP. See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct EdgeLayer {
    options: Arc<Options>,
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The largest body that is accepted, in bytes.
    pub(crate) body_limit: usize,
    /// Whether errors list the attempts that were made.
    pub(crate) expose_attempts: bool,
    /// Whether answers say who served.
    pub(crate) expose_served_by: bool,
}

impl EdgeLayer {
    /// OpenAI's format: bodies up to 20 MiB, answers say who served, errors do not say who failed.
    #[must_use]
    pub fn openai() -> Self {
        let options = Options {
            body_limit: 20 * 1024 * 1024,
            expose_attempts: false,
            expose_served_by: true,
        };
        Self {
            options: Arc::new(options),
        }
    }

    /// Sets the largest body that is accepted, in bytes.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        Arc::make_mut(&mut self.options).body_limit = bytes;
        self
    }

    /// Sets whether errors list the deployments that were asked and how each failed. Off by default: it shows the
    /// caller what the infrastructure is made of.
    #[must_use]
    pub fn expose_attempts(mut self, expose: bool) -> Self {
        Arc::make_mut(&mut self.options).expose_attempts = expose;
        self
    }

    /// Sets whether answers name the deployment, provider, model and region that served. On by default.
    #[must_use]
    pub fn expose_served_by(mut self, expose: bool) -> Self {
        Arc::make_mut(&mut self.options).expose_served_by = expose;
        self
    }
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge::new(inner, Arc::clone(&self.options))
    }
}
