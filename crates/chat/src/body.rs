use std::array;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use backstop_core::BoxError;
use bytes::Buf;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde::Deserialize;

use crate::Chunk;

/// An answer of any stack, with its type erased.
pub struct Body(UnsyncBoxBody<Chunk, BoxError>);

impl Body {
    /// Erases the type of `body`.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Chunk> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(body.map_err(Into::into).boxed_unsync())
    }

    /// An answer that is there already.
    #[must_use]
    pub fn once(chunk: Chunk) -> Self {
        Self(
            Full::new(chunk)
                .map_err(|never| match never {})
                .boxed_unsync(),
        )
    }

    /// An answer of several chunks that are there already.
    #[must_use]
    pub fn of<const N: usize>(chunks: [Chunk; N]) -> Self {
        Self(UnsyncBoxBody::new(Chunks(chunks.into_iter())))
    }

    /// Reads the answer to its end and gives its text: of the first choice, streamed or not.
    ///
    /// # Errors
    ///
    /// If the answer breaks off, or is not in OpenAI's format.
    pub async fn text(mut self) -> Result<String, BoxError> {
        let mut text = String::new();
        while let Some(frame) = self.0.frame().await {
            let Ok(chunk) = frame?.into_data() else {
                continue;
            };
            if chunk.json().is_empty() {
                continue;
            }
            let answer: Answer<'_> = serde_json::from_slice(chunk.json())?;
            let said = answer
                .choices
                .first()
                .and_then(|choice| choice.delta.as_ref().or(choice.message.as_ref()));
            if let Some(content) = said.and_then(|said| said.content.as_deref()) {
                text.push_str(content);
            }
        }
        Ok(text)
    }
}

/// Chunks that are there already.
struct Chunks<const N: usize>(array::IntoIter<Chunk, N>);

impl<const N: usize> http_body::Body for Chunks<N> {
    type Data = Chunk;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, BoxError>>> {
        Poll::Ready(self.0.next().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_slice().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let chunks = self.0.as_slice().iter();
        SizeHint::with_exact(chunks.map(|chunk| chunk.remaining() as u64).sum())
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<Said<'a>>,
    #[serde(borrow)]
    message: Option<Said<'a>>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    content: Option<crate::Text<'a>>,
}

impl http_body::Body for Body {
    type Data = Chunk;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}
