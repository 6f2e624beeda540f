//! What is asked below, and how a collected answer ends.

mod support;

use std::pin::Pin;
use std::task::{Context, Poll};

use backstop_chat::emit::{self, Writer};
use backstop_chat::{Body, Chat, Chunk, Finish, Meta};
use backstop_collect::{Collect, CollectLayer, as_asked};
use backstop_core::{BoxError, Continuing, Failure, FailureKind, failure_of};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use tower::util::MapRequestLayer;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock;

use support::{Frames, collected};

const WRITTEN: &str =
    r#"{ "model": "m", "messages": [{"role": "user", "content": "hi"}],  "x-own": 1.0 }"#;

fn request(payload: &str) -> Request<Chat> {
    Request::new(Chat::parse(payload.to_owned()).expect("a request"))
}

/// What a provider below a `layer` is asked when the caller asks `payload`.
async fn asked(layer: CollectLayer, payload: &str) -> String {
    let provider = service_fn(async |request: Request<Chat>| {
        let payload = request.body().payload().to_vec();
        Ok::<_, BoxError>(Response::new(Body::once(Chunk::document(
            payload,
            Meta::default(),
        ))))
    });
    let body = layer
        .layer(provider)
        .oneshot(request(payload))
        .await
        .expect("an answer")
        .into_body();
    let asked = body.collect().await.expect("a document").to_bytes();
    String::from_utf8(asked.to_vec()).expect("text")
}

