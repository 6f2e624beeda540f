//! `AuditLayer`: exactly one record for each request, whatever becomes of it.

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backstop_audit::{
    AttemptLayer, Audit, AuditBody, AuditLayer, AuditUnavailable, ChannelSink, ChannelSlot,
    JsonLines, JsonLinesSlot, Record,
};
use backstop_core::{
    Ask, BoxError, Deployment, Failure, FailureKind, Outcome, Reach, Trail, failure_of,
};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::sync::mpsc;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_test::mock;

use support::{Piece, Reader, TestBody, body, pending_body};

type Inner = BoxCloneSyncService<Request<()>, Response<TestBody>, BoxError>;

/// A service that answers as `answer` says, below an attempt and an audit layer.
fn stack<F>(
    answer: impl Fn(Request<()>) -> F + Clone + Send + Sync + 'static,
) -> (
    BoxCloneSyncService<Request<()>, Response<AuditBody<TestBody, ChannelSlot>>, BoxError>,
    mpsc::Receiver<Record>,
)
where
    F: Future<Output = Result<Response<TestBody>, BoxError>> + Send + 'static,
{
    let (sink, records) = ChannelSink::new(8);
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(sink))
        .map_response(|response: Response<_>| response.map(TestBody::new))
        .layer(AttemptLayer::new(Deployment::new("east").with_model("m")))
        .service(Inner::new(tower::service_fn(answer)));
    (BoxCloneSyncService::new(service), records)
}

/// The one record that there is.
fn only(records: &mut mpsc::Receiver<Record>) -> Record {
    let record = records.try_recv().expect("a record");
    assert!(records.try_recv().is_err(), "one record, not two");
    record
}

