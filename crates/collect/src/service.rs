use std::task::{Context, Poll};

use backstop_chat::{Chat, Chunk, Collected};
use backstop_core::{BoxError, Continuing};
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::CollectBody;
use crate::future::ResponseFuture;

/// The service of [`CollectLayer`](crate::CollectLayer). See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct Collect<S> {
    inner: S,
    enabled: bool,
}

impl<S> Collect<S> {
    pub(crate) const fn new(inner: S, enabled: bool) -> Self {
        Self { inner, enabled }
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

impl<S, B> Service<Request<Chat>> for Collect<S>
where
    S: Service<Request<Chat>, Response = Response<B>>,
    B: Body<Data = Chunk>,
    B::Error: Into<BoxError>,
{
    type Response = Response<CollectBody<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Chat>) -> Self::Future {
        let chat = request.body();
        let collects = self.enabled && !chat.stream() && !chat.needs().audio;
        if collects {
            let streamed = streamed(chat);
            let asked = std::mem::replace(request.body_mut(), streamed);
            let extensions = request.extensions_mut();
            extensions.insert(Asked(asked));
            extensions.insert(Collected);
        }
        ResponseFuture::new(self.inner.call(request), collects)
    }
}

/// The same request, answered as a stream with its usage.
fn streamed(chat: &Chat) -> Chat {
    let payload = chat
        .edit()
        .set("stream", "true")
        .set("stream_options", r#"{"include_usage":true}"#)
        .finish();
    Chat::parse(payload).expect("a valid request stays valid")
}

/// What the caller asked for, in the extensions of a request that was changed into a stream.
#[derive(Clone, Debug)]
struct Asked(Chat);

/// The request as the caller made it, for a deployment whose answers are not to be collected.
///
/// A request that goes on with an answer that another deployment began ([`Continuing`]) stays a stream: half of that
/// answer came as one.
#[must_use]
pub fn as_asked(mut request: Request<Chat>) -> Request<Chat> {
    if request.extensions().get::<Continuing>().is_none()
        && let Some(Asked(chat)) = request.extensions_mut().remove()
    {
        *request.body_mut() = chat;
    }
    request
}
