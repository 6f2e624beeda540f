//! The body of [`Edge`](crate::Edge)'s responses.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use backstop_chat::Chunk;
use backstop_core::{BoxError, Trail};
use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::error::Rejection;
use crate::layer::Options;

const DONE: &[u8] = b"data: [DONE]\n\n";

pin_project! {
    /// JSON, or server-sent events.
    ///
    /// A stream ends with `data: [DONE]`. If it breaks, it ends with an error in OpenAI's format before that, and
    /// without a finish reason: it never looks complete when it is not.
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
            let last = match this.kind.as_mut().project() {
                KindProj::Full { bytes } | KindProj::Last { bytes } => {
                    return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
                }
                KindProj::Stream {
                    inner,
                    options,
                    trail,
                } => match ready!(inner.poll_frame(cx)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(chunk) if chunk.has_remaining() => {
                            return Poll::Ready(Some(Ok(Frame::data(chunk.into_bytes()))));
                        }
                        _ => continue,
                    },
                    Some(Err(error)) => {
                        let rejection = Rejection::of(&error.into());
                        trail.surface();
                        trail.end(rejection.outcome());
                        let mut bytes = b"data: ".to_vec();
                        bytes.extend_from_slice(&rejection.into_json(options, trail));
                        bytes.extend_from_slice(b"\n\n");
                        bytes.extend_from_slice(DONE);
                        bytes.into()
                    }
                    None => Bytes::from_static(DONE),
                },
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

impl<R> fmt::Debug for EdgeBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeBody").finish_non_exhaustive()
    }
}
