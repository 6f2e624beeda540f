use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use pin_project_lite::pin_project;

/// How much of a body over the limit is read and thrown away, so that the client gets to read the refusal rather
/// than a reset connection.
const DISCARD: usize = 64 * 1024 * 1024;

/// Less than this is a small part of what servers read at once.
const SMALL: usize = 4 * 1024;

pin_project! {
    /// Reads a request's body under a limit. One that comes in one piece is not copied, unless it is small.
    pub(crate) struct Intake<B> {
        #[pin]
        body: B,
        limit: usize,
        first: Bytes,
        rest: BytesMut,
        over: usize,
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum IntakeError {
    TooLarge,
    Broken,
}

impl<B: Body> Intake<B> {
    pub(crate) fn new(body: B, limit: usize) -> Self {
        Self {
            body,
            limit,
            first: Bytes::new(),
            rest: BytesMut::new(),
            over: 0,
        }
    }

    pub(crate) fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Bytes, IntakeError>> {
        let mut this = self.project();
        loop {
            match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(mut data) = frame.into_data() else {
                        continue;
                    };
                    let size = data.remaining();
                    let held = if this.rest.is_empty() {
                        this.first.len()
                    } else {
                        this.rest.len()
                    };
                    if *this.over > 0 || held + size > *this.limit {
                        *this.over += size;
                        if *this.over > DISCARD {
                            return Poll::Ready(Err(IntakeError::TooLarge));
                        }
                    } else if held == 0 {
                        *this.first = data.copy_to_bytes(size);
                    } else {
                        if this.rest.is_empty() {
                            let expected =
                                usize::try_from(this.body.size_hint().lower()).unwrap_or(0);
                            this.rest.reserve(held + size + expected.min(*this.limit));
                            this.rest.extend_from_slice(this.first);
                        }
                        this.rest.extend_from_slice(&data.copy_to_bytes(size));
                    }
                }
                Some(Err(_)) => return Poll::Ready(Err(IntakeError::Broken)),
                None if *this.over > 0 => {
                    return Poll::Ready(Err(IntakeError::TooLarge));
                }
                None if this.rest.is_empty() => {
                    let whole = std::mem::take(this.first);
                    // As long as the answer takes, it would keep the whole of what it was read into.
                    return Poll::Ready(Ok(if whole.len() < SMALL {
                        Bytes::copy_from_slice(&whole)
                    } else {
                        whole
                    }));
                }
                None => return Poll::Ready(Ok(this.rest.split().freeze())),
            }
        }
    }
}
