//! The body of [`Edge`](crate::Edge)'s responses.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use backstop_chat::Chunk;
use backstop_core::{BoxError, Trail};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::error::Rejection;
use crate::layer::Options;

const DONE: &[u8] = b"data: [DONE]\n\n";

/// From how many bytes on events do not wait for those that are ready behind them.
const BATCH: usize = 3 * 1024;

/// As much as most events have.
const ROOM: usize = 1024;

pin_project! {
    /// JSON, or server-sent events.
    ///
    /// Events that are ready together are one frame, so that they leave in one write. A stream ends with
    /// `data: [DONE]`. If it breaks, it ends with an error in OpenAI's format before that, and without a finish
    /// reason: it never looks complete when it is not.
    #[project = EdgeBodyProj]
    pub struct EdgeBody<R> {
        #[pin]
        kind: Kind<R>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<R> {
        Full { bytes: Option<Bytes> },
        Stream { #[pin] inner: R, options: Arc<Options>, trail: Trail },
        Last { bytes: Option<Bytes> },
    }
}

impl<R> EdgeBody<R> {
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Full {
                bytes: Some(bytes).filter(|bytes| !bytes.is_empty()),
            },
        }
    }

    pub(crate) fn stream(inner: R, options: Arc<Options>, trail: Trail) -> Self {
        Self {
            kind: Kind::Stream {
                inner,
                options,
                trail,
            },
        }
    }
}

impl<R> Body for EdgeBody<R>
where
    R: Body<Data = Chunk>,
    R::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut this = self.project();
        loop {
            let last: Bytes = match this.kind.as_mut().project() {
                KindProj::Full { bytes } | KindProj::Last { bytes } => {
                    return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
                }
                KindProj::Stream {
                    mut inner,
                    options,
                    trail,
                } => {
                    let mut batch = Batch::default();
                    let end = loop {
                        match inner.as_mut().poll_frame(cx) {
                            Poll::Ready(Some(Ok(frame))) => {
                                if let Ok(chunk) = frame.into_data() {
                                    batch.push(chunk.into_bytes());
                                }
                                if batch.len() < BATCH {
                                    continue;
                                }
                            }
                            Poll::Ready(Some(Err(error))) => break Some(error.into()),
                            Poll::Ready(None) => break None,
                            Poll::Pending if batch.len() == 0 => return Poll::Pending,
                            Poll::Pending => {}
                        }
                        return Poll::Ready(Some(Ok(Frame::data(batch.into_bytes()))));
                    };
                    if let Some(error) = end {
                        let rejection = Rejection::of(&error);
                        trail.surface();
                        trail.end(rejection.outcome());
                        let mut event = b"data: ".to_vec();
                        event.extend_from_slice(&rejection.into_json(options, trail));
                        event.extend_from_slice(b"\n\n");
                        batch.push(event.into());
                    }
                    batch.push(Bytes::from_static(DONE));
                    batch.into_bytes()
                }
            };
            // What runs within is over: whoever waits for its end need not wait for the caller to read ours.
            this.kind.set(Kind::Last { bytes: Some(last) });
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full { bytes } | Kind::Last { bytes } => bytes.is_none(),
            Kind::Stream { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full { bytes } | Kind::Last { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Kind::Stream { .. } => SizeHint::default(),
        }
    }
}

/// Events that are ready together.
#[derive(Default)]
struct Batch {
    first: Bytes,
    all: Vec<u8>,
}

impl Batch {
    fn push(&mut self, event: Bytes) {
        if event.is_empty() {
            return;
        }
        if self.len() == 0 {
            self.first = event;
            return;
        }
        if self.all.is_empty() {
            let two = self.first.len() + event.len();
            self.all.reserve_exact((4 * two).min(BATCH + ROOM).max(two));
            self.all.extend_from_slice(&self.first);
        } else if self.all.capacity() - self.all.len() < event.len() {
            // As much as most batches need, and no more: it may wait for long before a slow client.
            let rest = (BATCH + ROOM).saturating_sub(self.all.len());
            self.all.reserve_exact(rest.max(event.len()));
        }
        self.all.extend_from_slice(&event);
    }

    fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    fn into_bytes(self) -> Bytes {
        if !self.all.is_empty() {
            self.all.into()
        } else if self.first.len() < BATCH {
            // It may wait for long, and would keep all of the events that it came with.
            Bytes::copy_from_slice(&self.first)
        } else {
            self.first
        }
    }
}

impl<R> fmt::Debug for EdgeBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeBody").finish_non_exhaustive()
    }
}
