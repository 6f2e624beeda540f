use std::task::{Context, Poll};

use backstop_chat::{Chat, Chunk};
use backstop_core::BoxError;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::body::ResumeBody;
use crate::future::ResponseFuture;
use crate::state::State;
use crate::{ResumeOptions, Room};

/// The service of [`ResumeLayer`](crate::ResumeLayer). See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct Resume<S> {
    inner: S,
    options: ResumeOptions,
    room: Room,
}

impl<S> Resume<S> {
    pub(crate) const fn new(inner: S, options: ResumeOptions, room: Room) -> Self {
        Self {
            inner,
            options,
            room,
        }
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

impl<S, B> Service<Request<Chat>> for Resume<S>
where
    S: Service<Request<Chat>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body<Data = Chunk>,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResumeBody<S, B>>;
    type Error = BoxError;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Chat>) -> Self::Future {
        let options = request.extensions().get().copied().unwrap_or(self.options);
        // The clone that is kept is readied when it is needed, if ever.
        let state = State::new(&self.inner, &mut request, options, &self.room);
        ResponseFuture::new(self.inner.call(request), state)
    }
}
