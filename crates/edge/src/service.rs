use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use backstop_chat::{Chat, Chunk};
use backstop_core::{BoxError, Trail};
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method, Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::body::EdgeBody;
use crate::error::Rejection;
use crate::future::ResponseFuture;
use crate::layer::Options;

/// The service of [`EdgeLayer`](crate::EdgeLayer). See the [crate docs](crate).
#[derive(Debug)]
pub struct Edge<S> {
    inner: S,
    options: Arc<Options>,
    /// Why the inner service cannot take another request: told to the caller instead of to the server.
    broken: Option<BoxError>,
}

/// A clone becomes ready on its own: what broke the original need not break it.
impl<S: Clone> Clone for Edge<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            options: Arc::clone(&self.options),
            broken: None,
        }
    }
}

impl<S> Edge<S> {
    pub(crate) fn new(inner: S, options: Arc<Options>) -> Self {
        Self {
            inner,
            options,
            broken: None,
        }
    }

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

impl<S, B, R> Service<Request<B>> for Edge<S>
where
    S: Service<Request<Chat>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
    R: Body<Data = Chunk>,
    R::Error: Into<BoxError>,
{
    type Response = Response<EdgeBody<R>>;
    type Error = Infallible;
    type Future = ResponseFuture<S, B, R>;

    /// Ready when the inner service is. Its error is answered to the next caller as a response.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if let Err(error) = ready!(self.inner.poll_ready(cx)) {
            self.broken = Some(error.into());
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let trail = Trail::of_or_start(request.extensions_mut());
        let options = Arc::clone(&self.options);
        if let Some(error) = self.broken.take() {
            return ResponseFuture::refused(options, trail, Rejection::of(&error));
        }
        if request.method() != Method::POST {
            return ResponseFuture::refused(options, trail, Rejection::method_not_allowed());
        }
        if is_encoded(request.headers()) {
            return ResponseFuture::refused(options, trail, Rejection::encoded());
        }
        // The service that was polled ready goes into the future; an unready clone stays behind.
        let next = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, next);
        ResponseFuture::new(options, trail, inner, request)
    }
}

/// Whether a body is compressed, which somebody above would have to undo.
fn is_encoded(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(CONTENT_ENCODING).into_iter();
    encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}
