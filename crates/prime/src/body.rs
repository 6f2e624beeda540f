use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backstop_core::{Failure, Frame, Usage};
use http_body::{Body, SizeHint};
use pin_project_lite::pin_project;

use crate::held::Held;

/// A body whose beginning has been read: it replays that, and is the inner body from there on.
///
/// It is one pointer, as responses move through every layer above.
pub struct PrimedBody<B: Body>(Pin<Box<State<B>>>);

pin_project! {
    /// Boxed, because it is polled inside the response future and moves into the response afterwards.
    struct State<B: Body> {
        #[pin]
        inner: B,
        held: Held<B::Data>,
        // The inner body has said that it is over; it may not be polled again.
        ended: bool,
    }
}

impl<B: Body> PrimedBody<B> {
    pub(crate) fn new(inner: B) -> Self {
        Self(Box::pin(State {
            inner,
            held: Held::new(),
            ended: false,
        }))
    }

    /// Reads on until the body has shown what it is.
    pub(crate) fn poll_prime(
        &mut self,
        limit: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), B::Error>>
    where
        B::Data: Frame,
    {
        let mut state = self.0.as_mut().project();
        while !*state.ended {
            let Some(frame) = ready!(state.inner.as_mut().poll_frame(cx)) else {
                *state.ended = true;
                break;
            };
            let frame = frame?;
            // Anything that is not data is at the end of the body.
            let shows = frame
                .data_ref()
                .is_none_or(|data| data.is_content() || data.is_terminal());
            state.held.push(frame);
            // Frames count too, or a body could supply empty ones for ever.
            if shows || state.held.bytes().max(state.held.len()) > limit {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The verdict in what is held.
    pub(crate) fn failure(&self) -> Option<Failure>
    where
        B::Data: Frame,
    {
        self.0.held.data().find_map(Frame::failure)
    }

    /// What the answer took, if all of it is held.
    pub(crate) fn whole_usage(&self) -> Option<Usage>
    where
        B::Data: Frame,
    {
        let mut frames = self.0.held.data();
        let usage = self.0.held.data().filter_map(Frame::usage).last();
        usage.copied().filter(|_| frames.any(Frame::is_terminal))
    }
}

impl<B: Body> Body for PrimedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        let state = self.0.as_mut().project();
        if let Some(frame) = state.held.pop() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if *state.ended {
            return Poll::Ready(None);
        }
        state.inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.held.is_empty() && (self.0.ended || self.0.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.0.held.bytes() as u64;
        if self.0.ended {
            return SizeHint::with_exact(held);
        }
        let rest = self.0.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(held));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(held)) {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for PrimedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrimedBody")
            .field("inner", &self.0.inner)
            .field("held", &self.0.held.len())
            .field("ended", &self.0.ended)
            .finish()
    }
}
