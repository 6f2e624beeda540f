//! The future of [`Fit`](crate::Fit).

use std::pin::Pin;
use std::task::{Context, Poll};

use backstop_core::{BoxError, Failure};
use pin_project_lite::pin_project;

pin_project! {
    /// The future of [`Fit`](crate::Fit).
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<F> {
        Called { #[pin] future: F },
        Refused { failure: Option<Failure> },
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) const fn called(future: F) -> Self {
        Self {
            state: State::Called { future },
        }
    }

    pub(crate) const fn refused(failure: Failure) -> Self {
        Self {
            state: State::Refused {
                failure: Some(failure),
            },
        }
    }
}

impl<F, Res, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Res, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Res, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Called { future } => future.poll(cx).map_err(Into::into),
            StateProj::Refused { failure } => {
                let failure = failure.take().expect("polled after completion");
                Poll::Ready(Err(failure.into()))
            }
        }
    }
}
