use backstop_chat::{Body, Chat, Chunk};
use backstop_core::{BoxError, Deployment};
use backstop_fallback::{Load, LoadLayer, Target};
use http::{Request, Response};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt};

/// A stack for chats with its type erased.
pub type ChatService = BoxCloneSyncService<Request<Chat>, Response<Body>, BoxError>;

/// Makes a deployment's stack a [`Target`] of a [`Fallback`](backstop_fallback::Fallback).
///
/// Implemented for every service that answers [`Chat`]s in [`Chunk`]s.
pub trait IntoTarget {
    /// Counts what is in flight, maps the body to [`Body`], and erases the type: one box for the service, one for
    /// each call, one for each body.
    fn into_target(self, deployment: Deployment) -> Target<ChatService>;
}

impl<S, B> IntoTarget for S
where
    S: Service<Request<Chat>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Chunk> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn into_target(self, deployment: Deployment) -> Target<ChatService> {
        let load = Load::new();
        let counted = LoadLayer::new(load.clone()).layer(self);
        let service = counted.map_response(|response| response.map(Body::new)).map_err(Into::into);
        Target::new(deployment, BoxCloneSyncService::new(service)).with_load(load)
    }
}
