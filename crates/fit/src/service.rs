use std::sync::Arc;
use std::task::{Context, Poll};

use backstop_catalog::Facts;
use backstop_core::{Ask, BoxError};
use tower_service::Service;

use crate::future::ResponseFuture;
use crate::judge;

/// The service of [`FitLayer`](crate::FitLayer). See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct Fit<S> {
    inner: S,
    facts: Arc<Facts>,
}

impl<S> Fit<S> {
    pub(crate) const fn new(inner: S, facts: Arc<Facts>) -> Self {
        Self { inner, facts }
    }

    /// The facts of the model.
    pub fn facts(&self) -> &Facts {
        &self.facts
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

impl<S, Req> Service<Req> for Fit<S>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    Req: Ask,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        match judge::refusal(&request, &self.facts) {
            Some(failure) => ResponseFuture::refused(failure),
            None => ResponseFuture::called(self.inner.call(request)),
        }
    }
}
