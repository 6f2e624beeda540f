//! The futures of this crate's services.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backstop_core::{BoxError, Failure};
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

pub use crate::attempt::AttemptFuture;
use crate::body::AuditBody;
use crate::open::Open;
use crate::{End, Refuse, Sink, Slot};

pin_project! {
    /// The future of [`Audit`](crate::Audit). Dropped before its response, it records that the caller went away.
    pub struct ResponseFuture<S, Req, K, R, B>
    where
        S: Service<Req>,
        K: Sink,
        R: Refuse<B, S::Error>,
        B: Body,
    {
        // Before `open`: what a call holds is let go before the record is made.
        #[pin]
        state: State<S, Req, K, R, B>,
        open: Option<Open<K::Slot>>,
        refuse: R,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, Req, K, R, B>
    where
        S: Service<Req>,
        K: Sink,
        R: Refuse<B, S::Error>,
        B: Body,
    {
        Reserving {
            #[pin]
            reserve: K::Reserve,
            inner: S,
            request: Option<Req>,
        },
        Calling {
            #[pin]
            future: S::Future,
        },
        // The request is over and recorded; the caller learns of it when the record is safe.
        Recording {
            #[pin]
            written: <K::Slot as Slot>::Written,
            result: Option<Result<Response<AuditBody<B, K::Slot>>, R::Error>>,
        },
        Done,
    }
}

impl<S, Req, K, R, B> ResponseFuture<S, Req, K, R, B>
where
    S: Service<Req>,
    K: Sink,
    R: Refuse<B, S::Error>,
    B: Body,
{
    pub(crate) fn new(
        reserve: K::Reserve,
        inner: S,
        request: Req,
        open: Open<K::Slot>,
        refuse: R,
    ) -> Self {
        let state = State::Reserving {
            reserve,
            inner,
            request: Some(request),
        };
        Self {
            state,
            open: Some(open),
            refuse,
        }
    }
}

impl<S, Req, K, R, B> Future for ResponseFuture<S, Req, K, R, B>
where
    S: Service<Req, Response = Response<B>>,
    K: Sink,
    R: Refuse<B, S::Error>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<AuditBody<B, K::Slot>>, R::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Reserving {
                    reserve,
                    inner,
                    request,
                } => match ready!(reserve.poll(cx)) {
                    Ok(slot) => {
                        let request = request.take().expect("taken once, on leaving the state");
                        if let Some(open) = this.open {
                            open.admitted(slot);
                        }
                        let future = inner.call(request);
                        this.state.set(State::Calling { future });
                    }
                    Err(why) => {
                        this.state.set(State::Done);
                        *this.open = None;
                        let refused = this.refuse.refuse(why);
                        return Poll::Ready(refused.map(|r| r.map(AuditBody::unrecorded)));
                    }
                },
                StateProj::Calling { future } => {
                    let result = ready!(future.poll(cx));
                    this.state.set(State::Done);
                    let mut open = this.open.take().expect("taken once, on leaving the state");
                    let (end, result) = match result {
                        Ok(response) => {
                            open.answered(response.status());
                            open.failed(response.extensions().get::<Failure>().cloned());
                            if !response.body().is_end_stream() {
                                let response = response.map(|body| AuditBody::new(body, open));
                                return Poll::Ready(Ok(response));
                            }
                            (End::Complete, Ok(response.map(|_| AuditBody::ended())))
                        }
                        Err(error) => {
                            let error = this.refuse.error(error);
                            open.failed(this.refuse.failure(&error));
                            (End::Failed, Err(error))
                        }
                    };
                    let Some(written) = open.close(end) else {
                        return Poll::Ready(result);
                    };
                    this.state.set(State::Recording {
                        written,
                        result: Some(result),
                    });
                }
                StateProj::Recording { written, result } => {
                    ready!(written.poll(cx));
                    let result = result.take().expect("taken once, on leaving the state");
                    this.state.set(State::Done);
                    return Poll::Ready(result);
                }
                StateProj::Done => panic!("polled after completion"),
            }
        }
    }
}

impl<S, Req, K, R, B> fmt::Debug for ResponseFuture<S, Req, K, R, B>
where
    S: Service<Req>,
    K: Sink,
    R: Refuse<B, S::Error>,
    B: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Reserving { .. } => "Reserving",
            State::Calling { .. } => "Calling",
            State::Recording { .. } => "Recording",
            State::Done => "Done",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
