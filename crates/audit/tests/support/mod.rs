//! Bodies and frames for tests.
#![allow(dead_code, unreachable_pub, missing_debug_implementations)]

use std::pin::Pin;

use backstop_core::{BoxError, Failure, FailureKind, Frame, Usage};
use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt, stream};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};

/// A frame with all that layers may ask of one.
#[derive(Clone, Debug, Default)]
pub struct Piece {
    bytes: Bytes,
    usage: Option<Usage>,
    terminal: bool,
    failure: Option<FailureKind>,
}

impl Piece {
    pub fn text(text: &'static str) -> Self {
        Self {
            bytes: Bytes::from_static(text.as_bytes()),
            ..Self::default()
        }
    }

    pub fn using(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    pub fn terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    pub fn failing(mut self, kind: FailureKind) -> Self {
        self.failure = Some(kind);
        self
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
        !self.bytes.is_empty()
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

pub type TestBody = UnsyncBoxBody<Piece, BoxError>;

type Pieces = Pin<Box<dyn Stream<Item = Result<http_body::Frame<Piece>, BoxError>> + Send>>;

/// A body of these pieces. An empty one says at once that it has ended, others do not know beforehand.
pub fn body<const N: usize>(pieces: [Result<Piece, BoxError>; N]) -> TestBody {
    if N == 0 {
        return TestBody::new(http_body_util::Empty::new().map_err(|never| match never {}));
    }
    let pieces: Pieces = Box::pin(stream::iter(
        pieces.map(|piece| piece.map(http_body::Frame::data)),
    ));
    TestBody::new(StreamBody::new(pieces))
}

/// A body that never ends after these pieces.
pub fn pending_body<const N: usize>(pieces: [Piece; N]) -> TestBody {
    let pieces = stream::iter(pieces.map(|piece| Ok(http_body::Frame::data(piece))));
    let pieces: Pieces = Box::pin(pieces.chain(stream::pending()));
    TestBody::new(StreamBody::new(pieces))
}

/// Reads a body, whatever its type.
pub struct Reader(Pin<Box<dyn Body<Data = Piece, Error = BoxError>>>);

impl Reader {
    pub fn new(body: impl Body<Data = Piece, Error = BoxError> + 'static) -> Self {
        Self(Box::pin(body))
    }

    pub async fn one(&mut self) -> Piece {
        let frame = self.0.frame().await.expect("a frame").expect("no error");
        frame.into_data().unwrap_or_else(|_| panic!("no data"))
    }

    /// Reads until the end, or the first error.
    pub async fn all(mut self) {
        while let Some(Ok(_)) = self.0.frame().await {}
    }
}
