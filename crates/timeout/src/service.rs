use std::task::{Context, Poll};
use std::time::Duration;

use backstop_core::{BoxError, Deadline, Frame, HasExtensions, Position};
use http::{Extensions, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::IdleBody;
use crate::body::Patience;
use crate::future::ResponseFuture;

/// Bounds each attempt of a service. See [`TimeoutLayer`](crate::TimeoutLayer).
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    inner: S,
    first_token: Option<Duration>,
    patience: Patience,
}

impl<S> Timeout<S> {
    pub(crate) const fn new(inner: S, first_token: Option<Duration>, patience: Patience) -> Self {
        Self {
            inner,
            first_token,
            patience,
        }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to change.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service alone.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Req, B> Service<Req> for Timeout<S>
where
    S: Service<Req, Response = Response<B>>,
    S::Error: Into<BoxError>,
    Req: HasExtensions,
    B: Body,
    B::Data: Frame,
    B::Error: Into<BoxError>,
{
    type Response = Response<IdleBody<B>>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let until = until(self.first_token, request.extensions(), Instant::now());
        ResponseFuture::new(self.inner.call(request), until, self.patience)
    }
}

/// When an attempt that begins `now` must have shown its first token.
fn until(first_token: Option<Duration>, extensions: &Extensions, now: Instant) -> Option<Instant> {
    // An overflow is so far away that it bounds nothing.
    let own = first_token.and_then(|limit| now.checked_add(limit));
    let share = extensions
        .get::<Deadline>()
        .map(|&deadline| share(deadline, extensions.get().copied(), now));
    own.into_iter().chain(share).min()
}

/// The end of this attempt's share of what is left of the deadline.
fn share(deadline: Deadline, position: Option<Position>, now: Instant) -> Instant {
    match position.map_or(1, Position::left) {
        // Not by arithmetic: the last attempt ends at the very instant of the deadline.
        1 => deadline.instant(),
        left => {
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            now + deadline.remaining(now) / left
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn extensions(deadline: Option<Instant>, position: Option<Position>) -> Extensions {
        let mut extensions = Extensions::new();
        if let Some(deadline) = deadline {
            extensions.insert(Deadline::at(deadline));
        }
        if let Some(position) = position {
            extensions.insert(position);
        }
        extensions
    }

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_attempt_gets_its_share() {
        let now = Instant::now();
        let third = |index| extensions(Some(now + secs(60)), Some(Position::new(index, 3)));
        let cases = [
            (None, extensions(None, None), None),
            (Some(secs(30)), extensions(None, None), Some(secs(30))),
            // Nobody knows of other deployments: all that is left.
            (None, extensions(Some(now + secs(60)), None), Some(secs(60))),
            (None, third(0), Some(secs(20))),
            (None, third(1), Some(secs(30))),
            (None, third(2), Some(secs(60))),
            // The shorter of both bounds.
            (Some(secs(5)), third(0), Some(secs(5))),
            (Some(secs(25)), third(0), Some(secs(20))),
            (Some(Duration::MAX), third(0), Some(secs(20))),
            (Some(Duration::MAX), extensions(None, None), None),
        ];
        for (number, (own, extensions, expected)) in cases.into_iter().enumerate() {
            assert_eq!(
                until(own, &extensions, now),
                expected.map(|after| now + after),
                "case {number}"
            );
        }
    }

    #[test]
    fn a_deadline_that_has_passed_leaves_nothing() {
        let past = Instant::now();
        let now = past + secs(9);
        let first = extensions(Some(past), Some(Position::new(0, 3)));
        assert_eq!(until(Some(secs(30)), &first, now), Some(now));
        let last = extensions(Some(past), Some(Position::new(2, 3)));
        assert_eq!(until(Some(secs(30)), &last, now), Some(past));
    }

    proptest! {
        /// However the attempts end, they never overrun the deadline, and each later one has its share left.
        #[test]
        fn shares_add_up(left_ms in 0u64..600_000, of in 1usize..12, used in prop::collection::vec(0u32..=100, 12)) {
            let begun = Instant::now();
            let deadline = Deadline::at(begun + Duration::from_millis(left_ms));
            let fair = Duration::from_millis(left_ms) / u32::try_from(of).expect("small");
            let mut now = begun;
            for (index, used) in used.into_iter().enumerate().take(of) {
                let end = share(deadline, Some(Position::new(index, of)), now);
                prop_assert!(end <= deadline.instant());
                // Rounding loses a nanosecond per division at most.
                prop_assert!(end - now + Duration::from_nanos(12) >= fair);
                now += (end - now) * used / 100;
            }
        }
    }
}
