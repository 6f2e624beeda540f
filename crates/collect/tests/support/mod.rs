//! A stack of a [`CollectLayer`] over chunks that are there already.

use backstop_chat::{Body, Chat, Chunk};
use backstop_collect::CollectLayer;
use backstop_core::BoxError;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tower::{Layer, ServiceExt, service_fn};

pub(crate) type Frames = Vec<Result<Chunk, BoxError>>;

/// What a caller that wants no stream gets from a provider that answers with these frames.
pub(crate) async fn collected(frames: Frames) -> Result<Chunk, BoxError> {
    let mut frames = Some(frames);
    let provider = service_fn(move |request: Request<Chat>| {
        let chat = request.body();
        assert!(chat.stream() && chat.include_usage());
        let frames = frames.take().expect("asked once").into_iter();
        let frames = stream::iter(frames.map(|frame| frame.map(Frame::data)));
        async { Ok::<_, BoxError>(Response::new(Body::new(StreamBody::new(frames)))) }
    });
    let collect = CollectLayer::new().layer(provider);
    let mut body = collect
        .oneshot(Request::new(Chat::user("hi")))
        .await?
        .into_body();
    let chunk = body.frame().await.expect("a document or an error")?;
    assert!(body.frame().await.is_none() && http_body::Body::is_end_stream(&body));
    Ok(chunk.into_data().expect("a chunk"))
}
