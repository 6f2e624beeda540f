//! The edge over services that answer, fail, break off and hang.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use backstop_chat::emit::{Document, Writer};
use backstop_chat::{Body, Chat, Chunk, Finish, ProviderError};
use backstop_core::{
    BoxError, Deployment, Exhausted, Failure, FailureKind, Ineligible, Outcome, Reach, Trail,
};
use backstop_edge::{EdgeLayer, Rejection};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt, service_fn};

fn post(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post("/v1/chat/completions")
        .body(Full::new(body.into()))
        .expect("valid")
}

fn asks(stream: bool) -> Request<Full<Bytes>> {
    post(json!({"model": "smart", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}).to_string())
}

fn document(text: &str) -> Chunk {
    Document {
        id: "1",
        model: "gpt-4o",
        created: 1,
        text: Some(text),
        reasoning: None,
        tool_calls: &[],
        finish: Finish::Stop,
        usage: None,
    }
    .into_chunk()
}

fn frames(frames: Vec<Result<Chunk, BoxError>>) -> Body {
    let frames = frames.into_iter().map(|frame| frame.map(Frame::data));
    Body::new(StreamBody::new(futures_util::stream::iter(frames)))
}

/// The response to `request` of an edge over a service that does `answer`.
async fn ask<F>(
    layer: EdgeLayer,
    request: Request<Full<Bytes>>,
    answer: F,
) -> (Response<()>, String)
where
    F: Fn(Request<Chat>) -> Result<Response<Body>, BoxError> + Clone,
{
    let service = layer.layer(service_fn(move |request| {
        std::future::ready(answer(request))
    }));
    let (head, body) = service
        .oneshot(request)
        .await
        .expect("infallible")
        .into_parts();
    let bytes = body.collect().await.expect("infallible").to_bytes();
    (
        Response::from_parts(head, ()),
        String::from_utf8(bytes.to_vec()).expect("text"),
    )
}

fn error_of(body: &str) -> Value {
    serde_json::from_str::<Value>(body).expect("JSON")["error"].take()
}