#[tokio::test]
async fn a_stream_is_asked_for_and_every_other_byte_stays() {
    assert_eq!(
        asked(CollectLayer::new(), WRITTEN).await,
        WRITTEN.replace(
            "1.0 }",
            r#"1.0,"stream":true,"stream_options":{"include_usage":true} }"#
        )
    );
    let off = WRITTEN.replace("1.0", r#"1.0, "stream": false"#);
    assert!(
        asked(CollectLayer::new(), &off)
            .await
            .contains(r#""stream": true"#)
    );
}

#[tokio::test]
async fn what_is_not_collected_passes_as_it_came() {
    let streamed = WRITTEN.replace("1.0", r#"1.0, "stream": true"#);
    let audio = WRITTEN.replace(
        "1.0",
        r#"1.0, "audio": {"voice": "alloy", "format": "mp3"}"#,
    );
    for payload in [&streamed, &audio] {
        assert_eq!(&asked(CollectLayer::new(), payload).await, payload);
    }
    assert_eq!(
        asked(CollectLayer::new().enabled(false), WRITTEN).await,
        WRITTEN
    );
}

#[tokio::test]
async fn a_deployment_may_be_asked_as_the_caller_asked() {
    let provider = |stream: bool| {
        service_fn(move |request: Request<Chat>| async move {
            assert_eq!(request.body().stream(), stream);
            Ok::<_, BoxError>(Response::new(emit::answer(request.body(), "m", "hello")))
        })
    };
    let plain =
        |stream| CollectLayer::new().layer(MapRequestLayer::new(as_asked).layer(provider(stream)));
    let answer = plain(false)
        .oneshot(request(WRITTEN))
        .await
        .expect("an answer");
    assert_eq!(
        Body::new(answer.into_body()).text().await.expect("whole"),
        "hello"
    );
    // The rest of an answer that began as a stream comes as one.
    let mut goes_on = request(WRITTEN);
    goes_on.extensions_mut().insert(Continuing::new("m", []));
    let answer = plain(true).oneshot(goes_on).await.expect("an answer");
    assert_eq!(
        Body::new(answer.into_body()).text().await.expect("whole"),
        "hello"
    );
}

#[tokio::test]
async fn an_answer_that_breaks_is_an_error_and_no_half_of_it() {
    let writer = Writer::new("id", "m", 1, true);
    let frames: Frames = vec![
        Ok(writer.text("half of ")),
        Err(Failure::new(FailureKind::Timeout).into()),
        Ok(writer.finish(Finish::Stop, true)),
    ];
    let error = collected(frames).await.expect_err("it broke");
    assert_eq!(
        failure_of(&*error).map(Failure::kind),
        Some(FailureKind::Timeout)
    );
}

#[tokio::test]
async fn what_is_taken_back_is_not_in_the_document() {
    let (first, second) = (
        Writer::new("one", "m", 1, true),
        Writer::new("two", "n", 2, true),
    );
    let mut again = Meta::default();
    again.again = true;
    let frames: Frames = vec![
        Ok(first.role()),
        Ok(first.reasoning("Hm.")),
        Ok(first.tool_call(0, "a", "f")),
        Ok(Chunk::silent(again)),
        Ok(second.role()),
        Ok(second.text("whole")),
        Ok(second.finish(Finish::Stop, true)),
    ];
    let collected = collected(frames).await.expect("the second is whole");
    assert!(!collected.meta().tool_call && !collected.meta().reasoning);
    let document: serde_json::Value = serde_json::from_slice(collected.json()).expect("JSON");
    assert_eq!(document["id"], "two");
    assert_eq!(
        document["choices"][0]["message"],
        serde_json::json!({"role": "assistant", "content": "whole", "refusal": null})
    );
}

#[tokio::test]
async fn nothing_and_nonsense_are_failures() {
    let event = |json: &str| Ok(Chunk::event_of(json.as_bytes(), Meta::default()));
    let delta = |delta: &str| event(&format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#));
    for (frames, kind) in [
        (vec![], FailureKind::Network),
        (
            vec![Ok(Chunk::comment()), event("{}")],
            FailureKind::Network,
        ),
        (vec![event("[]")], FailureKind::ServerError),
        (vec![event("{")], FailureKind::ServerError),
        (vec![event(r#"{"choices":{}}"#)], FailureKind::ServerError),
        (
            vec![delta(r#"{"content":"a"}"#), delta(r#"{"content":["b"]}"#)],
            FailureKind::ServerError,
        ),
        (
            vec![delta(r#"{"content":1}"#), delta(r#"{"content":"b"}"#)],
            FailureKind::ServerError,
        ),
    ] {
        let shown = format!("{frames:?}");
        let error = collected(frames).await.expect_err(&shown);
        assert_eq!(
            failure_of(&*error).map(Failure::kind),
            Some(kind),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn what_is_nested_too_deep_overflows_no_stack() {
    let nested = |depth: usize, open: &str, close: &str| {
        let (open, close) = (open.repeat(depth), close.repeat(depth));
        let json = format!(r#"{{"choices":[{{"delta":{{"x":{open}1{close}}}}}]}}"#);
        Ok(Chunk::event_of(json.as_bytes(), Meta::default()))
    };
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let once = collected(vec![nested(100, open, close)]).await;
        once.expect("not too deep");
        for frames in [
            vec![nested(10_000, open, close)],
            vec![nested(1, open, close), nested(10_000, open, close)],
        ] {
            let error = collected(frames).await.expect_err("too deep");
            assert_eq!(
                failure_of(&*error).map(Failure::kind),
                Some(FailureKind::ServerError)
            );
        }
    }
}

#[tokio::test]
async fn no_more_is_kept_than_an_answer_may_have() {
    let text = format!(
        r#"{{"choices":[{{"delta":{{"content":"{}"}}}}]}}"#,
        "x".repeat(1024 * 1024)
    );
    let chunk = Chunk::event_of(text.as_bytes(), Meta::default());
    let frames = std::iter::repeat_with(|| Ok(chunk.clone()))
        .take(65)
        .collect();
    let error = collected(frames).await.expect_err("too much");
    assert_eq!(
        failure_of(&*error).map(Failure::kind),
        Some(FailureKind::ServerError)
    );
}

#[tokio::test]
async fn readiness_and_the_errors_of_calls_are_the_inner_service_s() {
    let (service, mut handle) = mock::pair::<Request<Chat>, Response<Body>>();
    handle.allow(0);
    let mut collect: Collect<_> = CollectLayer::new().layer(service);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(collect.poll_ready(&mut cx).is_pending());
    handle.allow(1);
    assert!(collect.poll_ready(&mut cx).is_ready());
    let call = collect.call(request(WRITTEN));
    let (_, respond) = handle.next_request().await.expect("asked");
    respond.send_error("down");
    assert_eq!(call.await.expect_err("an error").to_string(), "down");
}

/// A body that says when it was dropped.
struct Open(
    #[expect(dead_code, reason = "only its end is of interest")] tokio::sync::oneshot::Sender<()>,
);

impl http_body::Body for Open {
    type Data = Chunk;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, BoxError>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn whoever_leaves_takes_the_stream_along() {
    let (open, mut closed) = tokio::sync::oneshot::channel();
    let mut open = Some(Open(open));
    let provider = service_fn(move |_: Request<Chat>| {
        let open = open.take().expect("asked once");
        async { Ok::<_, BoxError>(Response::new(open)) }
    });
    let answer = CollectLayer::new()
        .layer(provider)
        .oneshot(request(WRITTEN))
        .await
        .expect("a head");
    let mut body = Box::pin(answer.into_body());
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(http_body::Body::poll_frame(body.as_mut(), &mut cx).is_pending());
    assert!(
        closed
            .try_recv()
            .is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Empty)
    );
    drop(body);
    assert_eq!(
        closed.try_recv(),
        Err(tokio::sync::oneshot::error::TryRecvError::Closed)
    );
}
