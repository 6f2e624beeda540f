//! The future of [`Collect`](crate::Collect).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use crate::CollectBody;

pin_project! {
    /// Waits for the head of an answer; its body does the collecting.
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        collects: bool,
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) const fn new(inner: F, collects: bool) -> Self {
        Self { inner, collects }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<CollectBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let collects = *this.collects;
        Poll::Ready(Ok(response.map(|body| CollectBody::new(body, collects))))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("collects", &self.collects)
            .finish_non_exhaustive()
    }
}
