//! The bounds of one attempt.

mod support;

use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use backstop_core::{BoxError, Deadline, Failure, FailureKind, Position, Reach, failure_of};
use backstop_timeout::error::{Elapsed, Stalled};
use backstop_timeout::{IdleBody, Timeout, TimeoutLayer, future::ResponseFuture};
use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock;

use support::{Feed, poll, secs, slow};

fn kind(error: &BoxError) -> Option<FailureKind> {
    failure_of(&**error).map(Failure::kind)
}

/// The body of an answer that is there at once.
async fn body(layer: TimeoutLayer, feed: &Feed) -> Pin<Box<IdleBody<Feed>>> {
    let feed = feed.clone();
    let service = service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, BoxError>(Response::new(feed.clone())))
    });
    let response = layer.layer(service).oneshot(Request::new(())).await;
    Box::pin(response.expect("it answers").into_body())
}

/// The next frame as text, if there is one now; `stalled` for that error.
fn next(body: &mut Pin<Box<IdleBody<Feed>>>) -> Option<String> {
    match poll(pin!(body.frame())) {
        Poll::Pending => None,
        Poll::Ready(frame) => Some(match frame.expect("it never ends") {
            Ok(frame) => {
                let data = frame.into_data().expect("data only");
                String::from_utf8(data.to_vec()).expect("text")
            }
            Err(error) => {
                assert!(error.is::<Stalled>());
                assert_eq!(kind(&error), Some(FailureKind::Timeout));
                "stalled".to_owned()
            }
        }),
    }
}