fn results(record: &Record) -> Vec<&'static str> {
    let kind = |row: &backstop_core::Attempt| match row.result {
        None => "open",
        Some(Ok(())) => "ok",
        Some(Err(kind)) => kind.as_str(),
    };
    record.attempts.iter().map(kind).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_recorded_when_it_has_ended_and_once() {
    let (service, mut records) = stack(async |_| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(Response::new(body([
            Ok(Piece::text("a")),
            Ok(Piece::text("b")),
        ])))
    });
    let response = service.oneshot(Request::new(())).await.expect("a response");
    let mut body = response.into_body();
    body.frame().await.expect("a frame").expect("no error");
    body.frame().await.expect("a frame").expect("no error");
    assert!(records.is_empty(), "the end is not known yet");
    tokio::time::advance(Duration::from_millis(5)).await;
    assert!(body.frame().await.is_none());
    let record = only(&mut records);
    assert!(body.frame().await.is_none(), "it stays ended");
    drop(body);
    assert!(records.is_empty(), "and is recorded once");

    assert_eq!(record.outcome, Outcome::Ok);
    assert_eq!(record.http_status, Some(StatusCode::OK));
    assert_eq!(record.ttft, Some(Duration::from_millis(20)));
    assert_eq!(record.latency, Duration::from_millis(25));
    assert_eq!(record.overhead, Duration::ZERO);
    assert_eq!(results(&record), ["ok"]);
    assert_eq!(
        record.served.map(|d| d.model().to_string()).as_deref(),
        Some("m")
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_known_length_is_recorded_with_its_last_frame() {
    let (sink, mut records) = ChannelSink::new(1);
    let service = tower::service_fn(async |_: Request<()>| {
        Ok::<_, BoxError>(Response::new(Full::new(Bytes::from("x"))))
    });
    let service = AuditLayer::new(sink).layer(service);
    let response = service.oneshot(Request::new(())).await.expect("a response");
    let mut body = response.into_body();
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(1));
    body.frame().await.expect("a frame").expect("no error");
    assert_eq!(only(&mut records).outcome, Outcome::Ok);
    assert!(http_body::Body::is_end_stream(&body));
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_is_recorded_with_its_head() {
    let (service, mut records) = stack(async |_| {
        let mut response = Response::new(body([]));
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    });
    let response = service.oneshot(Request::new(())).await.expect("a response");
    assert!(http_body::Body::is_end_stream(response.body()));
    let record = only(&mut records);
    assert_eq!(record.outcome, Outcome::Ok);
    assert_eq!(record.http_status, Some(StatusCode::NO_CONTENT));
    assert_eq!(record.ttft, None);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_an_upstream_error() {
    let (service, mut records) = stack(async |_| {
        let error = Failure::new(FailureKind::Network).with_detail("no terminal proof");
        Ok(Response::new(body([
            Ok(Piece::text("a")),
            Err(error.into()),
        ])))
    });
    let response = service.oneshot(Request::new(())).await.expect("a response");
    Reader::new(response.into_body()).all().await;
    let record = only(&mut records);
    assert_eq!(record.outcome, Outcome::UpstreamError);
    assert_eq!(record.http_status, Some(StatusCode::OK));
    assert_eq!(
        record.detail.as_deref(),
        Some("network failure: no terminal proof")
    );
    assert_eq!(results(&record), ["network"]);
    assert_eq!(record.served, None);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_in_the_middle_cancels() {
    let (service, mut records) =
        stack(async |_| Ok(Response::new(pending_body([Piece::text("a")]))));
    let response = service.oneshot(Request::new(())).await.expect("a response");
    let mut reader = Reader::new(response.into_body());
    reader.one().await;
    drop(reader);
    let record = only(&mut records);
    assert_eq!(record.outcome, Outcome::Cancelled);
    assert_eq!(record.http_status, Some(StatusCode::OK));
    assert!(record.ttft.is_some());
    assert_eq!(results(&record), ["cancelled"]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_before_the_response_cancels() {
    let (service, mut records) = stack(|_| std::future::pending());
    let call = service.oneshot(Request::new(()));
    tokio::time::timeout(Duration::from_millis(9), call)
        .await
        .expect_err("it never answers");
    let record = only(&mut records);
    assert_eq!(record.outcome, Outcome::Cancelled);
    assert_eq!(record.http_status, None);
    assert_eq!(record.latency, Duration::from_millis(9));
    assert_eq!(results(&record), ["cancelled"]);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_recorded_as_the_failure_in_it() {
    let (service, mut records) = stack(async |_| Err(Failure::new(FailureKind::Deadline).into()));
    let error = service
        .oneshot(Request::new(()))
        .await
        .expect_err("an error");
    assert_eq!(
        failure_of(&*error).map(Failure::kind),
        Some(FailureKind::Deadline)
    );
    let record = only(&mut records);
    assert_eq!(record.outcome, Outcome::Deadline);
    assert_eq!(record.http_status, None);
    assert_eq!(record.detail.as_deref(), Some("deadline exceeded"));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_recorded_as_the_layer_that_refused_says() {
    let (service, mut records) = stack(async |request| {
        let trail = Trail::of(request.extensions()).expect("the audit layer has opened it");
        trail.end(Outcome::RejectedAuth);
        let mut response = Response::new(body([Ok(Piece::text("who are you"))]));
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        Ok(response)
    });
    let response = service.oneshot(Request::new(())).await.expect("a response");
    Reader::new(response.into_body()).all().await;
    let record = only(&mut records);
    assert_eq!(record.outcome, Outcome::RejectedAuth);
    assert_eq!(record.http_status, Some(StatusCode::UNAUTHORIZED));
    assert_eq!(record.ttft, None, "an error has no first token");
}

#[tokio::test(start_paused = true)]
async fn a_verdict_in_a_200_is_no_success() {
    let (service, mut records) = stack(async |_| {
        let mut response = Response::new(body([Ok(Piece::text("I cannot"))]));
        let verdict = Failure::new(FailureKind::ContentFilter);
        response.extensions_mut().insert(verdict);
        Ok(response)
    });
    let response = service.oneshot(Request::new(())).await.expect("a response");
    Reader::new(response.into_body()).all().await;
    let record = only(&mut records);
    assert_eq!(record.outcome, Outcome::UpstreamError);
    assert_eq!(results(&record), ["content_filter"]);
}

#[tokio::test(start_paused = true)]
async fn a_trail_that_is_there_is_taken() {
    let (service, mut records) = stack(async |_| Ok(Response::new(body([]))));
    let mut request = Request::new(());
    request.extensions_mut().insert(Trail::with_id("req-7"));
    service.oneshot(request).await.expect("a response");
    assert_eq!(&*only(&mut records).request_id, "req-7");
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_is_recorded_on_request() {
    #[derive(Clone)]
    struct Question;

    impl Ask for Question {
        fn model(&self) -> &str {
            "smart"
        }

        fn streams(&self) -> bool {
            true
        }
    }

    let (sink, mut records) = ChannelSink::new(1);
    let service = tower::service_fn(async |_: Request<Question>| {
        Ok::<_, BoxError>(Response::new(Full::new(Bytes::new())))
    });
    let service = AuditLayer::new(sink).asks().layer(service);
    service
        .oneshot(Request::new(Question))
        .await
        .expect("a response");
    let record = only(&mut records);
    assert_eq!(record.requested_model.as_deref(), Some("smart"));
    assert!(record.stream);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_until_there_is_a_slot() {
    let calls = Arc::new(AtomicUsize::new(0));
    let (sink, mut records) = ChannelSink::new(1);
    let counted = Arc::clone(&calls);
    let service = tower::service_fn(move |_: Request<()>| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok::<_, BoxError>(Response::new(pending_body([]))))
    });
    let service = AuditLayer::new(sink).layer(service);

    let running = service
        .clone()
        .oneshot(Request::new(()))
        .await
        .expect("a response");
    let mut waiting = Box::pin(service.clone().oneshot(Request::new(())));
    assert!(waiting.as_mut().now_or_never().is_none());
    let mut leaving = Box::pin(service.oneshot(Request::new(())));
    assert!(leaving.as_mut().now_or_never().is_none());
    drop(leaving);
    assert_eq!(calls.load(Ordering::Relaxed), 1);

    drop(running);
    assert!(
        waiting.as_mut().now_or_never().is_none(),
        "a slot is free when its record is taken out"
    );
    assert_eq!(only(&mut records).outcome, Outcome::Cancelled);
    waiting.await.expect("a response");
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert_eq!(
        only(&mut records).outcome,
        Outcome::Cancelled,
        "the one that left while it waited has left no record"
    );
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_gone_refuses_with_an_error() {
    let (sink, records) = ChannelSink::new(1);
    drop(records);
    let (service, mut handle) = mock::pair::<Request<()>, Response<Full<Bytes>>>();
    let error = AuditLayer::new(sink)
        .layer(service)
        .oneshot(Request::new(()))
        .await
        .expect_err("refused");
    assert!(error.is::<AuditUnavailable>());
    let failure = failure_of(&*error).expect("a failure");
    assert_eq!(failure.reach(), Reach::Refused);
    assert!(handle.next_request().await.is_none(), "nothing was asked");
}

#[tokio::test(start_paused = true)]
async fn a_route_without_errors_refuses_with_a_response() {
    fn unavailable(_: AuditUnavailable) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from("no record, no service"));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    }
    let (sink, mut records) = ChannelSink::new(1);
    let service = tower::service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(Full::from("fine")))
    });
    let service = AuditLayer::new(sink).respond(unavailable).layer(service);
    let Ok(response) = service.clone().oneshot(Request::new(())).await;
    response.into_body().collect().await.expect("whole");
    assert_eq!(only(&mut records).outcome, Outcome::Ok);

    drop(records);
    let Ok(response) = service.oneshot(Request::new(())).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = response.into_body().collect().await.expect("whole");
    assert_eq!(body.to_bytes(), "no record, no service");
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_when_the_service_within_is_and_calls_that_one() {
    let (sink, mut records) = ChannelSink::new(4);
    let (mut service, mut handle) =
        mock::spawn_layer::<Request<()>, Response<Full<Bytes>>, _>(AuditLayer::new(sink));
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    // The mock panics when one that is not ready is called.
    for _ in 0..2 {
        handle.allow(1);
        assert!(service.poll_ready().is_ready());
        let call = tokio::spawn(service.call(Request::new(())));
        let (_, respond) = handle.next_request().await.expect("a call");
        respond.send_response(Response::new(Full::new(Bytes::new())));
        call.await.expect("no panic").expect("a response");
        assert_eq!(only(&mut records).outcome, Outcome::Ok);
        assert!(service.poll_ready().is_pending(), "readiness counts once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_polled_leaves_nothing() {
    let (mut service, mut records) = stack(async |_| Ok(Response::new(body([]))));
    drop(service.ready().await.expect("ready").call(Request::new(())));
    assert!(records.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn nothing_that_others_said_is_recorded() {
    const SECRET: &str = "sk-live-4242";
    let error = || -> BoxError { format!("401 from https://x/?key={SECRET}").into() };
    let (service, mut records) = stack(move |request| {
        let streams = request.headers().contains_key("streams");
        std::future::ready(if streams {
            Ok(Response::new(body([Ok(Piece::text(SECRET)), Err(error())])))
        } else {
            Err(error())
        })
    });
    let secretive = || Request::builder().header("authorization", SECRET);
    let plain = secretive().body(()).expect("valid");
    service.clone().oneshot(plain).await.expect_err("an error");
    let streamed = secretive().header("streams", "1").body(()).expect("valid");
    let response = service.oneshot(streamed).await.expect("a response");
    Reader::new(response.into_body()).all().await;
    for _ in 0..2 {
        let record = records.try_recv().expect("a record");
        assert_eq!(record.outcome, Outcome::UpstreamError);
        let json = serde_json::to_string(&record).expect("serialisable");
        assert!(!json.contains(SECRET), "{json}");
        assert!(!format!("{record:?}").contains(SECRET));
    }
}

#[test]
fn types_that_travel_between_threads_can() {
    fn travels<T: Clone + Send + Sync + std::fmt::Debug>() {}
    travels::<AuditLayer<ChannelSink>>();
    travels::<Audit<(), JsonLines>>();
    travels::<AttemptLayer>();
    fn is_sent<T: Send>() {}
    is_sent::<AuditBody<Full<Bytes>, JsonLinesSlot>>();
}
