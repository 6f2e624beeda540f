//! What a `LoadLayer` counts, and for how long.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use backstop_core::{BoxError, OnResponse};
use backstop_fallback::{Load, LoadLayer};
use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service};
use tower_test::mock;

use crate::support::poll;

/// Gives one frame, then fails.
struct Cut(bool);

impl Body for Cut {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(Some(if std::mem::replace(&mut self.0, true) {
            Err("cut".into())
        } else {
            Ok(Frame::data(Bytes::from_static(b"x")))
        }))
    }
}

fn whole() -> Response<Full<Bytes>> {
    Response::new(Full::new(Bytes::from_static(b"x")))
}

#[tokio::test]
async fn counts_from_the_call_to_the_last_byte() {
    let load = Load::new();
    let (mut service, mut handle) =
        mock::spawn_with(|inner| LoadLayer::new(load.clone()).layer(inner));
    assert!(service.poll_ready().is_ready());
    assert_eq!(load.in_flight(), 0, "readiness is not a request");
    let mut future = Box::pin(service.call("hello"));
    assert_eq!(load.in_flight(), 1);
    assert!(poll(&mut future).is_pending());
    let (_, send) = handle.next_request().await.expect("a request");
    send.send_response(whole());
    let mut response = future.await.expect("a response");
    assert_eq!(load.in_flight(), 1, "the body is still to come");
    response
        .body_mut()
        .frame()
        .await
        .expect("a frame")
        .expect("no error");
    assert_eq!(load.in_flight(), 0);
}

#[tokio::test]
async fn a_cut_body_counts_no_longer() {
    let load = Load::new();
    let mut service = LoadLayer::new(load.clone()).layer(tower::service_fn(async |()| {
        Ok::<_, Infallible>(Response::new(Cut(false)))
    }));
    let mut response = service.call(()).await.expect("a response");
    response
        .body_mut()
        .frame()
        .await
        .expect("a frame")
        .expect("no error");
    assert_eq!(load.in_flight(), 1);
    response
        .body_mut()
        .frame()
        .await
        .expect("an end")
        .expect_err("cut");
    assert_eq!(load.in_flight(), 0);
}

#[tokio::test]
async fn dropping_the_call_or_the_body_gives_it_back() {
    let load = Load::new();
    let (mut service, mut handle) =
        mock::spawn_with(|inner| LoadLayer::new(load.clone()).layer(inner));
    assert!(service.poll_ready().is_ready());
    let unpolled = service.call("hello");
    let _request = handle.next_request().await;
    drop(unpolled);
    assert_eq!(load.in_flight(), 0);

    assert!(service.poll_ready().is_ready());
    let future = service.call("hello");
    let (_, send) = handle.next_request().await.expect("a request");
    send.send_response(whole());
    drop(future.await.expect("a response"));
    assert_eq!(load.in_flight(), 0);
}

#[tokio::test]
async fn an_error_passes_through_and_counts_no_longer() {
    let load = Load::new();
    let (mut service, mut handle) =
        mock::spawn_with(|inner: mock::Mock<&str, Response<Full<Bytes>>>| {
            LoadLayer::new(load.clone()).layer(inner)
        });
    assert!(service.poll_ready().is_ready());
    let future = service.call("hello");
    let (_, send) = handle.next_request().await.expect("a request");
    send.send_error("down");
    let error = future.await.expect_err("down");
    assert_eq!(error.to_string(), "down");
    assert_eq!(load.in_flight(), 0);
}

#[tokio::test]
async fn a_response_without_a_body_ends_with_itself() {
    let load = Load::new();
    let mut service = LoadLayer::new(load.clone())
        .track(OnResponse)
        .layer(tower::service_fn(async |()| Ok::<_, Infallible>("plain")));
    assert_eq!(service.call(()).await, Ok("plain"));
    assert_eq!(load.in_flight(), 0);
}

#[tokio::test]
async fn readiness_passes_through() {
    let load = Load::new();
    let (mut service, mut handle) =
        mock::spawn_with(|inner: mock::Mock<&str, Response<Full<Bytes>>>| {
            LoadLayer::new(load.clone()).layer(inner)
        });
    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());

    // A clone has to become ready by itself: the mock within would panic if it were called now.
    let mut clone = service.get_ref().clone();
    handle.allow(0);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(clone.poll_ready(&mut cx).is_pending());
}
