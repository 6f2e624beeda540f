//! Polling by hand, and a service and a body that a test can feed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use backstop_core::BoxError;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Polls once.
pub(crate) fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A body that has what a test has fed it so far; it wakes nobody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Feed(Arc<Mutex<VecDeque<&'static str>>>);

impl Feed {
    pub(crate) fn push(&self, text: &'static str) {
        self.0.lock().expect("no panic").push_back(text);
    }

    /// Whether a body is left that this feeds.
    pub(crate) fn is_alive(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl Body for Feed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.lock().expect("no panic").pop_front() {
            Some(text) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))),
            None => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(42)
    }

    fn is_end_stream(&self) -> bool {
        false
    }
}

/// A service that answers after `delay`, with `body`.
pub(crate) fn slow<B: Clone>(
    delay: Duration,
    body: B,
) -> impl tower::Service<
    Request<()>,
    Response = Response<B>,
    Error = BoxError,
    Future: Future<Output = Result<Response<B>, BoxError>>,
> + Clone {
    tower::service_fn(move |_: Request<()>| {
        let body = body.clone();
        async move {
            tokio::time::sleep(delay).await;
            Ok(Response::new(body))
        }
    })
}
