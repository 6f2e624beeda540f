use std::fmt;
use std::task::{Context, Poll};

use backstop_core::{
    BoxError, Classify, Failure, Failures, HasExtensions, Ineligible, LastResort, OnBody, Track,
};
use tower_service::Service;

use crate::Judge;
use crate::future::ResponseFuture;
use crate::keys::Keys;

/// The service of [`CooldownLayer`](crate::CooldownLayer). See the [crate docs](crate).
pub struct Cooldown<S, C = Failures, T = OnBody> {
    inner: S,
    keys: Keys,
    classify: C,
    track: T,
    readiness: Readiness,
}

/// What the last `poll_ready` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    Unknown,
    Ready,
    /// The inner service is busy, but so far the circuit rests anyway.
    Resting,
}

impl<S, C, T> Cooldown<S, C, T> {
    pub(crate) const fn new(inner: S, keys: Keys, classify: C, track: T) -> Self {
        Self {
            inner,
            keys,
            classify,
            track,
            readiness: Readiness::Unknown,
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

impl<S, C, T, Req> Service<Req> for Cooldown<S, C, T>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    Req: HasExtensions,
    C: Classify<S::Response, BoxError> + Clone,
    T: Track<S::Response, Option<Judge<C, S::Response>>> + Clone,
{
    type Response = T::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, C, T, S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.readiness = match self.inner.poll_ready(cx) {
            Poll::Ready(Ok(())) => Readiness::Ready,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
            Poll::Pending if self.keys.is_resting() => Readiness::Resting,
            Poll::Pending => {
                self.readiness = Readiness::Unknown;
                return Poll::Pending;
            }
        };
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let readiness = std::mem::replace(&mut self.readiness, Readiness::Unknown);
        assert!(
            readiness != Readiness::Unknown,
            "poll_ready must be called first"
        );
        let last_resort = request.extensions().get::<LastResort>().is_some();
        let tickets = match self.keys.admit(last_resort) {
            Ok(tickets) => tickets,
            Err(resting) => return ResponseFuture::refused(resting.into()),
        };
        if readiness == Readiness::Resting {
            // The rest ended, or does not hold for this request, and the inner service was busy when asked.
            return ResponseFuture::refused(Failure::ineligible(Ineligible::Saturated).into());
        }
        let judge = Judge::new(tickets, self.classify.clone());
        ResponseFuture::called(self.inner.call(request), judge, self.track.clone())
    }
}

impl<S: Clone, C: Clone, T: Clone> Clone for Cooldown<S, C, T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            keys: self.keys.clone(),
            classify: self.classify.clone(),
            track: self.track.clone(),
            // A clone of a ready service is not ready itself.
            readiness: Readiness::Unknown,
        }
    }
}

impl<S: fmt::Debug, C, T> fmt::Debug for Cooldown<S, C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cooldown")
            .field("inner", &self.inner)
            .field("keys", &self.keys)
            .field("readiness", &self.readiness)
            .finish_non_exhaustive()
    }
}
