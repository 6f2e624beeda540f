//! The future of [`Budgeted`](crate::Budgeted).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backstop_core::{Ask, BoxError, Frame, HasExtensions, Tracked};
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

pub use crate::spend::SpendFuture;

use crate::admission::Admission;
use crate::{Meter, Price};

pin_project! {
    /// The future of [`Budgeted`](crate::Budgeted): a reservation, then the call, or a refusal.
    ///
    /// Dropped before the call, it leaves nothing reserved. Dropped after it, the call is charged as
    /// [`Unknown`](crate::Unknown) says.
    pub struct ResponseFuture<S, P, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        state: State<S, P, Req, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, P, Req, F> {
        Refused {
            error: Option<BoxError>,
        },
        Reserving {
            admission: Admission<P, Req>,
            inner: S,
        },
        Called {
            // Before `meter`: what the call holds is let go before it is paid for.
            #[pin]
            future: F,
            meter: Option<Meter<P>>,
        },
    }
}

impl<S: Service<Req>, P, Req> ResponseFuture<S, P, Req> {
    pub(crate) const fn refused(error: BoxError) -> Self {
        Self {
            state: State::Refused { error: Some(error) },
        }
    }

    pub(crate) const fn reserving(admission: Admission<P, Req>, inner: S) -> Self {
        Self {
            state: State::Reserving { admission, inner },
        }
    }

    pub(crate) const fn called(future: S::Future, meter: Option<Meter<P>>) -> Self {
        Self {
            state: State::Called { future, meter },
        }
    }
}

impl<S, P, Req, B> Future for ResponseFuture<S, P, Req>
where
    S: Service<Req, Response = Response<B>>,
    S::Error: Into<BoxError>,
    Req: Ask + HasExtensions,
    P: Price<Req>,
    B: Body,
    B::Data: Frame,
{
    type Output = Result<Response<Tracked<B, Option<Meter<P>>>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let (future, meter) = match this.state.as_mut().project() {
                StateProj::Refused { error } => {
                    return Poll::Ready(Err(error.take().expect("polled after completion")));
                }
                StateProj::Reserving { admission, inner } => {
                    let (request, meter) = ready!(admission.poll(cx))?;
                    (inner.call(request), meter)
                }
                StateProj::Called { future, meter } => {
                    let result = ready!(future.poll(cx)).map_err(Into::into);
                    let meter = meter.take();
                    return Poll::Ready(match result {
                        Ok(response) => {
                            let whole = response.extensions().get();
                            let meter = meter.map(|meter| meter.answered(whole));
                            Ok(response.map(|body| Tracked::new(body, meter)))
                        }
                        Err(error) => {
                            if let Some(meter) = meter {
                                meter.failed(&error);
                            }
                            Err(error)
                        }
                    });
                }
            };
            this.state.set(State::Called { future, meter });
        }
    }
}

impl<S: Service<Req>, P, Req> fmt::Debug for ResponseFuture<S, P, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
