use std::time::Duration;

use tower_layer::Layer;

use crate::Timeout;
use crate::body::Patience;

/// How many times the idle time content may be waited for, where nothing else is said.
const CEILING: u32 = 10;

/// Bounds one attempt: the time to its first token, the time between the frames of its body, and the time between
/// frames with content in them.
///
/// Any bound may be left out. Zero is no special value: what is not there at once is late.
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
    idle_ceiling: Option<Duration>,
}

impl TimeoutLayer {
    /// A layer with no bound of its own: an attempt may take its share of the deadline.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first_token: None,
            idle: None,
            idle_ceiling: None,
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
            idle_ceiling: None,
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

    /// Sets how long the body may keep its reader waiting for a frame with
    /// [content](backstop_core::Frame::is_content): text, tool calls, visible reasoning.
    ///
    /// Signs of life prolong a wait, but not for ever: what the reader has waited since the last content adds up
    /// over pings and empty frames. Without this bound it is ten times the [idle](Self::idle) time, and without that
    /// there is none; [`Duration::MAX`] is none as well. A model that thinks between two pieces of its answer without
    /// showing it, as some do for minutes, needs that long. When it passes, the body's error is
    /// [`Stalled`](crate::error::Stalled).
    #[must_use]
    pub const fn idle_ceiling(mut self, limit: Duration) -> Self {
        self.idle_ceiling = Some(limit);
        self
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let own = || self.idle.map(|idle| idle.saturating_mul(CEILING));
        let patience = Patience {
            idle: self.idle,
            ceiling: self.idle_ceiling.or_else(own),
        };
        Timeout::new(inner, self.first_token, patience)
    }
}
