//! The future of [`Client`](crate::Client).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use hyper::body::Incoming;
use hyper_util::client::legacy;

use crate::Error;

/// The future of [`Client`](crate::Client).
pub struct ResponseFuture {
    inner: legacy::ResponseFuture,
}

impl ResponseFuture {
    pub(crate) const fn new(inner: legacy::ResponseFuture) -> Self {
        Self { inner }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<Incoming>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(Pin::new(&mut self.inner).poll(cx)).map_err(Error::new))
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
