//! The body of [`Collect`](crate::Collect)'s responses.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backstop_chat::Chunk;
use backstop_core::BoxError;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::assembly::Assembly;

pin_project! {
    /// One document, put together from a stream; or the inner body as it is.
    pub struct CollectBody<B> {
        #[pin]
        inner: B,
        state: State,
    }
}

enum State {
    Passing,
    Collecting(Box<Assembly>),
    Over,
}

impl<B> CollectBody<B> {
    pub(crate) fn new(inner: B, collects: bool) -> Self {
        let state = if collects {
            State::Collecting(Box::default())
        } else {
            State::Passing
        };
        Self { inner, state }
    }
}

impl<B> Body for CollectBody<B>
where
    B: Body<Data = Chunk>,
    B::Error: Into<BoxError>,
{
    type Data = Chunk;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, BoxError>>> {
        let mut this = self.project();
        let collected = loop {
            let assembly = match this.state {
                State::Collecting(assembly) => assembly,
                State::Passing => return this.inner.poll_frame(cx).map_err(Into::into),
                State::Over => return Poll::Ready(None),
            };
            match ready!(this.inner.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) if chunk.is_document() => {
                        *this.state = State::Passing;
                        return Poll::Ready(Some(Ok(Frame::data(chunk))));
                    }
                    Ok(chunk) => {
                        if let Err(failure) = assembly.take(&chunk) {
                            break Err(failure.into());
                        }
                    }
                    // Trailers say nothing that a document could hold.
                    Err(_) => {}
                },
                Some(Err(error)) => break Err(error.into()),
                None => break assembly.finish().map_err(Into::into),
            }
        };
        *this.state = State::Over;
        Poll::Ready(Some(collected.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Passing => self.inner.is_end_stream(),
            State::Collecting(_) => false,
            State::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Passing => self.inner.size_hint(),
            State::Collecting(_) => SizeHint::default(),
            State::Over => SizeHint::with_exact(0),
        }
    }
}

impl<B> fmt::Debug for CollectBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Passing => "passing",
            State::Collecting(_) => "collecting",
            State::Over => "over",
        };
        f.debug_struct("CollectBody")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
