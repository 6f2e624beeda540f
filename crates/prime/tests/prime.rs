//! What `Prime` holds, what it lets go of, and what it leaves behind.

mod support;

use std::pin::pin;
use std::task::Poll;

use backstop_core::{BoxError, Classify, Failure, FailureKind, Failures, Usage};
use backstop_prime::{Prime, PrimeLayer, PrimedBody, future::ResponseFuture};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{Empty, Full, StreamBody};
use tower::util::ServiceFn;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock;

use support::{Piece, Script, Step, content, frame, poll, preamble, script};

/// A primed service that answers once, with `body`.
fn primed<B>(
    layer: &PrimeLayer,
    body: B,
) -> Prime<
    ServiceFn<
        impl FnMut(Request<()>) -> std::future::Ready<Result<Response<B>, BoxError>> + use<B>,
    >,
> {
    let mut body = Some(body);
    layer.layer(service_fn(move |_: Request<()>| {
        std::future::ready(Ok(Response::new(body.take().expect("one call"))))
    }))
}

/// What the caller of a primed service has after one poll.
fn outcome(
    layer: &PrimeLayer,
    body: Script,
) -> Poll<Result<Response<PrimedBody<Script>>, BoxError>> {
    let mut service = primed(layer, body);
    poll(pin!(service.call(Request::new(()))))
}

/// The response of a body that shows at once what it is.
fn response(body: Script) -> Response<PrimedBody<Script>> {
    match outcome(&PrimeLayer::new(), body) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(error)) => panic!("failed: {error}"),
        Poll::Pending => panic!("still held"),
    }
}

/// Everything that is left of a body, as text; `|` between frames, `T` for trailers.
fn replay(body: &mut PrimedBody<Script>) -> String {
    let mut text = Vec::new();
    while let Some(frame) = frame(body) {
        text.push(match frame {
            Ok(frame) => match frame.into_data() {
                Ok(piece) => String::from_utf8(piece.bytes.to_vec()).expect("text"),
                Err(_) => "T".to_owned(),
            },
            Err(error) => format!("error: {error}"),
        });
    }
    text.join("|")
}

#[test]
fn preamble_is_held_and_replayed_with_the_first_content() {
    let mut service = primed(
        &PrimeLayer::new(),
        script([
            preamble("role").into(),
            Step::Wait,
            preamble("ping").into(),
            Step::Wait,
            content("Hel").into(),
            content("lo").into(),
        ]),
    );
    let mut call = pin!(service.call(Request::new(())));
    assert!(poll(call.as_mut()).is_pending(), "a role is no content");
    assert!(poll(call.as_mut()).is_pending(), "nor is a ping");
    let Poll::Ready(Ok(mut response)) = poll(call) else {
        panic!("content ends the wait");
    };
    assert_eq!(replay(response.body_mut()), "role|ping|Hel|lo");
}

#[test]
fn a_proof_of_completeness_ends_the_wait() {
    let proof = Piece {
        terminal: true,
        ..preamble("stop")
    };
    let mut response = response(script([
        proof.into(),
        Step::Wait,
        preamble("[DONE]").into(),
    ]));
    let first = frame(response.body_mut());
    assert!(matches!(first, Some(Ok(_))), "the proof is replayed");
}

#[test]
fn an_error_before_content_is_the_calls_error() {
    let body = script([preamble("role").into(), Step::Fail("overloaded")]);
    let alive = body.alive();
    let Poll::Ready(Err(error)) = outcome(&PrimeLayer::new(), body) else {
        panic!("the call fails");
    };
    assert_eq!(error.to_string(), "overloaded");
    assert!(alive.upgrade().is_none(), "the failed body is gone");
}

#[test]
fn an_error_after_content_stays_in_the_body() {
    let mut response = response(script([content("Hel").into(), Step::Fail("reset")]));
    let mut text = Vec::new();
    for _ in 0..2 {
        text.push(frame(response.body_mut()).expect("two items").is_ok());
    }
    assert_eq!(text, [true, false]);
}

#[test]
fn a_verdict_in_a_held_frame_is_found_in_the_extensions() {
    let refusal = Piece {
        terminal: true,
        failure: Some(FailureKind::ContentFilter),
        usage: Some(Usage::reported(9, 4)),
        ..preamble("content_filter")
    };
    let mut refused = response(script([preamble("role").into(), refusal.into()]));
    let verdict = Failures.classify(Ok(&refused));
    assert_eq!(
        verdict.as_ref().map(Failure::kind),
        Some(FailureKind::ContentFilter)
    );
    assert_eq!(
        refused.extensions().get(),
        Some(&Usage::reported(9, 4)),
        "nobody may read on"
    );
    assert_eq!(
        replay(refused.body_mut()),
        "role|content_filter",
        "the provider's own words can still be handed on"
    );

    let answered = response(script([content("Hello").into()]));
    assert!(Failures.classify(Ok(&answered)).is_none());
}

#[test]
fn no_more_than_the_limit_is_held() {
    let layer = PrimeLayer::new().limit(7);
    let fits = || script([preamble("1234").into(), preamble("567").into(), Step::Wait]);
    assert!(outcome(&layer, fits()).is_pending(), "7 bytes are allowed");

    let over = script([preamble("1234").into(), preamble("5678").into(), Step::Wait]);
    let Poll::Ready(Ok(mut response)) = outcome(&layer, over) else {
        panic!("8 bytes are too many");
    };
    for expected in ["1234", "5678"] {
        let piece = frame(response.body_mut()).expect("held").expect("no error");
        assert_eq!(piece.into_data().expect("data").bytes, expected);
    }
}

