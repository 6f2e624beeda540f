use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use backstop_core::{BoxError, Deadline};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::error::Stalled;

pin_project! {
    /// A body that may not keep its reader waiting for long.
    ///
    /// The time counts from the moment at which the reader finds no frame, and any frame ends it.
    #[derive(Debug)]
    pub struct IdleBody<B> {
        #[pin]
        inner: B,
        #[pin]
        alarm: Alarm,
        idle: Option<Duration>,
        // When the present wait is over. `None` unless the reader waits.
        until: Option<Instant>,
    }
}

impl<B> IdleBody<B> {
    pub(crate) const fn new(inner: B, idle: Option<Duration>) -> Self {
        Self {
            inner,
            alarm: Alarm::new(),
            idle,
            until: None,
        }
    }

    /// The inner body.
    pub const fn get_ref(&self) -> &B {
        &self.inner
    }
}

impl<B> Body for IdleBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            // The timer may go off for nothing now; stopping it for each frame would cost more.
            *this.until = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let Some(idle) = *this.idle else {
            return Poll::Pending;
        };
        let until = *this
            .until
            .get_or_insert_with(|| Deadline::after(idle).instant());
        ready!(this.alarm.poll_at(until, cx));
        *this.until = None;
        Poll::Ready(Some(Err(Stalled::new().into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
