//! A body that somebody watches to its true end.
//!
//! A response is not over when its headers arrive. Whoever holds something for a request (a circuit's ticket, a
//! row in a record, a place in a count) moves it into the body with [`Tracked`], which tells it of each frame and
//! of the end, exactly once; a body that is dropped before its end drops the [`Watch`], whose own `Drop` decides
//! what an abandoned answer means.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::BoxError;

/// Learns how an answer ended. Dropped without being told, it has been abandoned: the caller went away.
pub trait Settle {
    /// The answer ended: completely, or with an error. Not called when it is dropped early.
    fn settle(self, outcome: Result<(), &BoxError>);
}

/// Watches a body: each data frame, then its end.
pub trait Watch<D>: Settle {
    /// A data frame is about to be handed on.
    fn data(&mut self, data: &D) {
        let _ = data;
    }
}

impl<S: Settle> Settle for Option<S> {
    fn settle(self, outcome: Result<(), &BoxError>) {
        if let Some(settle) = self {
            settle.settle(outcome);
        }
    }
}

impl<D, W: Watch<D>> Watch<D> for Option<W> {
    fn data(&mut self, data: &D) {
        if let Some(watch) = self {
            watch.data(data);
        }
    }
}

/// Until when an obligation lasts: how a layer lets it follow a response. See [`OnBody`] and [`OnResponse`].
pub trait Track<Res, W> {
    /// The response that carries the obligation.
    type Response;

    /// Hands `watch` to `response`.
    fn track(&self, response: Res, watch: W) -> Self::Response;
}

/// An answer lasts until the end of its body.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnBody;

impl<B, W> Track<Response<B>, W> for OnBody
where
    B: Body,
    W: Watch<B::Data>,
{
    type Response = Response<Tracked<B, W>>;

    fn track(&self, response: Response<B>, watch: W) -> Self::Response {
        response.map(|body| Tracked::new(body, watch))
    }
}

/// An answer is over when the response is there, whatever its type.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnResponse;

impl<Res, W: Settle> Track<Res, W> for OnResponse {
    type Response = Res;

    fn track(&self, response: Res, watch: W) -> Res {
        watch.settle(Ok(()));
        response
    }
}

pin_project! {
    /// A body and the [`Watch`] that goes with it.
    pub struct Tracked<B, W> {
        #[pin]
        inner: B,
        watch: Option<W>,
    }
}

impl<B: Body, W: Watch<B::Data>> Tracked<B, W> {
    /// Lets `watch` see `inner`. A body that has already ended is reported at once: nobody need poll it.
    pub fn new(inner: B, watch: W) -> Self {
        let watch = if inner.is_end_stream() {
            watch.settle(Ok(()));
            None
        } else {
            Some(watch)
        };
        Self { inner, watch }
    }

    /// The body within.
    pub fn get_ref(&self) -> &B {
        &self.inner
    }
}

impl<B, W> Body for Tracked<B, W>
where
    B: Body,
    B::Error: Into<BoxError>,
    W: Watch<B::Data>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        match frame {
            Some(Ok(frame)) => {
                if let (Some(watch), Some(data)) = (this.watch.as_mut(), frame.data_ref()) {
                    watch.data(data);
                }
                // A consumer may stop polling once the body says that it is over.
                if this.inner.is_end_stream()
                    && let Some(watch) = this.watch.take()
                {
                    watch.settle(Ok(()));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                let error = error.into();
                if let Some(watch) = this.watch.take() {
                    watch.settle(Err(&error));
                }
                Poll::Ready(Some(Err(error)))
            }
            None => {
                if let Some(watch) = this.watch.take() {
                    watch.settle(Ok(()));
                }
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: fmt::Debug, W> fmt::Debug for Tracked<B, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracked")
            .field("inner", &self.inner)
            .field("ended", &self.watch.is_none())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty, Full, StreamBody};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl Log {
        fn push(&self, entry: impl Into<String>) {
            self.0.lock().expect("no panic").push(entry.into());
        }

        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().expect("no panic"))
        }
    }

    struct Logged(Log, bool);

    impl Watch<Bytes> for Logged {
        fn data(&mut self, data: &Bytes) {
            self.0.push(format!("data {}", data.len()));
        }
    }

    impl Settle for Logged {
        fn settle(mut self, outcome: Result<(), &BoxError>) {
            self.1 = true;
            self.0.push(match outcome {
                Ok(()) => "complete".to_owned(),
                Err(error) => format!("failed: {error}"),
            });
        }
    }

    impl Drop for Logged {
        fn drop(&mut self) {
            if !self.1 {
                self.0.push("dropped");
            }
        }
    }

    fn tracked<B: Body<Data = Bytes>>(body: B) -> (Tracked<B, Logged>, Log) {
        let log = Log::default();
        (Tracked::new(body, Logged(log.clone(), false)), log)
    }

    #[tokio::test]
    async fn reports_frames_and_one_end() {
        let frames = futures_of(vec![
            Ok(Frame::data(Bytes::from_static(b"abc"))),
            Ok(Frame::data(Bytes::from_static(b"d"))),
        ]);
        let (body, log) = tracked(frames);
        body.collect().await.expect("a whole body");
        assert_eq!(log.take(), ["data 3", "data 1", "complete"]);
    }

    #[tokio::test]
    async fn reports_an_error_once() {
        let frames = futures_of(vec![
            Ok(Frame::data(Bytes::from_static(b"abc"))),
            Err("reset".into()),
        ]);
        let (body, log) = tracked(frames);
        assert!(body.collect().await.is_err());
        assert_eq!(log.take(), ["data 3", "failed: reset"]);
    }

    #[test]
    fn an_empty_body_has_ended_before_it_is_polled() {
        let (_body, log) = tracked(Empty::new());
        assert_eq!(log.take(), ["complete"]);
    }

    #[tokio::test]
    async fn the_end_is_seen_with_the_last_frame() {
        let (mut body, log) = tracked(Full::new(Bytes::from_static(b"x")));
        body.frame().await.expect("a frame").expect("no error");
        assert_eq!(
            log.take(),
            ["data 1", "complete"],
            "nobody has to poll past a known end"
        );
    }

    #[test]
    fn a_dropped_body_drops_its_watch() {
        let (body, log) = tracked(Full::new(Bytes::from_static(b"x")));
        drop(body);
        assert_eq!(log.take(), ["dropped"]);
    }

    fn futures_of(
        frames: Vec<Result<Frame<Bytes>, BoxError>>,
    ) -> impl Body<Data = Bytes, Error = BoxError> + Unpin {
        StreamBody::new(futures_util::stream::iter(frames))
    }
}
