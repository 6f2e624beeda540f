//! What an attempt takes, and when it gives it back.

use std::sync::Arc;
use std::task::Poll;

use backstop_core::{BoxError, Deployment, Failure, FailureKind};
use backstop_fallback::{Fallback, InOrder, LeastBusy, Target, Weighted};
use http::{Request, Response};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt, service_fn};
use tower_test::mock;

use crate::support::{Act, Log, poll, request, target};

type Mock = mock::Mock<Request<&'static str>, Response<&'static str>>;
type Handle = mock::Handle<Request<&'static str>, Response<&'static str>>;

/// Two targets that are polled by hand. A mock panics when it is called without being ready.
fn pair() -> (Fallback<Mock>, Handle, Handle) {
    let (a, a_handle) = mock::pair();
    let (b, b_handle) = mock::pair();
    let fallback = Fallback::in_order([
        Target::new(Deployment::new("a"), a),
        Target::new(Deployment::new("b"), b),
    ]);
    (fallback, a_handle, b_handle)
}

#[tokio::test]
async fn only_whoever_is_asked_is_cloned_and_only_the_last_gets_the_request_itself() {
    let log = Log::default();
    let failing = || Act::fail(FailureKind::Network);
    let mut fallback = Fallback::in_order([
        target(&log, "a", failing()),
        target(&log, "b", failing()),
        target(&log, "c", Act::Answer),
    ]);
    let _second = fallback.clone();
    let future = fallback.call(request(&log));
    assert!(
        log.take().is_empty(),
        "nothing is cloned before the first poll"
    );
    future.await.expect("an answer");
    assert_eq!(
        log.take(),
        [
            "clone request",
            "clone a",
            "call a 0/3",
            "gone a",
            "clone request",
            "clone b",
            "call b 1/3",
            "gone b",
            "clone c",
            "call c 2/3",
            "gone c",
        ],
        "an attempt is gone before the next one starts"
    );
}

#[tokio::test]
async fn a_chain_of_one_clones_no_request() {
    let log = Log::default();
    let mut fallback = Fallback::in_order([target(&log, "a", Act::Answer)]);
    fallback.call(request(&log)).await.expect("an answer");
    assert!(!log.take().contains(&"clone request".to_owned()));
}

#[tokio::test]
async fn always_ready_and_waits_for_the_target_whose_turn_it_is() {
    let (mut fallback, mut a, mut b) = pair();
    a.allow(0);
    assert!(matches!(poll(&mut fallback.ready()), Poll::Ready(Ok(_))));
    let mut future = Box::pin(fallback.call(Request::new("hello")));
    assert!(poll(&mut future).is_pending());
    assert!(
        poll(&mut Box::pin(b.next_request())).is_pending(),
        "b has no turn"
    );

    a.allow(1);
    assert!(poll(&mut future).is_pending());
    let (_, answer) = a.next_request().await.expect("a request");
    answer.send_response(Response::new("a"));
    assert_eq!(*future.await.expect("an answer").body(), "a");
}

/// Polls a call to a chain of two once, drops it, and says what happened in between.
fn dropped(first: Act, second: Act) -> Vec<String> {
    let log = Log::default();
    let mut fallback = Fallback::in_order([target(&log, "a", first), target(&log, "b", second)]);
    let mut future = Box::pin(fallback.call(request(&log)));
    assert!(poll(&mut future).is_pending());
    log.push("drop");
    drop(future);
    let mut entries = log.take();
    entries.retain(|entry| !entry.starts_with("clone"));
    entries
}

#[test]
fn dropping_while_unready_asks_nobody() {
    assert_eq!(dropped(Act::Wait, Act::Answer), ["drop"]);
}

#[test]
fn dropping_mid_attempt_cancels_that_one_and_starts_no_other() {
    assert_eq!(
        dropped(Act::Hang, Act::Answer),
        ["call a 0/2", "drop", "gone a"]
    );
}

#[test]
fn dropping_later_cancels_only_the_one_in_flight() {
    let down = || Act::fail(FailureKind::Network);
    assert_eq!(dropped(down(), Act::Wait), ["call a 0/2", "gone a", "drop"]);
    assert_eq!(
        dropped(down(), Act::Hang),
        ["call a 0/2", "gone a", "call b 1/2", "drop", "gone b"]
    );
}

#[tokio::test]
async fn boxed_targets_of_different_types_share_a_chain_between_threads() {
    type Boxed = BoxCloneSyncService<Request<()>, Response<&'static str>, BoxError>;
    let down = service_fn(async |_: Request<()>| {
        Err::<Response<&'static str>, BoxError>(Failure::new(FailureKind::ServerError).into())
    });
    let up = service_fn(async |_: Request<()>| Ok::<_, BoxError>(Response::new("up")));
    let fallback = Fallback::in_order([
        Target::new(Deployment::new("down"), Boxed::new(down)),
        Target::new(Deployment::new("up"), Boxed::new(up)),
    ]);
    fn is_send_sync<T: Send + Sync + 'static>(_: &T) {}
    fn is_send<T: Send + 'static>(_: &T) {}
    is_send_sync(&fallback);
    is_send_sync(&fallback.clone().strategy(LeastBusy::new()));
    is_send_sync(&fallback.clone().strategy(Weighted::new()));
    is_send_sync(&fallback.clone().strategy(Arc::new(InOrder)));
    let future = fallback.clone().call(Request::new(()));
    is_send(&future);
    let answer = tokio::spawn(future).await.expect("no panic");
    assert_eq!(*answer.expect("an answer").body(), "up");
}

#[tokio::test]
#[should_panic(expected = "polled after completion")]
async fn a_finished_future_is_not_polled_again() {
    let log = Log::default();
    let mut fallback = Fallback::in_order([target(&log, "a", Act::Answer)]);
    let mut future = Box::pin(fallback.call(request(&log)));
    assert!(poll(&mut future).is_ready());
    let _ = poll(&mut future);
}

#[test]
fn debug_shows_the_chain_and_not_the_services() {
    let log = Log::default();
    let fallback = Fallback::in_order([target(&log, "east", Act::Answer).with_order(3)]);
    let text = format!("{fallback:?}");
    assert!(text.contains("east") && text.contains("order: 3"), "{text}");
}
