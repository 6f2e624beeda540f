use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use backstop_core::{BoxError, Reach};
use bytes::{Buf, BytesMut};
use http::StatusCode;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;

use crate::{Chunk, Decode, ProviderError};

pin_project! {
    /// A provider's body, decoded into [`Chunk`]s. It ends without an error only if the answer was complete.
    ///
    /// What fails or breaks off behind the proof of that is no error: the answer is there.
    pub struct Decoded<B, D> {
        #[pin]
        inner: B,
        decoder: D,
        provider: &'static str,
        status: StatusCode,
        buffer: BytesMut,
        state: State,
        // Some frame proved that the answer is complete.
        proven: bool,
        // What broke the body off.
        broken: Option<ProviderError>,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    /// The body has ended, or broken off; the decoder may still have frames.
    Ending,
    Ended,
}

impl<B, D> Decoded<B, D> {
    pub(crate) fn new(inner: B, decoder: D, provider: &'static str, status: StatusCode) -> Self {
        Self {
            inner,
            decoder,
            provider,
            status,
            buffer: BytesMut::new(),
            state: State::Reading,
            proven: false,
            broken: None,
        }
    }
}

impl<B, D> Body for Decoded<B, D>
where
    B: Body,
    B::Error: Into<BoxError>,
    D: Decode,
{
    type Data = Chunk;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, BoxError>>> {
        let mut this = self.project();
        loop {
            let decoded = match *this.state {
                State::Ended => return Poll::Ready(None),
                State::Ending => this.decoder.finish(this.buffer),
                State::Reading => this.decoder.decode(this.buffer),
            };
            match decoded {
                Ok(Some(chunk)) => {
                    *this.proven |= chunk.meta().terminal;
                    return Poll::Ready(Some(Ok(Frame::data(chunk))));
                }
                Ok(None) => {}
                Err(_) if *this.proven => {
                    *this.state = State::Ended;
                    return Poll::Ready(None);
                }
                Err(error) => {
                    *this.state = State::Ended;
                    let error = this.broken.take().unwrap_or(error);
                    return Poll::Ready(Some(Err(error.answered(*this.status).into())));
                }
            }
            if *this.state == State::Ending {
                *this.state = State::Ended;
                continue;
            }
            match this.inner.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers say nothing that a chat answer needs.
                    if let Ok(mut data) = frame.into_data() {
                        let begun = this.buffer.len();
                        let needed = begun + data.remaining();
                        if this.buffer.capacity() < needed {
                            // Growing would double the capacity, and keep it for a stream that stands still. What
                            // doubles is what has begun: next to nothing in a stream, and much in a long document,
                            // which is not to be copied with every frame.
                            let room = BytesMut::with_capacity(needed.max(2 * begun));
                            let begun = std::mem::replace(this.buffer, room);
                            this.buffer.extend_from_slice(&begun);
                        }
                        while data.has_remaining() {
                            let piece = data.chunk();
                            this.buffer.extend_from_slice(piece);
                            let taken = piece.len();
                            data.advance(taken);
                        }
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    *this.broken = Some(broken(this.provider, &*error.into()));
                    *this.state = State::Ending;
                }
                Poll::Ready(None) => *this.state = State::Ending,
                // An answer that is over need not wait for its connection to say so; the poll above gave the
                // client the chance to see the end and keep the connection.
                Poll::Pending if this.decoder.is_done() => *this.state = State::Ending,
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Ended
    }
}

/// What the client says of a broken body, if it says it in our terms; else a network failure.
fn broken(provider: &'static str, error: &(dyn std::error::Error + 'static)) -> ProviderError {
    match backstop_core::failure_of(error) {
        Some(failure) => ProviderError::new(provider, failure.clone()),
        None => ProviderError::network(provider, Reach::Sent),
    }
}

impl<B, D> fmt::Debug for Decoded<B, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoded")
            .field("provider", &self.provider)
            .field("buffered", &self.buffer.len())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::task::Waker;

    use bytes::Bytes;

    use super::*;

    /// Frames that are there already.
    struct Frames(VecDeque<Bytes>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
        }
    }

    /// Takes everything at the end, and sees every buffer that it is shown.
    #[derive(Default)]
    struct Document {
        capacities: Vec<usize>,
    }

    impl Decode for Document {
        fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
            if self.capacities.last() != Some(&input.capacity()) {
                self.capacities.push(input.capacity());
            }
            Ok(None)
        }

        fn finish(&mut self, _: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
            Ok(None)
        }
    }

    #[test]
    fn a_long_document_is_not_copied_with_every_frame() {
        let frames = Frames(vec![Bytes::from_static(&[b'x'; 1000]); 1000].into());
        let mut body = Decoded::new(frames, Document::default(), "test", StatusCode::OK);
        let mut cx = Context::from_waker(Waker::noop());
        let end = Pin::new(&mut body).poll_frame(&mut cx);
        assert!(matches!(end, Poll::Ready(None)));
        let capacities = &body.decoder.capacities;
        assert!(capacities.len() < 16, "{capacities:?}");
        assert!(body.buffer.capacity() <= 2 * 1_000_000);
    }
}
