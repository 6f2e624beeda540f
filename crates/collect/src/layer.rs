use tower_layer::Layer;

use crate::Collect;

/// Asks for a stream where the caller wants none, and puts it together. See the [crate docs](crate).
#[derive(Clone, Copy, Debug)]
pub struct CollectLayer {
    enabled: bool,
}

impl Default for CollectLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl CollectLayer {
    /// A layer that collects every answer that can be collected.
    #[must_use]
    pub const fn new() -> Self {
        Self { enabled: true }
    }

    /// Sets whether it collects at all: for stacks that are built from settings.
    #[must_use]
    pub const fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }
}

impl<S> Layer<S> for CollectLayer {
    type Service = Collect<S>;

    fn layer(&self, inner: S) -> Collect<S> {
        Collect::new(inner, self.enabled)
    }
}
