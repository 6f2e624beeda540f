use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use tower_service::Service;

use crate::future::ResponseFuture;
use crate::gathered::Connector;
use crate::{Builder, Error, NoRoots};

pub(crate) type Inner = legacy::Client<HttpsConnector<Connector>, Full<Bytes>>;

/// A pooled HTTP client. Clones share the pool.
#[derive(Clone)]
pub struct Client {
    // Every layer above clones its service for each request, and hyper's is half a kilobyte with eight counts.
    inner: Arc<Inner>,
}

impl Client {
    pub(crate) fn over(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    /// A client that trusts the system's certificate authorities.
    ///
    /// # Errors
    ///
    /// [`NoRoots`] if the system has none, as in a bare container.
    pub fn new() -> Result<Self, NoRoots> {
        Self::builder().build()
    }

    /// A client that trusts nobody: for plain HTTP, to servers on the same machine or behind a mesh.
    #[must_use]
    pub fn plain_http() -> Self {
        Self::builder().plain_http()
    }

    /// Another client: how much its connections may hold.
    pub const fn builder() -> Builder {
        Builder::new()
    }
}

impl Service<Request<Full<Bytes>>> for Client {
    type Response = Response<Incoming>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> ResponseFuture {
        ResponseFuture::new(self.inner.request(request))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
