//! The futures of both layers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backstop_core::{BoxError, FailureKind, Outcome, Trail};
use http::Response;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::IdleBody;
use crate::alarm::Alarm;
use crate::body::Patience;
use crate::error::{DeadlineExceeded, Elapsed};

pin_project! {
    /// The future of [`Timeout`](crate::Timeout).
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        #[pin]
        alarm: Alarm,
        until: Option<Instant>,
        patience: Patience,
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) const fn new(inner: F, until: Option<Instant>, patience: Patience) -> Self {
        Self {
            inner,
            alarm: Alarm::new(),
            until,
            patience,
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<IdleBody<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(result) = this.inner.poll(cx) {
            let patience = *this.patience;
            return Poll::Ready(match result {
                Ok(response) => Ok(response.map(|body| IdleBody::new(body, patience))),
                Err(error) => Err(error.into()),
            });
        }
        let Some(until) = *this.until else {
            return Poll::Pending;
        };
        ready!(this.alarm.poll_at(until, cx));
        Poll::Ready(Err(Elapsed::new().into()))
    }
}

pin_project! {
    /// The future of [`EnforceDeadline`](crate::EnforceDeadline).
    #[derive(Debug)]
    pub struct DeadlineFuture<F> {
        // `None` once the deadline has passed.
        #[pin]
        inner: Option<F>,
        #[pin]
        alarm: Alarm,
        until: Instant,
        trail: Option<Trail>,
    }
}

impl<F> DeadlineFuture<F> {
    pub(crate) const fn new(inner: F, until: Instant, trail: Option<Trail>) -> Self {
        Self {
            inner: Some(inner),
            alarm: Alarm::new(),
            until,
            trail,
        }
    }
}

impl<F, Res, E> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<Res, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Res, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = this.inner.as_mut().as_pin_mut();
        if let Poll::Ready(result) = inner.expect("polled after completion").poll(cx) {
            return Poll::Ready(result.map_err(Into::into));
        }
        ready!(this.alarm.poll_at(*this.until, cx));
        if let Some(trail) = this.trail {
            // Before the drop, so that the open attempt is recorded as ended by the deadline, not by the caller.
            trail.abandon(FailureKind::Deadline);
            trail.end(Outcome::Deadline);
        }
        this.inner.set(None);
        Poll::Ready(Err(DeadlineExceeded::new().into()))
    }
}
