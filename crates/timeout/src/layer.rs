use std::time::Duration;

use tower_layer::Layer;

use crate::Timeout;

/// Bounds one attempt: the time to its first token and the time between the frames of its body.
///
/// Either bound may be left out. Zero is no special value: what is not there at once is late.
///
/// Whatever the bounds, an attempt gets no more than its share of the request's [`Deadline`], if there is one: what is
/// left of it, divided by the deployments left in the plan ([`Position`]); the last one gets all that is left. The
/// share bounds the time to the first token only.
///
/// See the [crate docs](crate) for an example and for its place in a stack.
///
/// [`Deadline`]: backstop_core::Deadline
/// [`Position`]: backstop_core::Position
#[derive(Clone, Debug, Default)]
pub struct TimeoutLayer {
    first_token: Option<Duration>,
    idle: Option<Duration>,
}

impl TimeoutLayer {
    /// A layer with no bound of its own: an attempt may take its share of the deadline.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first_token: None,
            idle: None,
        }
    }

    /// A layer that gives an attempt `limit` until its response is there.
    ///
    /// When it passes, the error is [`Elapsed`](crate::error::Elapsed).
    #[must_use]
    pub const fn first_token(limit: Duration) -> Self {
        Self {
            first_token: Some(limit),
            idle: None,
        }
    }

    /// Sets how long the body may keep its reader waiting for a frame.
    ///
    /// Any frame is a sign of life, a ping as much as a token. The time that the reader takes does not count. When it
    /// passes, the body's error is [`Stalled`](crate::error::Stalled).
    #[must_use]
    pub const fn idle(mut self, limit: Duration) -> Self {
        self.idle = Some(limit);
        self
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Timeout::new(inner, self.first_token, self.idle)
    }
}
