use tower_layer::Layer;

use crate::Prime;

/// Enough for any preamble that a provider sends; a body that stays silent for longer is not held back further.
const LIMIT: usize = 64 * 1024;

/// Holds responses until their first content. See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct PrimeLayer {
    limit: usize,
}

impl Default for PrimeLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl PrimeLayer {
    /// A layer that holds at most 64 KiB of a response.
    #[must_use]
    pub const fn new() -> Self {
        Self { limit: LIMIT }
    }

    /// Sets how many bytes are held at most before the response is handed on as it is.
    ///
    /// The frame that goes past the limit is held too. A frame counts for one byte at least; with 0 the first frame
    /// ends the wait, whatever it is.
    #[must_use]
    pub const fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }
}

impl<S> Layer<S> for PrimeLayer {
    type Service = Prime<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Prime::new(inner, self.limit)
    }
}
