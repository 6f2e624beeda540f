//! The future of [`Resume`](crate::Resume).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backstop_chat::{Chat, Chunk};
use backstop_core::BoxError;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::body::ResumeBody;
use crate::state::State;

pin_project! {
    /// Waits for the first part of an answer.
    pub struct ResponseFuture<S>
    where
        S: Service<Request<Chat>>,
    {
        #[pin]
        inner: S::Future,
        state: Option<Box<State<S>>>,
    }
}

impl<S: Service<Request<Chat>>> ResponseFuture<S> {
    pub(crate) fn new(inner: S::Future, state: Option<Box<State<S>>>) -> Self {
        Self { inner, state }
    }
}

impl<S, B> Future for ResponseFuture<S>
where
    S: Service<Request<Chat>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body<Data = Chunk>,
{
    type Output = Result<Response<ResumeBody<S, B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx)).map_err(Into::into)?;
        let state = this.state.take();
        Poll::Ready(Ok(response.map(|body| ResumeBody::new(body, state))))
    }
}

impl<S: Service<Request<Chat>>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("resumable", &self.state.is_some())
            .finish_non_exhaustive()
    }
}