#[tokio::test]
async fn a_document_with_the_headers_that_say_who_served() {
    let (head, body) = ask(EdgeLayer::openai(), asks(false), |request| {
        assert_eq!(request.body().model(), "smart");
        let trail = Trail::of(request.extensions()).expect("the edge begins one");
        let deployment = Deployment::new("primary")
            .with_provider("openai")
            .with_model("gpt-4o")
            .with_region("eu");
        trail.attempt(&Arc::new(deployment)).settle(Ok(()));
        let mut response = Response::new(Body::once(document("hello")));
        response
            .headers_mut()
            .insert("x-ratelimit-remaining-requests", 7.into());
        response
            .headers_mut()
            .insert("set-cookie", "no".parse().expect("valid"));
        Ok(response)
    })
    .await;
    assert_eq!(head.status(), StatusCode::OK);
    let header = |name: &str| {
        head.headers()
            .get(name)
            .map(|value| value.to_str().expect("text").to_owned())
    };
    for (name, expected) in [
        ("content-type", "application/json"),
        ("x-backstop-deployment", "primary"),
        ("x-backstop-provider", "openai"),
        ("x-backstop-model", "gpt-4o"),
        ("x-backstop-region", "eu"),
        ("x-backstop-attempts", "1"),
        ("x-backstop-retries", "0"),
        ("x-backstop-fallbacks", "0"),
        ("x-litellm-model-id", "primary"),
        ("x-litellm-model-group", "smart"),
        ("x-litellm-attempted-fallbacks", "0"),
        ("x-ratelimit-remaining-requests", "7"),
    ] {
        assert_eq!(header(name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(
        header("set-cookie"),
        None,
        "an upstream header that is not on the list stays behind"
    );
    assert_eq!(header("x-backstop-request-id"), header("x-litellm-call-id"));
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(body["choices"][0]["message"]["content"], "hello");
}

#[tokio::test]
async fn who_served_can_be_hidden() {
    let (head, _) = ask(
        EdgeLayer::openai().expose_served_by(false),
        asks(false),
        |request| {
            let trail = Trail::of(request.extensions()).expect("a trail");
            trail
                .attempt(&Arc::new(Deployment::new("primary")))
                .settle(Ok(()));
            Ok(Response::new(Body::once(document("hello"))))
        },
    )
    .await;
    assert!(!head.headers().contains_key("x-backstop-deployment"));
    assert!(!head.headers().contains_key("x-litellm-model-id"));
    assert!(head.headers().contains_key("x-backstop-attempts"));
}

#[tokio::test]
async fn a_stream_ends_with_done() {
    let (head, body) = ask(EdgeLayer::openai(), asks(true), |_| {
        let writer = Writer::new("1", "gpt-4o", 1, false);
        let chunks = vec![
            Ok(writer.text("hel")),
            Ok(Chunk::comment()),
            Ok(writer.finish(Finish::Stop, true)),
            Ok(writer.usage(backstop_core::Usage::reported(1, 1))),
        ];
        Ok(Response::new(frames(chunks)))
    })
    .await;
    assert_eq!(head.headers()["content-type"], "text/event-stream");
    let events: Vec<&str> = body.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 4, "{body}");
    assert_eq!((events[1], events[3]), (":", "data: [DONE]"));
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_and_has_no_finish() {
    let (head, body) = ask(EdgeLayer::openai(), asks(true), |_| {
        let writer = Writer::new("1", "gpt-4o", 1, false);
        Ok(Response::new(frames(vec![
            Ok(writer.text("hel")),
            Err(ProviderError::truncated("openai").into()),
        ])))
    })
    .await;
    assert_eq!(head.status(), StatusCode::OK);
    let events: Vec<&str> = body.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 3, "{body}");
    let error = error_of(events[1].strip_prefix("data: ").expect("an event"));
    assert_eq!(error["code"], "upstream_error");
    assert_eq!(events[2], "data: [DONE]");
    assert!(!body.contains("\"finish_reason\":\"stop\""));
}

#[tokio::test]
async fn a_document_that_breaks_is_an_error_with_its_own_status() {
    let (head, body) = ask(EdgeLayer::openai(), asks(false), |_| {
        Ok(Response::new(frames(vec![Err(ProviderError::truncated(
            "openai",
        )
        .into())])))
    })
    .await;
    assert_eq!(head.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(error_of(&body)["code"], "upstream_error");
}

fn exhausted(verdict: Failure) -> BoxError {
    Exhausted::new(Vec::new(), verdict).into()
}

fn one(failure: Failure) -> BoxError {
    ProviderError::new("openai", failure).into()
}

#[test]
fn what_nobody_can_serve_says_what_was_in_the_way() {
    let refused = |why, detail: &'static str| {
        let failure = Failure::ineligible(why).with_detail(detail);
        (Arc::new(Deployment::new("d")), BoxError::from(failure))
    };
    let (blind, small) = (Ineligible::Capability, Ineligible::Window);
    for (errors, verdict, expected) in [
        (
            vec![
                refused(blind, "it sees no images"),
                refused(small, "5 tokens in a window of 4"),
                refused(blind, "it calls no tools"),
                refused(blind, "it sees no images"),
            ],
            blind,
            "no deployment for this model can do what the request needs: it sees no images; it calls no tools",
        ),
        (
            vec![
                refused(small, "5 tokens in a window of 4"),
                refused(blind, "it sees no images"),
            ],
            small,
            "the prompt fits the context window of no deployment for this model: 5 tokens in a window of 4",
        ),
        (
            Vec::new(),
            small,
            "the prompt fits the context window of no deployment for this model",
        ),
    ] {
        let error: BoxError = Exhausted::new(errors, Failure::ineligible(verdict)).into();
        let response = Rejection::of(&error).respond(&Trail::start());
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let body: Value = serde_json::from_slice(response.body()).expect("JSON");
        assert_eq!(body["error"]["message"], expected);
    }
}

#[tokio::test]
async fn every_error_has_its_status_and_code() {
    let ineligible = |why| exhausted(Failure::ineligible(why));
    let second = Duration::from_secs(1);
    let cases: Vec<(BoxError, u16, &str, Option<&str>)> = vec![
        (
            exhausted(FailureKind::Overloaded.into()),
            503,
            "all_deployments_failed",
            None,
        ),
        (
            exhausted(
                Failure::new(FailureKind::Overloaded).with_retry_after(Duration::from_millis(1500)),
            ),
            503,
            "all_deployments_failed",
            Some("2"),
        ),
        (ineligible(Ineligible::Budget), 402, "budget_exceeded", None),
        (
            ineligible(Ineligible::Ledger),
            503,
            "ledger_unavailable",
            None,
        ),
        (
            ineligible(Ineligible::Region),
            403,
            "no_compliant_deployment",
            None,
        ),
        (
            ineligible(Ineligible::Capability),
            400,
            "no_capable_deployment",
            None,
        ),
        (
            ineligible(Ineligible::Window),
            400,
            "context_length_exceeded",
            None,
        ),
        (
            exhausted(FailureKind::ContextWindow.into()),
            400,
            "context_length_exceeded",
            None,
        ),
        (
            one(FailureKind::Network.into()),
            502,
            "upstream_error",
            None,
        ),
        (
            one(FailureKind::ServerError.into()),
            502,
            "upstream_error",
            None,
        ),
        (
            one(FailureKind::Timeout.into()),
            504,
            "upstream_timeout",
            None,
        ),
        (
            one(Failure::new(FailureKind::RateLimit).with_retry_after(second)),
            429,
            "rate_limit_exceeded",
            Some("1"),
        ),
        // These pass, also where nobody says when.
        (
            one(FailureKind::RateLimit.into()),
            429,
            "rate_limit_exceeded",
            Some("1"),
        ),
        (
            one(FailureKind::Overloaded.into()),
            503,
            "upstream_overloaded",
            Some("1"),
        ),
        (
            Failure::ineligible(Ineligible::Cooling)
                .with_retry_after(second)
                .into(),
            503,
            "upstream_overloaded",
            Some("1"),
        ),
        (
            one(FailureKind::Auth.into()),
            502,
            "upstream_auth_failed",
            None,
        ),
        (
            // What a resting circuit says again: waiting does not mend a key.
            Failure::new(FailureKind::Auth)
                .with_reach(Reach::Refused)
                .with_retry_after(second)
                .into(),
            502,
            "upstream_auth_failed",
            None,
        ),
        (
            one(FailureKind::ContentFilter.into()),
            400,
            "content_filter",
            None,
        ),
        (
            one(FailureKind::ContextWindow.into()),
            400,
            "context_length_exceeded",
            None,
        ),
        (
            Failure::from(FailureKind::Deadline).into(),
            504,
            "deadline_exceeded",
            None,
        ),
        (
            Failure::new(FailureKind::ModelNotFound)
                .with_reach(Reach::Refused)
                .into(),
            404,
            "model_not_found",
            None,
        ),
        ("nobody classified this".into(), 502, "upstream_error", None),
    ];
    for (error, status, code, retry_after) in cases {
        let shown = error.to_string();
        let error = std::sync::Mutex::new(Some(error));
        let error = Arc::new(error);
        let (head, body) = ask(EdgeLayer::openai(), asks(false), move |_| {
            Err(error.lock().expect("no panic").take().expect("asked once"))
        })
        .await;
        assert_eq!(head.status().as_u16(), status, "{shown}");
        let found = error_of(&body);
        assert_eq!(found["code"], code, "{shown}");
        let header = |name: &str| {
            head.headers()
                .get(name)
                .map(|value| value.to_str().expect("text"))
        };
        assert_eq!(header("retry-after"), retry_after, "{shown}");
        assert_eq!(
            header("x-should-retry"),
            retry_after.is_none().then_some("false"),
            "{shown}"
        );
        assert_eq!(
            found["backstop"]["retryable"],
            retry_after.is_some(),
            "{shown}"
        );
        assert_eq!(
            found["backstop"]["request_id"],
            header("x-backstop-request-id").expect("always")
        );
        assert!(
            found["backstop"].get("attempts").is_none(),
            "nothing about the infrastructure by default"
        );
    }
}

#[tokio::test]
async fn the_providers_word_on_a_wrong_request_is_handed_on() {
    let (head, body) = ask(EdgeLayer::openai(), asks(false), |_| {
        Err(ProviderError::new(
            "openai",
            Failure::new(FailureKind::BadRequest).with_status(StatusCode::UNPROCESSABLE_ENTITY),
        )
        .with_code("unsupported_value")
        .with_param("temperature")
        .with_message("key sk-abcdef123456 at https://internal/ says no")
        .into())
    })
    .await;
    assert_eq!(head.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let error = error_of(&body);
    assert_eq!(
        (&error["code"], &error["param"]),
        (&json!("unsupported_value"), &json!("temperature"))
    );
    assert_eq!(error["message"], "key [hidden] at [hidden]/ says no");
}

#[tokio::test]
async fn attempts_are_shown_where_the_operator_wants_it() {
    let (_, body) = ask(
        EdgeLayer::openai().expose_attempts(true),
        asks(false),
        |request| {
            let trail = Trail::of(request.extensions()).expect("a trail");
            let deployment = Arc::new(Deployment::new("primary").with_provider("openai"));
            trail
                .attempt(&deployment)
                .settle(Err(&Failure::new(FailureKind::Timeout)));
            Err(exhausted(FailureKind::Overloaded.into()))
        },
    )
    .await;
    assert_eq!(
        error_of(&body)["backstop"]["attempts"],
        json!([{"deployment": "primary", "provider": "openai", "failure": "timeout", "status": null}])
    );
}

#[tokio::test]
async fn a_wrong_request_never_reaches_the_service() {
    let never =
        |_: Request<Chat>| -> Result<Response<Body>, BoxError> { unreachable!("refused before") };
    let small = || EdgeLayer::openai().body_limit(300);
    for (request, status, code, param) in [
        (post("not json"), 400, "invalid_request", Value::Null),
        (
            post(r#"{"model": "m", "messages": [{"role": "user", "content": 5}]}"#),
            400,
            "invalid_request",
            json!("messages[0].content"),
        ),
        (post("x".repeat(301)), 413, "request_too_large", Value::Null),
        (
            Request::get("/v1/chat/completions")
                .body(Full::default())
                .expect("valid"),
            405,
            "method_not_allowed",
            Value::Null,
        ),
        (
            Request::post("/v1/chat/completions")
                .header("content-encoding", "gzip")
                .body(Full::new(Bytes::from_static(b"\x1f\x8b")))
                .expect("valid"),
            415,
            "unsupported_content_encoding",
            Value::Null,
        ),
    ] {
        let (head, body) = ask(small(), request, never).await;
        assert_eq!(head.status().as_u16(), status, "{body}");
        let error = error_of(&body);
        assert_eq!((&error["code"], &error["param"]), (&json!(code), &param));
        assert_eq!(head.headers()["x-backstop-attempts"], "0");
    }
}

#[tokio::test]
async fn a_body_in_pieces_is_put_together() {
    let text = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let pieces: Vec<Result<_, Infallible>> = text
        .as_bytes()
        .chunks(7)
        .map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    let request = Request::post("/")
        .body(StreamBody::new(futures_util::stream::iter(pieces)))
        .expect("valid");
    let service = EdgeLayer::openai().layer(service_fn(|request: Request<Chat>| async move {
        Ok::<_, BoxError>(Response::new(Body::once(document(std::str::from_utf8(
            request.body().payload(),
        )?))))
    }));
    let body = service
        .oneshot(request)
        .await
        .expect("infallible")
        .into_body();
    let answer: Value =
        serde_json::from_slice(&body.collect().await.expect("infallible").to_bytes())
            .expect("JSON");
    assert_eq!(answer["choices"][0]["message"]["content"], text);
}

#[tokio::test]
async fn a_spent_ceiling_says_when_there_may_be_room() {
    let told = async |after: Option<Duration>| {
        let refuse = move |_| {
            let failure = Failure::ineligible(Ineligible::Budget);
            Err(exhausted(match after {
                Some(after) => failure.with_retry_after(after),
                None => failure,
            }))
        };
        let (head, body) = ask(EdgeLayer::openai(), asks(false), refuse).await;
        assert_eq!(head.status(), 402);
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let message = body["error"]["message"].as_str().expect("text").to_owned();
        (head.headers().get("retry-after").cloned(), message)
    };
    let general = "a spend ceiling leaves no deployment for this request";
    assert_eq!(told(None).await, (None, general.to_owned()));
    let (seconds, message) = told(Some(Duration::from_secs(86_400))).await;
    assert_eq!(seconds.expect("a hint"), "86400");
    let begins = format!("{general}: there may be room again from ");
    let moment = message.strip_prefix(&begins).expect("a moment");
    assert!(moment.ends_with(" GMT"), "{message}");
    let (_, message) = told(Some(Duration::MAX)).await;
    assert_eq!(message, general);
}

#[tokio::test]
async fn the_trail_learns_what_was_asked_and_how_it_ended() {
    let trail = Trail::with_id("my-id");
    let mut request = asks(true);
    request.extensions_mut().insert(trail.clone());
    let (head, _) = ask(EdgeLayer::openai(), request, |_| {
        Err(exhausted(Failure::ineligible(Ineligible::Budget)))
    })
    .await;
    assert_eq!(head.headers()["x-backstop-request-id"], "my-id");
    let record = trail.snapshot();
    assert_eq!(
        (record.model.as_deref(), record.stream),
        (Some("smart"), true)
    );
    assert_eq!(record.outcome, Some(Outcome::RejectedBudget));
}

/// Refuses to become ready, once.
#[derive(Clone)]
struct Broken;

impl Service<Request<Chat>> for Broken {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Err("closed".into()))
    }

    fn call(&mut self, _: Request<Chat>) -> Self::Future {
        unreachable!("it was never ready")
    }
}

#[tokio::test]
async fn a_service_that_cannot_become_ready_is_a_response() {
    let response = EdgeLayer::openai()
        .layer(Broken)
        .oneshot(asks(false))
        .await
        .expect("infallible");
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn readiness_passes_through_and_the_readied_service_is_called() {
    let (mock, mut handle) = tower_test::mock::pair::<Request<Chat>, Response<Body>>();
    let mut edge = tower_test::mock::Spawn::new(EdgeLayer::openai().layer(mock));
    handle.allow(0);
    assert!(edge.poll_ready::<Request<Full<Bytes>>>().is_pending());
    handle.allow(1);
    assert!(edge.poll_ready::<Request<Full<Bytes>>>().is_ready());
    let answer = edge.call(asks(false));
    let answer = async { answer.await.expect("infallible").status() };
    let serve = async {
        let (_, reply) = handle
            .next_request()
            .await
            .expect("the mock panics when an unready clone is called");
        reply.send_response(Response::new(Body::once(document("hi"))));
    };
    assert_eq!(tokio::join!(answer, serve).0, StatusCode::OK);
}

#[tokio::test]
async fn dropping_the_future_drops_the_call() {
    let held = Arc::new(());
    let call = Arc::clone(&held);
    let service = EdgeLayer::openai().layer(service_fn(move |_: Request<Chat>| {
        let call = Arc::clone(&call);
        async move {
            let never = std::future::pending::<Result<Response<Body>, BoxError>>().await;
            drop(call);
            never
        }
    }));
    let mut answer = Box::pin(service.oneshot(asks(false)));
    assert!(
        answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    assert_eq!(
        Arc::strong_count(&held),
        2,
        "the call is under way, and its service is gone"
    );
    drop(answer);
    assert_eq!(Arc::strong_count(&held), 1, "nothing of it is left");
}
