//! The stack that the benches measure: the one in the `backstop` crate's picture.

use std::time::Duration;

use backstop::audit::ChannelSink;
use backstop::audit::Record;
use backstop::cooldown::Circuit;
use backstop::core::Blame;
use backstop::{
    AttemptLayer, AuditLayer, BoxError, Chat, ChatService, CooldownConfig, CooldownLayer,
    DeadlineLayer, Deployment, EdgeLayer, FailureKind, Fallback, IntoTarget, Policy, PrimeLayer,
    RetryLayer, RetryPolicy, Target, TimeoutLayer,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::sync::mpsc::Receiver;
use tower::{Service, ServiceBuilder};

use crate::ready::Ready;

/// The stack of one deployment.
#[must_use]
pub fn target(id: &'static str, upstream: Ready) -> Target<ChatService> {
    let deployment = Deployment::new(id)
        .with_provider("openai")
        .with_model("gpt-4o");
    ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new()))
        .layer(AttemptLayer::new(deployment.clone()))
        .layer(cooldown(id))
        .layer(timeout())
        .layer(PrimeLayer::new())
        .service(upstream)
        .into_target(deployment)
}

/// A chain of three deployments, each with every layer.
#[must_use]
pub fn chain(upstreams: [Ready; 3]) -> Fallback<ChatService> {
    let [first, second, third] = upstreams;
    Fallback::in_order([
        target("first", first),
        target("second", second),
        target("third", third),
    ])
}

/// Every layer in process: requests are chats.
#[must_use]
pub fn full(
    upstreams: [Ready; 3],
) -> (
    impl Service<Request<Chat>, Response = Response<impl Body<Error = BoxError>>, Error = BoxError>,
    Receiver<Record>,
) {
    let (sink, records) = ChannelSink::new(64);
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(sink).asks())
        .layer(DeadlineLayer::new(Duration::from_secs(120)))
        .service(chain(upstreams));
    (service, records)
}

/// Every layer behind OpenAI's HTTP format.
#[must_use]
pub fn http(
    upstreams: [Ready; 3],
) -> (
    impl Service<
        Request<Full<Bytes>>,
        Response = Response<impl Body<Data = Bytes, Error = BoxError>>,
        Error: std::fmt::Debug,
    >,
    Receiver<Record>,
) {
    let (sink, records) = ChannelSink::new(64);
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(sink))
        .layer(EdgeLayer::openai())
        .layer(DeadlineLayer::new(Duration::from_secs(120)))
        .service(chain(upstreams));
    (service, records)
}

/// First token and idle time, as a gateway sets them.
#[must_use]
pub fn timeout() -> TimeoutLayer {
    TimeoutLayer::first_token(Duration::from_secs(30)).idle(Duration::from_secs(15))
}

/// A circuit that does all of its work and never opens, so that a deployment can fail in every iteration.
#[must_use]
pub fn cooldown(id: &'static str) -> CooldownLayer {
    let config = CooldownConfig::new()
        .policy(Policy::default().blame(FailureKind::ServerError, Blame::Limit))
        .min_samples(u32::MAX);
    CooldownLayer::new(Circuit::new(id, config))
}
