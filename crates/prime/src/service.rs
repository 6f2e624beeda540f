use std::task::{Context, Poll};

use backstop_core::{BoxError, Frame};
use http::Response;
use http_body::Body;
use tower_service::Service;

use crate::PrimedBody;
use crate::future::ResponseFuture;

/// Holds each response of a service until its first content. See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct Prime<S> {
    inner: S,
    limit: usize,
}

impl<S> Prime<S> {
    pub(crate) const fn new(inner: S, limit: usize) -> Self {
        Self { inner, limit }
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

impl<S, Req, B> Service<Req> for Prime<S>
where
    S: Service<Req, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body,
    B::Data: Frame,
    B::Error: Into<BoxError>,
{
    type Response = Response<PrimedBody<B>>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        ResponseFuture::new(self.inner.call(request), self.limit)
    }
}