#[test]
fn empty_frames_cannot_hold_a_response_for_ever() {
    let layer = PrimeLayer::new().limit(2);
    let empty = || Step::Data(preamble(""));
    assert!(outcome(&layer, script([empty(), empty(), Step::Wait])).is_pending());
    assert!(outcome(&layer, script([empty(), empty(), empty(), Step::Wait])).is_ready());
}

#[test]
fn a_limit_of_nothing_lets_the_first_frame_through() {
    let layer = PrimeLayer::new().limit(0);
    assert!(outcome(&layer, script([preamble("x").into(), Step::Wait])).is_ready());
}

#[test]
fn trailers_and_the_end_end_the_wait() {
    let mut trailed = response(script([preamble("role").into(), Step::Trailers]));
    assert_eq!(replay(trailed.body_mut()), "role|T");

    let mut ended = response(script([preamble("role").into()]));
    assert!(!ended.body().is_end_stream(), "a frame is still to come");
    assert_eq!(replay(ended.body_mut()), "role");
    assert!(ended.body().is_end_stream());
}

#[test]
fn an_empty_body_is_an_answer() {
    let mut service = primed(&PrimeLayer::new(), Empty::<Bytes>::new());
    let Poll::Ready(Ok(mut response)) = poll(pin!(service.call(Request::new(())))) else {
        panic!("nothing to wait for");
    };
    assert!(response.body().is_end_stream());
    assert_eq!(response.body().size_hint().exact(), Some(0));
    assert!(frame(response.body_mut()).is_none());
}

#[test]
fn the_size_hint_counts_what_is_held() {
    let mut response = response(script([
        preamble("1234").into(),
        content("56").into(),
        content("789").into(),
    ]));
    for left in [9, 5, 3, 0] {
        assert_eq!(response.body().size_hint().exact(), Some(left));
        let _ = frame(response.body_mut());
    }

    let mut whole = primed(&PrimeLayer::new(), Full::new(Bytes::from_static(b"whole")));
    let Poll::Ready(Ok(response)) = poll(pin!(whole.call(Request::new(())))) else {
        panic!("it is there");
    };
    assert_eq!(response.body().size_hint().exact(), Some(5));
    assert!(!response.body().is_end_stream());
}

#[test]
fn the_size_of_what_has_ended_is_known() {
    let piece: Result<_, BoxError> = Ok(http_body::Frame::data(preamble("1234")));
    let unsized_body = StreamBody::new(futures_util::stream::iter([piece]));
    assert_eq!(unsized_body.size_hint().exact(), None);
    let mut service = primed(&PrimeLayer::new(), unsized_body);
    let Poll::Ready(Ok(response)) = poll(pin!(service.call(Request::new(())))) else {
        panic!("its end ends the wait");
    };
    assert_eq!(response.body().size_hint().exact(), Some(4));
}

#[test]
fn dropping_it_at_any_point_leaves_nothing() {
    let body = || script([preamble("role").into(), Step::Wait, content("x").into()]);
    // Dropped after this many polls: before the first, while held, with the response in hand.
    for polls in 0..3 {
        let body = body();
        let alive = body.alive();
        let mut service = primed(&PrimeLayer::new(), body);
        {
            let mut call = pin!(service.call(Request::new(())));
            for _ in 0..polls {
                drop(poll(call.as_mut()));
            }
            assert_eq!(alive.upgrade().is_some(), polls < 2);
        }
        assert!(alive.upgrade().is_none(), "after {polls} polls");
    }
}

#[test]
fn dropping_the_body_half_way_drops_the_inner_one() {
    let body = script([content("x").into(), content("y").into()]);
    let alive = body.alive();
    let mut response = response(body);
    assert!(frame(response.body_mut()).is_some());
    drop(response);
    assert!(alive.upgrade().is_none());
}

#[test]
fn readiness_is_the_inner_services() {
    let (mut service, mut handle) =
        mock::spawn_layer::<(), Response<Full<Bytes>>, _>(PrimeLayer::new());
    handle.allow(0);
    assert!(service.poll_ready::<()>().is_pending());
    handle.allow(1);
    assert!(service.poll_ready::<()>().is_ready());

    let mut clone = service.clone();
    handle.allow(0);
    assert!(
        clone.poll_ready::<()>().is_pending(),
        "a clone is not ready because its original was"
    );

    handle.send_error("gone");
    assert!(
        matches!(clone.poll_ready::<()>(), Poll::Ready(Err(error)) if error.to_string() == "gone")
    );
}

#[tokio::test]
async fn an_error_of_the_service_passes_as_it_is() {
    let failing = service_fn(|_: Request<()>| async {
        Err::<Response<Full<Bytes>>, _>(Failure::new(FailureKind::Auth))
    });
    let error = PrimeLayer::new()
        .layer(failing)
        .oneshot(Request::new(()))
        .await
        .expect_err("it failed");
    assert!(error.is::<Failure>(), "not wrapped");
}

#[test]
fn everything_can_be_sent_and_shown() {
    fn check<T: Send + std::fmt::Debug>() {}
    fn sync<T: Send + Sync + Clone>() {}
    check::<PrimedBody<Full<Bytes>>>();
    check::<ResponseFuture<std::future::Ready<()>, Full<Bytes>>>();
    check::<Prime<()>>();
    sync::<PrimeLayer>();
    sync::<Prime<()>>();
}
