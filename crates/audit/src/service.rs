use std::task::{Context, Poll};

use backstop_core::{BoxError, HasExtensions, Trail};
use http::Response;
use http_body::Body;
use tower_service::Service;

use crate::body::AuditBody;
use crate::future::ResponseFuture;
use crate::open::Open;
use crate::{Describe, Refuse, Sink};

/// A service each of whose requests leaves a record. See [`AuditLayer`](crate::AuditLayer).
#[derive(Clone, Copy, Debug)]
pub struct Audit<S, K, R = crate::AsError, A = ()> {
    pub(crate) inner: S,
    pub(crate) sink: K,
    pub(crate) refuse: R,
    pub(crate) describe: A,
}

impl<S, K, R, A> Audit<S, K, R, A> {
    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to change.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service alone.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, K, R, A, Req, B> Service<Req> for Audit<S, K, R, A>
where
    S: Service<Req, Response = Response<B>> + Clone,
    K: Sink,
    R: Refuse<B, S::Error> + Clone,
    A: Describe<Req>,
    Req: HasExtensions,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Response = Response<AuditBody<B, K::Slot>>;
    type Error = R::Error;
    type Future = ResponseFuture<S, Req, K, R, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let ready = self.inner.poll_ready(cx);
        ready.map_err(|error| self.refuse.error(error))
    }

    fn call(&mut self, mut request: Req) -> Self::Future {
        let trail = Trail::of_or_start(request.extensions_mut());
        self.describe.describe(&request, &trail);
        // The ready one is called when there is a slot; its clone gets ready for the next request.
        let next = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, next);
        ResponseFuture::new(
            self.sink.reserve(),
            inner,
            request,
            Open::new(trail),
            self.refuse.clone(),
        )
    }
}
