//! `AttemptLayer`: one row for each call, settled as the call and its answer really ended.

mod support;

use std::io;
use std::time::Duration;

use backstop_audit::AttemptLayer;
use backstop_core::{
    BoxError, Decision, Deployment, Failure, FailureKind, Ineligible, Trail, TrailSnapshot,
    UpstreamId, Usage, UsageSource,
};
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt};

use support::{Piece, TestBody, body, pending_body};

fn request(trail: &Trail) -> Request<()> {
    let mut request = Request::new(());
    request.extensions_mut().insert(trail.clone());
    request
}

fn layer() -> AttemptLayer {
    AttemptLayer::new(Deployment::new("east"))
}

/// What is in the trail after the answer was read by `read`.
async fn rows<F>(
    response: Response<TestBody>,
    read: impl FnOnce(support::Reader) -> F,
) -> TrailSnapshot
where
    F: Future<Output = ()>,
{
    let trail = Trail::start();
    let mut response = Some(response);
    let service = tower::service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, BoxError>(response.take().expect("one call")))
    });
    let response = layer().layer(service).oneshot(request(&trail)).await;
    read(support::Reader::new(
        response.expect("a response").into_body(),
    ))
    .await;
    trail.snapshot()
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_is_ok_with_its_id_and_its_last_usage() {
    let mut response = Response::new(body([
        Ok(Piece::text("a").using(Usage::reported(9, 1))),
        Ok(Piece::text("b").using(Usage::reported(9, 2)).terminal()),
    ]));
    response.extensions_mut().insert(UpstreamId("up-1".into()));
    let record = rows(response, support::Reader::all).await;
    let [row] = &record.attempts[..] else {
        panic!("one row: {record:?}")
    };
    assert_eq!(&**row.deployment.id(), "east");
    assert_eq!(row.result, Some(Ok(())));
    assert_eq!(row.decision, Some(Decision::Done));
    assert_eq!(row.request_id.as_deref(), Some("up-1"));
    assert_eq!(row.status.map(|s| s.as_u16()), Some(200));
    assert_eq!(row.usage, Some(Usage::reported(9, 2)));
}

