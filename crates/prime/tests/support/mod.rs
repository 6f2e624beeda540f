//! A body that does what its script says, and pieces that say what they are.

use std::collections::VecDeque;
use std::marker::PhantomPinned;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use backstop_core::{BoxError, Failure, FailureKind, Frame, Usage};
use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, SizeHint};
use pin_project_lite::pin_project;

#[derive(Clone, Debug, Default)]
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    pub(crate) content: bool,
    pub(crate) terminal: bool,
    pub(crate) failure: Option<FailureKind>,
    pub(crate) usage: Option<Usage>,
}

/// A role delta, a ping: something that is no part of the answer.
pub(crate) fn preamble(text: &'static str) -> Piece {
    Piece {
        bytes: Bytes::from_static(text.as_bytes()),
        ..Piece::default()
    }
}

pub(crate) fn content(text: &'static str) -> Piece {
    Piece {
        content: true,
        ..preamble(text)
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Frame for Piece {
    fn is_content(&self) -> bool {
        self.content
    }

    fn is_terminal(&self) -> bool {
        self.terminal
    }

    fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    fn failure(&self) -> Option<Failure> {
        self.failure.map(Failure::new)
    }
}

pub(crate) enum Step {
    Data(Piece),
    Trailers,
    Fail(&'static str),
    /// Nothing yet; wakes nobody, because these tests poll by hand.
    Wait,
}

impl From<Piece> for Step {
    fn from(piece: Piece) -> Self {
        Self::Data(piece)
    }
}

pin_project! {
    /// Deliberately not `Unpin`.
    pub(crate) struct Script {
        steps: VecDeque<Step>,
        ended: bool,
        // Tells a test whether the body is still alive.
        alive: Arc<()>,
        #[pin]
        _pinned: PhantomPinned,
    }
}

pub(crate) fn script<const N: usize>(steps: [Step; N]) -> Script {
    Script {
        steps: steps.into(),
        ended: false,
        alive: Arc::new(()),
        _pinned: PhantomPinned,
    }
}

impl Script {
    pub(crate) fn alive(&self) -> Weak<()> {
        Arc::downgrade(&self.alive)
    }
}

impl Body for Script {
    type Data = Piece;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Piece>, BoxError>>> {
        let this = self.project();
        Poll::Ready(match this.steps.pop_front() {
            Some(Step::Data(piece)) => Some(Ok(http_body::Frame::data(piece))),
            Some(Step::Trailers) => Some(Ok(http_body::Frame::trailers(HeaderMap::new()))),
            Some(Step::Fail(why)) => Some(Err(why.into())),
            Some(Step::Wait) => return Poll::Pending,
            None => {
                assert!(!*this.ended, "polled after its end");
                *this.ended = true;
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let data = self.steps.iter().map(|step| match step {
            Step::Data(piece) => piece.remaining() as u64,
            Step::Trailers | Step::Fail(_) | Step::Wait => 0,
        });
        SizeHint::with_exact(data.sum())
    }
}

/// Polls once.
pub(crate) fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The next frame of a body that has one ready.
pub(crate) fn frame<B: Body + Unpin>(
    body: &mut B,
) -> Option<Result<http_body::Frame<B::Data>, B::Error>> {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(body).poll_frame(&mut cx) {
        Poll::Ready(frame) => frame,
        Poll::Pending => panic!("no frame is ready"),
    }
}
