use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::Response;
use http_body::Body;
use tower::Service;

/// Sends one request through a service that has everything at hand, reads the answer to its end, and gives the
/// number of its frames. An error is no frame.
///
/// # Panics
///
/// If anything has to be waited for, or the body fails.
pub fn answer<S, Req, B>(service: &mut S, request: Req) -> usize
where
    S: Service<Req, Response = Response<B>>,
    S::Error: Debug,
    B: Body,
    B::Error: Debug,
{
    let mut cx = Context::from_waker(Waker::noop());
    at_hand(service.poll_ready(&mut cx)).expect("a service that is ready");
    let response = at_hand(pin!(service.call(request)).poll(&mut cx));
    let Ok(response) = response else {
        return 0;
    };
    let mut body = pin!(response.into_body());
    let mut frames = 0;
    // As hyper reads: not beyond an end that the body announces.
    while !body.is_end_stream() {
        match at_hand(body.as_mut().poll_frame(&mut cx)) {
            Some(frame) => frame.expect("a whole body"),
            None => break,
        };
        frames += 1;
    }
    frames
}

pub(crate) fn at_hand<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}
