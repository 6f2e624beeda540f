use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use backstop_core::{BoxError, Frame as _};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::error::Stalled;

/// How long a body may keep its reader waiting.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience {
    /// For a frame.
    pub(crate) idle: Option<Duration>,
    /// For content, whatever other frames come.
    pub(crate) ceiling: Option<Duration>,
}

pin_project! {
    /// A body that may not keep its reader waiting for long.
    ///
    /// The time counts from the moment at which the reader finds no frame, and any frame ends it. The time that a
    /// reader waits for content adds up over frames without any. Behind the proof that the answer is complete, time
    /// that is over is no error: the body ends.
    #[derive(Debug)]
    pub struct IdleBody<B> {
        #[pin]
        inner: B,
        #[pin]
        alarm: Alarm,
        patience: Patience,
        // Since when the reader waits, if it does.
        since: Option<Instant>,
        // How long it has waited before, since there was content.
        waited: Duration,
        // Some frame proved that the answer is complete.
        complete: bool,
    }
}

impl<B> IdleBody<B> {
    pub(crate) const fn new(inner: B, patience: Patience) -> Self {
        Self {
            inner,
            alarm: Alarm::new(),
            patience,
            since: None,
            waited: Duration::ZERO,
            complete: false,
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
    B::Data: backstop_core::Frame,
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
            let since = this.since.take();
            let data = frame
                .as_ref()
                .and_then(|frame| frame.as_ref().ok()?.data_ref());
            *this.complete |= data.is_some_and(backstop_core::Frame::is_terminal);
            match &frame {
                Some(Ok(frame)) if !frame.data_ref().is_some_and(|data| data.is_content()) => {
                    // The clock is read only for frames that had to be waited for and hold nothing.
                    if let Some(since) = since {
                        *this.waited += Instant::now().saturating_duration_since(since);
                    }
                }
                _ => *this.waited = Duration::ZERO,
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let Patience { idle, ceiling } = *this.patience;
        let quiet = ceiling.map(|ceiling| ceiling.saturating_sub(*this.waited));
        let Some(left) = idle.into_iter().chain(quiet).min() else {
            return Poll::Pending;
        };
        let since = *this.since.get_or_insert_with(Instant::now);
        // An overflow is so far away that it bounds nothing.
        let Some(until) = since.checked_add(left) else {
            return Poll::Pending;
        };
        ready!(this.alarm.poll_at(until, cx));
        *this.since = None;
        if *this.complete {
            return Poll::Ready(None);
        }
        let error = if idle == Some(left) {
            Stalled::silent()
        } else {
            Stalled::empty()
        };
        Poll::Ready(Some(Err(error.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
