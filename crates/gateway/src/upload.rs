//! The body of a request, as it comes from the client.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use backstop_core::BoxError;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// How long a client may send nothing in the middle of its request. The chain's deadline begins only behind it.
const IDLE: Duration = Duration::from_secs(30);

/// A body that breaks off when nothing of it has come for [`IDLE`].
#[derive(Debug)]
pub(crate) struct Upload<B> {
    inner: B,
    /// Runs while the next frame is waited for.
    idle: Option<Pin<Box<Sleep>>>,
}

impl<B> Upload<B> {
    pub(crate) fn new(inner: B) -> Self {
        Self { inner, idle: None }
    }
}

impl<B> Body for Upload<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.idle = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let idle = self.idle.get_or_insert_with(|| Box::pin(sleep(IDLE)));
        ready!(idle.as_mut().poll(cx));
        Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures_util::stream::{self, StreamExt};
    use http_body_util::{BodyExt, StreamBody};
    use tokio::time::Instant;

    fn frame() -> Result<Frame<Bytes>, BoxError> {
        Ok(Frame::data(Bytes::from_static(b"x")))
    }

    #[tokio::test(start_paused = true)]
    async fn it_breaks_off_when_nothing_comes_and_not_before() {
        let slow = stream::iter([IDLE - Duration::from_secs(1); 3]).then(|pause| async move {
            sleep(pause).await;
            frame()
        });
        let mut body = Upload::new(StreamBody::new(Box::pin(slow.chain(stream::pending()))));
        for _ in 0..3 {
            assert!(
                body.frame().await.expect("a frame").is_ok(),
                "each frame is a sign of life"
            );
        }
        let begun = Instant::now();
        assert!(body.frame().await.expect("an end").is_err());
        assert_eq!(Instant::now().saturating_duration_since(begun), IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_its_body_does() {
        let body = Upload::new(StreamBody::new(stream::iter([frame(), frame()])));
        assert_eq!(body.collect().await.expect("a body").to_bytes(), "xx");
    }
}