#[test]
fn nothing_that_is_ready_needs_a_timer() {
    // No runtime: making a timer would panic.
    let layer = TimeoutLayer::first_token(secs(1)).idle(secs(1));
    let ready = service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, BoxError>(Response::new(Full::new(
            Bytes::from_static(b"x"),
        ))))
    });
    let mut request = Request::new(());
    request.extensions_mut().insert(Deadline::after(secs(1)));
    let Poll::Ready(Ok(response)) = poll(pin!(layer.layer(ready).call(request))) else {
        panic!("it was ready");
    };
    let Poll::Ready(Ok(body)) = poll(pin!(response.into_body().collect())) else {
        panic!("so was its body");
    };
    assert_eq!(body.to_bytes(), "x");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_ends_with_its_time() {
    let begun = Instant::now();
    let service = TimeoutLayer::first_token(secs(30)).layer(slow(secs(31), Empty::<Bytes>::new()));
    let error = service
        .oneshot(Request::new(()))
        .await
        .expect_err("31 s are too long");
    assert_eq!((Instant::now() - begun).as_secs(), 30);
    assert!(error.is::<Elapsed>());
    let failure = failure_of(&*error).expect("classified");
    assert_eq!(failure.kind(), FailureKind::Timeout);
    assert_eq!(
        failure.reach(),
        Reach::Sent,
        "the provider may be at work on it"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_passes() {
    let service = TimeoutLayer::first_token(secs(30)).layer(slow(secs(29), Empty::<Bytes>::new()));
    assert!(service.oneshot(Request::new(())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_there_wins_over_the_clock() {
    let mut service =
        TimeoutLayer::first_token(secs(30)).layer(slow(secs(20), Empty::<Bytes>::new()));
    let mut call = pin!(service.call(Request::new(())));
    assert!(poll(call.as_mut()).is_pending());
    advance(secs(60)).await;
    assert!(
        matches!(poll(call), Poll::Ready(Ok(_))),
        "nobody came to fetch it, but it was in time"
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_gets_its_share_of_the_deadline() {
    for (position, expected) in [
        (None, 12),
        (Some(Position::new(0, 3)), 4),
        (Some(Position::new(2, 3)), 12),
    ] {
        let begun = Instant::now();
        let mut request = Request::new(());
        request.extensions_mut().insert(Deadline::after(secs(12)));
        if let Some(position) = position {
            request.extensions_mut().insert(position);
        }
        let service = TimeoutLayer::new().layer(slow(secs(60), Empty::<Bytes>::new()));
        let error = service.oneshot(request).await.expect_err("too slow");
        assert_eq!(kind(&error), Some(FailureKind::Timeout));
        assert_eq!((Instant::now() - begun).as_secs(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_bound_it_waits() {
    let service = TimeoutLayer::new().layer(slow(secs(86_400), Empty::<Bytes>::new()));
    assert!(service.oneshot(Request::new(())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_says_something_is_never_cut() {
    let feed = Feed::default();
    let layer = TimeoutLayer::first_token(secs(1)).idle(secs(5));
    let mut body = body(layer, &feed).await;
    for _ in 0..100 {
        assert_eq!(next(&mut body), None);
        advance(secs(4)).await;
        assert_eq!(next(&mut body), None);
        feed.push("word");
        assert_eq!(next(&mut body).as_deref(), Some("word"));
    }
}

/// What came of a body that gives one of these frames every 4 s, and when.
async fn every_four_seconds(layer: TimeoutLayer, frames: &[&'static str]) -> (Option<String>, u64) {
    let feed = Feed::default();
    let mut body = body(layer, &feed).await;
    let begun = Instant::now();
    let seconds = || (Instant::now() - begun).as_secs();
    for frame in frames {
        assert_eq!(next(&mut body), None);
        for _ in 0..4 {
            advance(secs(1)).await;
            if let Some(end) = next(&mut body) {
                return (Some(end), seconds());
            }
        }
        feed.push(frame);
        assert_eq!(next(&mut body).as_deref(), Some(*frame));
    }
    (None, seconds())
}

#[tokio::test(start_paused = true)]
async fn signs_of_life_prolong_a_wait_but_not_for_ever() {
    const PING: &str = "";
    let stalled = || Some("stalled".to_owned());
    let idle = TimeoutLayer::new().idle(secs(5));
    let pings = [PING; 100];
    for (layer, after) in [
        (idle.clone(), 50),
        (idle.clone().idle_ceiling(secs(30)), 30),
        (TimeoutLayer::new().idle_ceiling(secs(6)), 6),
        // No more than the idle time itself.
        (idle.clone().idle_ceiling(secs(3)), 3),
    ] {
        let end = every_four_seconds(layer, &pings).await;
        assert_eq!(end, (stalled(), after));
    }
    let end = every_four_seconds(idle.clone().idle_ceiling(Duration::MAX), &pings).await;
    assert_eq!(end, (None, 400), "no ceiling");

    let mut frames = [PING; 30];
    frames[9] = "a thought";
    frames[19] = "a word";
    let end = every_four_seconds(idle.clone(), &frames).await;
    assert_eq!(end, (None, 120), "content begins the time anew");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_of_pings_is_no_stalled_provider() {
    let feed = Feed::default();
    let mut body = body(TimeoutLayer::new().idle(secs(5)), &feed).await;
    for _ in 0..10 {
        feed.push("");
        advance(secs(3600)).await;
        assert_eq!(next(&mut body).as_deref(), Some(""));
    }
    assert_eq!(next(&mut body), None, "only now does anybody wait");
    feed.push("a");
    assert_eq!(next(&mut body).as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_an_error() {
    let feed = Feed::default();
    let mut body = body(TimeoutLayer::new().idle(secs(5)), &feed).await;
    feed.push("a");
    assert_eq!(next(&mut body).as_deref(), Some("a"));
    // Awaited, because it must wake its task; twice, because the second wait uses the first one's timer.
    for _ in 0..2 {
        let begun = Instant::now();
        let error = body.frame().await.expect("an error").expect_err("stalled");
        assert!(error.is::<Stalled>());
        assert_eq!((Instant::now() - begun).as_secs(), 5);
    }
}

/// Data that proves by its last byte, a full stop, that the answer is complete.
#[derive(Debug)]
struct Sentence(Bytes);

impl Buf for Sentence {
    fn remaining(&self) -> usize {
        self.0.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.0.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.0.advance(count);
    }
}

impl backstop_core::Frame for Sentence {
    fn is_content(&self) -> bool {
        !self.0.is_empty()
    }

    fn is_terminal(&self) -> bool {
        self.0.ends_with(b".")
    }
}

#[tokio::test(start_paused = true)]
async fn silence_behind_a_complete_answer_is_its_end() {
    for (said, complete) in [("It is", false), ("It is.", true)] {
        let feed = Feed::default();
        feed.push(said);
        let sentences = feed.map_frame(|frame| frame.map_data(Sentence));
        let mut response = Some(Response::new(sentences));
        let service = service_fn(move |_: Request<()>| {
            let response = response.take().expect("asked once");
            std::future::ready(Ok::<_, BoxError>(response))
        });
        let service = TimeoutLayer::new().idle(secs(5)).layer(service);
        let response = service.oneshot(Request::new(())).await.expect("it answers");
        let mut body = Box::pin(response.into_body());
        let first = body.frame().await.expect("a frame").expect("no error");
        assert!(first.is_data());
        let begun = Instant::now();
        match body.frame().await {
            Some(Err(error)) => assert!(error.is::<Stalled>() && !complete, "{said}"),
            end => assert!(end.is_none() && complete, "{said}"),
        }
        assert_eq!((Instant::now() - begun).as_secs(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_no_stalled_provider() {
    let feed = Feed::default();
    let mut body = body(TimeoutLayer::new().idle(secs(5)), &feed).await;
    assert_eq!(next(&mut body), None, "the timer runs");
    feed.push("a");
    advance(secs(3600)).await;
    assert_eq!(next(&mut body).as_deref(), Some("a"), "data comes first");

    advance(secs(3600)).await;
    assert_eq!(next(&mut body), None, "only now does anybody wait");
    advance(secs(4)).await;
    assert_eq!(next(&mut body), None);
    advance(secs(2)).await;
    assert_eq!(next(&mut body).as_deref(), Some("stalled"));
}

#[tokio::test(start_paused = true)]
async fn a_body_without_a_bound_may_be_silent() {
    let feed = Feed::default();
    let mut body = body(TimeoutLayer::first_token(secs(1)), &feed).await;
    assert_eq!(next(&mut body), None);
    advance(secs(3600)).await;
    assert_eq!(next(&mut body), None);
}

#[tokio::test(start_paused = true)]
async fn a_body_tells_what_the_inner_one_tells() {
    let feed = Feed::default();
    let body = body(TimeoutLayer::new().idle(secs(5)), &feed).await;
    assert_eq!(body.size_hint().exact(), Some(42));
    assert!(!body.is_end_stream());
    drop(body);

    let empty = TimeoutLayer::new().layer(slow(secs(0), Empty::<Bytes>::new()));
    let empty = empty.oneshot(Request::new(())).await.expect("it answers");
    assert!(empty.body().is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn dropping_it_at_any_point_leaves_nothing() {
    let feed = Feed::default();
    let layer = TimeoutLayer::first_token(secs(30)).idle(secs(5));

    let call = layer
        .layer(slow(secs(1), feed.clone()))
        .call(Request::new(()));
    assert!(feed.is_alive());
    drop(call);
    assert!(!feed.is_alive(), "before the first poll");

    let mut call = Box::pin(
        layer
            .layer(slow(secs(1), feed.clone()))
            .call(Request::new(())),
    );
    assert!(poll(call.as_mut()).is_pending());
    drop(call);
    assert!(!feed.is_alive(), "mid-attempt");

    let mut body = body(layer, &feed).await;
    assert_eq!(next(&mut body), None);
    assert!(feed.is_alive());
    drop(body);
    assert!(!feed.is_alive(), "mid-body");
}

#[test]
fn readiness_is_the_inner_services() {
    let (mut service, mut handle) =
        mock::spawn_layer::<Request<()>, Response<Full<Bytes>>, _>(TimeoutLayer::new());
    handle.allow(0);
    assert!(service.poll_ready::<Request<()>>().is_pending());
    handle.allow(1);
    assert!(service.poll_ready::<Request<()>>().is_ready());

    let mut clone = service.clone();
    handle.allow(0);
    assert!(
        clone.poll_ready::<Request<()>>().is_pending(),
        "a clone is not ready because its original was"
    );
}

#[tokio::test]
async fn an_error_of_the_service_passes_as_it_is() {
    let failing = service_fn(|_: Request<()>| async {
        Err::<Response<Full<Bytes>>, _>(Failure::new(FailureKind::Auth))
    });
    let error = TimeoutLayer::first_token(secs(1))
        .layer(failing)
        .oneshot(Request::new(()))
        .await
        .expect_err("it failed");
    assert!(error.is::<Failure>(), "not wrapped");
}

#[test]
fn everything_can_be_sent_and_shown() {
    fn check<T: Send + Sync + std::fmt::Debug>() {}
    fn clone<T: Clone>() {}
    check::<IdleBody<Full<Bytes>>>();
    check::<ResponseFuture<std::future::Ready<()>>>();
    check::<Timeout<()>>();
    check::<TimeoutLayer>();
    clone::<TimeoutLayer>();
    clone::<Timeout<()>>();
}
