use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use backstop_chat::{Body, Chat, Chunk};
use backstop_core::{BoxError, Deployment};
use backstop_fallback::{Load, LoadLayer, Target};
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt};

/// A stack for chats with its type erased.
///
/// Clones share the stack, so that a chain costs no allocation to pick from. It is always ready: each call clones the
/// stack, and drives that clone to readiness first.
#[derive(Clone)]
pub struct ChatService(Arc<dyn Stack>);

type ChatFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

trait Stack: Send + Sync {
    fn ask(&self, request: Request<Chat>) -> ChatFuture;
}

impl<S> Stack for S
where
    S: Service<Request<Chat>, Response = Response<Body>, Error = BoxError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    fn ask(&self, request: Request<Chat>) -> ChatFuture {
        Box::pin(self.clone().oneshot(request))
    }
}

impl Service<Request<Chat>> for ChatService {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = ChatFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Chat>) -> ChatFuture {
        self.0.ask(request)
    }
}

impl fmt::Debug for ChatService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatService").finish_non_exhaustive()
    }
}

/// Makes a deployment's stack a [`Target`] of a [`Fallback`](backstop_fallback::Fallback).
///
/// Implemented for every service that answers [`Chat`]s in [`Chunk`]s. [`TargetLayer`] does the same at the top of a
/// [`ServiceBuilder`](tower::ServiceBuilder).
pub trait IntoTarget {
    /// Counts what is in flight, maps the body to [`Body`], and erases the type: one box for each call and one for
    /// each body.
    fn into_target(self, deployment: impl Into<Arc<Deployment>>) -> Target<ChatService>;
}

impl<S, B> IntoTarget for S
where
    S: Service<Request<Chat>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Chunk> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn into_target(self, deployment: impl Into<Arc<Deployment>>) -> Target<ChatService> {
        let load = Load::new();
        let counted = LoadLayer::new(load.clone()).layer(self);
        let service = counted
            .map_response(|response| response.map(Body::new))
            .map_err(Into::into);
        Target::new(deployment, ChatService(Arc::new(service))).with_load(load)
    }
}

/// Makes the stack below it a [`Target`]: [`IntoTarget`] as the outermost layer of a deployment.
///
/// What a builder with this layer makes is not a service but a link of a chain, so the stack can be written once
/// for providers of any type:
///
/// ```
/// use backstop::{BoxError, Chat, Deployment, TargetLayer, chat::emit};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, service_fn};
///
/// // Retry, circuit breaker and timeouts follow below it: see the crate's documentation.
/// let target = |id: &str| ServiceBuilder::new().layer(TargetLayer::new(Deployment::new(id)));
/// let provider = service_fn(async |request: Request<Chat>| {
///     Ok::<_, BoxError>(Response::new(emit::answer(request.body(), "mine", "Hello")))
/// });
///
/// let primary = target("primary").service(provider);
/// assert_eq!(&**primary.deployment().id(), "primary");
/// ```
#[derive(Clone, Debug)]
pub struct TargetLayer {
    deployment: Arc<Deployment>,
}

impl TargetLayer {
    /// Links that stand for `deployment`.
    #[must_use]
    pub fn new(deployment: impl Into<Arc<Deployment>>) -> Self {
        Self {
            deployment: deployment.into(),
        }
    }
}

impl<S: IntoTarget> Layer<S> for TargetLayer {
    type Service = Target<ChatService>;

    fn layer(&self, stack: S) -> Self::Service {
        stack.into_target(Arc::clone(&self.deployment))
    }
}
