//! The future of [`Cooldown`](crate::Cooldown).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backstop_core::{BoxError, Classify, Settle, Track};
use pin_project_lite::pin_project;

use crate::Judge;

pin_project! {
    /// The future of [`Cooldown`](crate::Cooldown): the call, or a refusal.
    ///
    /// Dropped, it is neutral to the circuit.
    pub struct ResponseFuture<F, C, T, Res> {
        #[pin]
        state: State<F, C, T, Res>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, C, T, Res> {
        Refused {
            error: Option<BoxError>,
        },
        Called {
            #[pin]
            future: F,
            judge: Option<Judge<C, Res>>,
            track: T,
        },
    }
}

impl<F, C, T, Res> ResponseFuture<F, C, T, Res> {
    pub(crate) const fn refused(error: BoxError) -> Self {
        Self {
            state: State::Refused { error: Some(error) },
        }
    }

    pub(crate) const fn called(future: F, judge: Judge<C, Res>, track: T) -> Self {
        Self {
            state: State::Called {
                future,
                judge: Some(judge),
                track,
            },
        }
    }
}

impl<F, C, T, Res, E> Future for ResponseFuture<F, C, T, Res>
where
    F: Future<Output = Result<Res, E>>,
    E: Into<BoxError>,
    C: Classify<Res, BoxError>,
    T: Track<Res, Option<Judge<C, Res>>>,
{
    type Output = Result<T::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Refused { error } => {
                Poll::Ready(Err(error.take().expect("polled after completion")))
            }
            StateProj::Called {
                future,
                judge,
                track,
            } => {
                let result = ready!(future.poll(cx)).map_err(Into::into);
                let judge = judge.take().expect("polled after completion");
                Poll::Ready(match result {
                    Ok(response) => {
                        let judge = judge.unless_failed(Ok(&response));
                        Ok(track.track(response, judge))
                    }
                    Err(error) => {
                        judge.settle(Err(&error));
                        Err(error)
                    }
                })
            }
        }
    }
}

impl<F, C, T, Res> fmt::Debug for ResponseFuture<F, C, T, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
