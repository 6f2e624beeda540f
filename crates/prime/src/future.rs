//! The future of a held response.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backstop_core::{BoxError, Frame};
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::PrimedBody;

pin_project! {
    /// Resolves when the response has shown content, or that it has none. Dropping it drops the call or the body.
    pub struct ResponseFuture<F, B>
    where
        B: Body,
    {
        #[pin]
        state: State<F, B>,
        limit: usize,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B>
    where
        B: Body,
    {
        // The head is still to come.
        Calling {
            #[pin]
            future: F,
        },
        // The head is here, its body is being read. `None` once it has been handed on.
        Holding {
            response: Option<Response<PrimedBody<B>>>,
        },
    }
}

impl<F, B: Body> ResponseFuture<F, B> {
    pub(crate) const fn new(future: F, limit: usize) -> Self {
        Self {
            state: State::Calling { future },
            limit,
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: Body,
    B::Data: Frame,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<PrimedBody<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Calling { future } => {
                    let response = ready!(future.poll(cx)).map_err(Into::into)?;
                    this.state.set(State::Holding {
                        response: Some(response.map(PrimedBody::new)),
                    });
                }
                StateProj::Holding { response: slot } => {
                    let body = slot.as_mut().expect("polled after completion").body_mut();
                    let primed = ready!(body.poll_prime(*this.limit, cx));
                    let mut response = slot.take().expect("it was there a moment ago");
                    primed.map_err(Into::into)?;
                    if let Some(failure) = response.body().failure() {
                        let usage = response.body().whole_usage();
                        let extensions = response.extensions_mut();
                        extensions.insert(failure);
                        if let Some(usage) = usage {
                            extensions.insert(usage);
                        }
                    }
                    return Poll::Ready(Ok(response));
                }
            }
        }
    }
}

impl<F, B: Body> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Calling { .. } => "calling",
            State::Holding { .. } => "holding",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .field("limit", &self.limit)
            .finish()
    }
}
