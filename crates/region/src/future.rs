//! The futures of the services.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use backstop_core::{BoxError, RanIn, Trail};
use http::Response;
use pin_project_lite::pin_project;

use crate::SealedBody;
use crate::guard::Guard;

pin_project! {
    /// The future of [`Regional`](crate::Regional) and [`ResidencyPolicy`](crate::ResidencyPolicy): the call, or a
    /// refusal.
    pub struct RegionalFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Refused { error: Option<BoxError> },
        Called { #[pin] future: F },
    }
}

impl<F> RegionalFuture<F> {
    pub(crate) const fn called(future: F) -> Self {
        Self {
            state: State::Called { future },
        }
    }

    pub(crate) const fn refused(error: BoxError) -> Self {
        Self {
            state: State::Refused { error: Some(error) },
        }
    }
}

impl<F, Res, E> Future for RegionalFuture<F>
where
    F: Future<Output = Result<Res, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Res, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Called { future } => future.poll(cx).map_err(Into::into),
            StateProj::Refused { error } => {
                Poll::Ready(Err(error.take().expect("polled after completion")))
            }
        }
    }
}

impl<F> fmt::Debug for RegionalFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegionalFuture").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`Sealed`](crate::Sealed): the call, or a refusal.
    pub struct SealedFuture<F> {
        #[pin]
        future: RegionalFuture<F>,
        watch: Option<(Arc<Guard>, Option<Trail>)>,
    }
}

impl<F> SealedFuture<F> {
    pub(crate) const fn called(future: F, guard: Arc<Guard>, trail: Option<Trail>) -> Self {
        Self {
            future: RegionalFuture::called(future),
            watch: Some((guard, trail)),
        }
    }

    pub(crate) const fn refused(error: BoxError) -> Self {
        Self {
            future: RegionalFuture::refused(error),
            watch: None,
        }
    }
}

impl<F, B, E> Future for SealedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<SealedBody<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx))?;
        let (guard, trail) = this.watch.take().expect("polled after completion");
        if let Some(RanIn(place)) = response.extensions().get()
            && let Some(failure) = guard.judge(place, trail.as_ref())
        {
            return Poll::Ready(Err(failure.with_status(response.status()).into()));
        }
        Poll::Ready(Ok(response.map(|body| SealedBody::new(body, guard, trail))))
    }
}

impl<F> fmt::Debug for SealedFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedFuture").finish_non_exhaustive()
    }
}
