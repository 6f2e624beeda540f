use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backstop_core::{BoxError, Classify, Failures};
use bytes::Buf;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::open::Open;
use crate::{End, Slot};

pin_project! {
    /// The body of a response that is recorded when it ends. Dropped before, it records that the caller went away.
    pub struct AuditBody<B: Body, T: Slot> {
        // `None` once it has ended. Before `open`: what a body holds is let go before the record is made.
        #[pin]
        inner: Option<B>,
        open: Option<Open<T>>,
        #[pin]
        written: Option<T::Written>,
        // The last thing to hand on, while the record is not safe yet.
        held: Option<Result<Frame<B::Data>, BoxError>>,
    }
}

impl<B: Body, T: Slot> AuditBody<B, T> {
    pub(crate) fn new(inner: B, open: Open<T>) -> Self {
        Self {
            inner: Some(inner),
            open: Some(open),
            written: None,
            held: None,
        }
    }

    pub(crate) fn unrecorded(inner: B) -> Self {
        Self {
            inner: Some(inner),
            open: None,
            written: None,
            held: None,
        }
    }

    pub(crate) fn ended() -> Self {
        Self {
            inner: None,
            open: None,
            written: None,
            held: None,
        }
    }
}

impl<B, T> Body for AuditBody<B, T>
where
    B: Body,
    B::Error: Into<BoxError>,
    T: Slot,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        if let Some(mut inner) = this.inner.as_mut().as_pin_mut() {
            let frame =
                ready!(inner.as_mut().poll_frame(cx)).map(|frame| frame.map_err(Into::into));
            let end = match &frame {
                Some(Ok(part)) => {
                    if let (Some(open), true) = (this.open.as_mut(), part.is_data()) {
                        open.data();
                    }
                    // A consumer may stop polling once the body says that it is over.
                    if !inner.is_end_stream() {
                        return Poll::Ready(frame);
                    }
                    End::Complete
                }
                Some(Err(error)) => {
                    if let Some(open) = this.open {
                        open.failed(Classify::<Response<()>>::classify(&Failures, Err(error)));
                    }
                    End::Broken
                }
                None => End::Complete,
            };
            this.inner.set(None);
            this.written
                .set(this.open.take().and_then(|mut open| open.close(end)));
            *this.held = frame;
        }
        if let Some(written) = this.written.as_mut().as_pin_mut() {
            ready!(written.poll(cx));
            this.written.set(None);
        }
        Poll::Ready(this.held.take())
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Some(inner) => inner.is_end_stream(),
            None => self.written.is_none() && self.held.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.inner, &self.held) {
            (Some(inner), _) => inner.size_hint(),
            (None, Some(Ok(frame))) => {
                SizeHint::with_exact(frame.data_ref().map_or(0, |data| data.remaining() as u64))
            }
            (None, _) => SizeHint::with_exact(0),
        }
    }
}

impl<B: Body + fmt::Debug, T: Slot> fmt::Debug for AuditBody<B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditBody")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
