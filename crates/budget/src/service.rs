use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use backstop_core::{Ask, BoxError, Frame, HasExtensions, Tracked};
use http::Response;
use http_body::Body;
use tower_service::Service;

use crate::admission::{Admission, Arrival};
use crate::future::ResponseFuture;
use crate::layer::Shared;
use crate::{Meter, Price};

/// The service of [`BudgetLayer`](crate::BudgetLayer). See the [crate docs](crate).
pub struct Budgeted<S, P> {
    inner: S,
    shared: Arc<Shared<P>>,
}

impl<S, P> Budgeted<S, P> {
    pub(crate) const fn new(inner: S, shared: Arc<Shared<P>>) -> Self {
        Self { inner, shared }
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

impl<S, P, Req, B> Service<Req> for Budgeted<S, P>
where
    S: Service<Req, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    Req: Ask + HasExtensions,
    P: Price<Req>,
    B: Body,
    B::Data: Frame,
{
    type Response = Response<Tracked<B, Option<Meter<P>>>>;
    type Error = BoxError;
    type Future = ResponseFuture<S, P, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let mut admission = match Admission::begin(Arc::clone(&self.shared), request) {
            Arrival::Free((request, meter)) => {
                return ResponseFuture::called(self.inner.call(request), meter);
            }
            Arrival::Asking(admission) => admission,
            Arrival::Refused(error) => return ResponseFuture::refused(error),
        };
        if admission.is_ready() {
            let mut cx = Context::from_waker(Waker::noop());
            match admission.poll(&mut cx) {
                Poll::Ready(Ok((request, meter))) => {
                    return ResponseFuture::called(self.inner.call(request), meter);
                }
                Poll::Ready(Err(error)) => return ResponseFuture::refused(error),
                Poll::Pending => {}
            }
        }
        // The service that is ready waits for the ledger; its clone takes its place.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        ResponseFuture::reserving(admission, inner)
    }
}

impl<S: Clone, P> Clone for Budgeted<S, P> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: fmt::Debug, P> fmt::Debug for Budgeted<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budgeted")
            .field("inner", &self.inner)
            .field("deployment", self.shared.deployment.id())
            .finish_non_exhaustive()
    }
}
