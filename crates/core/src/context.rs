use std::time::Duration;

use http::{Extensions, Request, Response};
use tokio::time::Instant;

/// A message that carries [`http::Extensions`]: how layers pass per-request facts without knowing the type.
pub trait HasExtensions {
    /// The extensions.
    fn extensions(&self) -> &Extensions;
    /// The extensions, to change.
    fn extensions_mut(&mut self) -> &mut Extensions;
}

impl<B> HasExtensions for Request<B> {
    fn extensions(&self) -> &Extensions {
        Request::extensions(self)
    }

    fn extensions_mut(&mut self) -> &mut Extensions {
        Request::extensions_mut(self)
    }
}

impl<B> HasExtensions for Response<B> {
    fn extensions(&self) -> &Extensions {
        Response::extensions(self)
    }

    fn extensions_mut(&mut self) -> &mut Extensions {
        Response::extensions_mut(self)
    }
}

/// When the whole chain must have begun to answer; travels in the request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline `timeout` from now.
    #[must_use]
    pub fn after(timeout: Duration) -> Self {
        Self::at(far(Instant::now(), timeout))
    }

    /// The deadline at `instant`.
    #[must_use]
    pub const fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// The moment itself.
    #[must_use]
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// What is left of it at `now`; zero once it has passed.
    #[must_use]
    pub fn remaining(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }
}

/// `now + by`, or thirty years from now where that overflows.
fn far(now: Instant, by: Duration) -> Instant {
    now.checked_add(by)
        .unwrap_or_else(|| now + Duration::from_secs(30 * 365 * 24 * 60 * 60))
}

/// Where in the plan of deployments this attempt stands; set by the fallback, in the request's extensions.
///
/// It is how the layers of one deployment know whether there is another to go to, and how many share what is
/// left of the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    index: usize,
    of: usize,
}

impl Position {
    /// The deployment at `index` (from 0) in a plan of `of`.
    #[must_use]
    pub const fn new(index: usize, of: usize) -> Self {
        Self { index, of }
    }

    /// Its index, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index
    }

    /// How many deployments the plan has.
    #[must_use]
    pub const fn of(self) -> usize {
        self.of
    }

    /// How many deployments are left, this one included; at least one.
    #[must_use]
    pub const fn left(self) -> usize {
        let left = self.of.saturating_sub(self.index);
        if left == 0 { 1 } else { left }
    }

    /// Whether the plan has no other deployment.
    #[must_use]
    pub const fn is_alone(self) -> bool {
        self.of <= 1
    }
}

/// Set by the fallback when health alone has ruled out every deployment: a circuit that statistics opened may
/// admit this request early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastResort;

/// In a request's extensions: it asks for the rest of an answer that broke off.
///
/// A fallback asks the deployments that can go on most exactly first, then those of the same model, then the others
/// in their usual order; the ones that broke come last.
#[derive(Clone, Debug)]
pub struct Continuing {
    model: std::sync::Arc<str>,
    broken: Vec<std::sync::Arc<str>>,
    resent: u64,
}

impl Continuing {
    /// For the rest of an answer by `model`, which the deployments `broken` have failed to give.
    #[must_use]
    pub fn new(
        model: impl Into<std::sync::Arc<str>>,
        broken: impl IntoIterator<Item = std::sync::Arc<str>>,
    ) -> Self {
        Self {
            model: model.into(),
            broken: broken.into_iter().collect(),
            resent: 0,
        }
    }

    /// Says that the provider may be sent so many bytes of text beside the request's own: what was delivered, and how
    /// to go on with it. [`Ask::prompt_size`](crate::Ask::prompt_size) of the request counts them.
    #[must_use]
    pub const fn with_resent(mut self, bytes: u64) -> Self {
        self.resent = bytes;
        self
    }

    pub(crate) const fn resent(&self) -> u64 {
        self.resent
    }

    /// The model that began the answer.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether `deployment` broke while it answered.
    #[must_use]
    pub fn is_broken(&self, deployment: &str) -> bool {
        self.broken.iter().any(|broken| **broken == *deployment)
    }
}

/// The provider's own id of a request that it answered, in the response's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamId(pub std::sync::Arc<str>);

/// Where a provider reports in its headers that it ran, in the response's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RanIn(pub std::sync::Arc<str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_never_overflows_or_goes_negative() {
        let endless = Deadline::after(Duration::MAX);
        assert!(endless.remaining(Instant::now()) > Duration::from_secs(3600));
        let short = Deadline::after(Duration::from_millis(5));
        tokio::time::advance(Duration::from_millis(9)).await;
        assert_eq!(short.remaining(Instant::now()), Duration::ZERO);
    }

    #[test]
    fn a_position_outside_its_plan_still_leaves_one() {
        assert_eq!(Position::new(0, 3).left(), 3);
        assert_eq!(Position::new(2, 3).left(), 1);
        assert_eq!(Position::new(7, 3).left(), 1);
        assert!(Position::new(0, 1).is_alone());
    }
}