#[tokio::test(start_paused = true)]
async fn a_row_is_open_until_the_body_has_ended() {
    let trail = Trail::start();
    let service = tower::service_fn(async |_: Request<()>| {
        Ok::<_, BoxError>(Response::new(pending_body([Piece::text("a")])))
    });
    let response = layer().layer(service).oneshot(request(&trail)).await;
    let mut body = response.expect("a response").into_body();
    body.frame().await.expect("a frame").expect("no error");
    let row = &trail.snapshot().attempts[0];
    assert_eq!(row.result, None);
    assert!(row.first_content.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_settles_as_its_failure_and_its_usage_is_partial() {
    let error = Failure::new(FailureKind::Timeout).into();
    let response = Response::new(body([
        Ok(Piece::text("a").using(Usage::reported(9, 1))),
        Err(error),
    ]));
    let record = rows(response, support::Reader::all).await;
    let row = &record.attempts[0];
    assert_eq!(row.result, Some(Err(FailureKind::Timeout)));
    assert_eq!(row.usage.map(|u| u.source), Some(UsageSource::Partial));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_body_is_cancelled_and_its_usage_is_partial() {
    let piece = Piece::text("a").using(Usage::reported(9, 1));
    let record = rows(Response::new(pending_body([piece])), async |mut reader| {
        reader.one().await;
    })
    .await;
    let row = &record.attempts[0];
    assert_eq!(row.result, Some(Err(FailureKind::Cancelled)));
    assert_eq!(row.usage.map(|u| u.source), Some(UsageSource::Partial));
}

#[tokio::test(start_paused = true)]
async fn a_body_dropped_after_its_proof_was_complete() {
    let piece = Piece::text("a").using(Usage::reported(9, 1)).terminal();
    let record = rows(Response::new(pending_body([piece])), async |mut reader| {
        reader.one().await;
    })
    .await;
    let row = &record.attempts[0];
    assert_eq!(row.result, Some(Ok(())));
    assert_eq!(row.usage.map(|u| u.source), Some(UsageSource::Provider));
}

#[tokio::test(start_paused = true)]
async fn a_verdict_in_a_200_settles_the_row_with_its_usage() {
    let mut response = Response::new(body([Ok(Piece::text("no")
        .using(Usage::reported(9, 1))
        .terminal())]));
    let verdict = Failure::new(FailureKind::ContentFilter);
    response.extensions_mut().insert(verdict);
    let record = rows(response, support::Reader::all).await;
    let row = &record.attempts[0];
    assert_eq!(row.result, Some(Err(FailureKind::ContentFilter)));
    assert_eq!(row.usage, Some(Usage::reported(9, 1)));
    assert_eq!(row.status.map(|s| s.as_u16()), Some(200));
}

#[tokio::test(start_paused = true)]
async fn a_verdict_stands_even_if_the_answer_is_dropped_unread() {
    let mut response = Response::new(body([Ok(Piece::text("no"))]));
    let verdict = Failure::new(FailureKind::ContentFilter);
    response.extensions_mut().insert(verdict);
    let record = rows(response, async |reader| drop(reader)).await;
    assert_eq!(
        record.attempts[0].result,
        Some(Err(FailureKind::ContentFilter))
    );
}

#[tokio::test(start_paused = true)]
async fn a_verdict_in_a_frame_settles_the_row() {
    let response = Response::new(body([
        Ok(Piece::text("well")),
        Ok(Piece::text("")
            .failing(FailureKind::ContentFilter)
            .terminal()),
    ]));
    let record = rows(response, support::Reader::all).await;
    assert_eq!(
        record.attempts[0].result,
        Some(Err(FailureKind::ContentFilter))
    );
}

async fn row_of_error(error: BoxError) -> TrailSnapshot {
    let trail = Trail::start();
    let mut error = Some(error);
    let service = tower::service_fn(move |_: Request<()>| {
        std::future::ready(Err::<Response<TestBody>, _>(
            error.take().expect("one call"),
        ))
    });
    let result = layer().layer(service).oneshot(request(&trail)).await;
    assert!(result.is_err(), "errors are handed on");
    trail.snapshot()
}

#[tokio::test(start_paused = true)]
async fn an_error_settles_the_row_as_the_failure_in_it() {
    let failure = Failure::new(FailureKind::RateLimit)
        .with_status(http::StatusCode::TOO_MANY_REQUESTS)
        .with_request_id("up-1");
    let record = row_of_error(failure.into()).await;
    let row = &record.attempts[0];
    assert_eq!(row.result, Some(Err(FailureKind::RateLimit)));
    assert_eq!(row.status.map(|s| s.as_u16()), Some(429));
    assert_eq!(row.request_id.as_deref(), Some("up-1"));

    let record = row_of_error(io::Error::from(io::ErrorKind::BrokenPipe).into()).await;
    assert_eq!(record.attempts[0].result, Some(Err(FailureKind::Network)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_refused_was_no_attempt() {
    let record = row_of_error(Failure::ineligible(Ineligible::Cooling).into()).await;
    assert!(record.attempts.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_before_its_answer_is_cancelled_or_what_the_trail_says() {
    for (abandon, kind) in [
        (None, FailureKind::Cancelled),
        (Some(FailureKind::Deadline), FailureKind::Deadline),
    ] {
        let trail = Trail::start();
        let service = tower::service_fn(|_: Request<()>| {
            std::future::pending::<Result<Response<TestBody>, BoxError>>()
        });
        let mut service = layer().layer(service);
        let call = service.ready().await.expect("ready").call(request(&trail));
        if let Some(kind) = abandon {
            trail.abandon(kind);
        }
        tokio::time::timeout(Duration::from_millis(7), call)
            .await
            .expect_err("it never answers");
        let row = &trail.snapshot().attempts[0];
        assert_eq!(row.result, Some(Err(kind)));
        assert_eq!(row.duration, Some(Duration::from_millis(7)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_trail_passes() {
    let service = tower::service_fn(async |_: Request<()>| {
        Ok::<_, BoxError>(Response::new(body([Ok(Piece::text("a"))])))
    });
    let response = layer().layer(service).oneshot(Request::new(())).await;
    let body = response.expect("a response").into_body().collect().await;
    assert_eq!(body.expect("whole").to_bytes(), "a");
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_when_the_service_within_is_and_calls_that_one() {
    let (mut service, mut handle) =
        tower_test::mock::spawn_layer::<Request<()>, Response<TestBody>, _>(layer());
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());
    let trail = Trail::start();
    let call = service.call(request(&trail));
    let (_, respond) = handle
        .next_request()
        .await
        .expect("the readied one is called");
    respond.send_response(Response::new(body([])));
    call.await.expect("a response");
    assert_eq!(
        trail.snapshot().attempts[0].result,
        Some(Ok(())),
        "an empty body has ended"
    );
}
