use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use backstop_core::{BoxError, Frame, Trail};
use http_body::{Body, SizeHint};
use pin_project_lite::pin_project;

use crate::guard::Guard;

pin_project! {
    /// An answer whose frames are read for where they come from. From elsewhere, it ends with an error.
    pub struct SealedBody<B> {
        #[pin]
        inner: B,
        guard: Arc<Guard>,
        trail: Option<Trail>,
        misplaced: bool,
    }
}

impl<B> SealedBody<B> {
    pub(crate) const fn new(inner: B, guard: Arc<Guard>, trail: Option<Trail>) -> Self {
        Self {
            inner,
            guard,
            trail,
            misplaced: false,
        }
    }
}

impl<B> Body for SealedBody<B>
where
    B: Body,
    B::Data: Frame,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        if *this.misplaced {
            return Poll::Ready(None);
        }
        let frame = ready!(this.inner.poll_frame(cx)).transpose();
        let frame = frame.map_err(Into::into)?;
        if let Some(place) = frame.as_ref().and_then(|frame| frame.data_ref()?.place())
            && let Some(failure) = this.guard.judge(place, this.trail.as_ref())
        {
            *this.misplaced = true;
            return Poll::Ready(Some(Err(failure.into())));
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.misplaced || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: fmt::Debug> fmt::Debug for SealedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedBody")
            .field("inner", &self.inner)
            .field("misplaced", &self.misplaced)
            .finish_non_exhaustive()
    }
}
