use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use aws_sdk_bedrockruntime::error::SdkError;
use aws_sdk_bedrockruntime::primitives::event_stream::EventReceiver;
use aws_sdk_bedrockruntime::types::ConverseStreamOutput;
use aws_sdk_bedrockruntime::types::error::ConverseStreamOutputError;
use aws_smithy_types::event_stream::RawMessage;
use backstop_chat::{Chunk, ProviderError};
use backstop_core::BoxError;
use futures_core::Stream;
use futures_util::stream;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};

use crate::answer::Reader;
use crate::{PROVIDER, failures};

type Received = Result<ConverseStreamOutput, SdkError<ConverseStreamOutputError, RawMessage>>;

/// An answer of [`Bedrock`](crate::Bedrock). It ends without an error only if the answer was complete.
///
/// Dropping it drops the SDK's stream, and with it the connection.
pub struct ConverseBody(State);

enum State {
    Whole(Chunk),
    Streamed {
        // The SDK receives by an `async fn`: one box holds its future for the whole stream.
        events: Pin<Box<dyn Stream<Item = Received> + Send>>,
        reader: Reader,
        request_id: Option<Box<str>>,
    },
    Ended,
}

impl ConverseBody {
    pub(crate) fn whole(chunk: Chunk) -> Self {
        Self(State::Whole(chunk))
    }

    pub(crate) fn streamed(
        events: EventReceiver<ConverseStreamOutput, ConverseStreamOutputError>,
        reader: Reader,
        request_id: Option<&str>,
    ) -> Self {
        let events = stream::unfold(Some(events), |events| async {
            let mut events = events?;
            match events.recv().await {
                Ok(Some(event)) => Some((Ok(event), Some(events))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Self(State::Streamed {
            events: Box::pin(events),
            reader,
            request_id: request_id.map(Box::from),
        })
    }
}

impl Body for ConverseBody {
    type Data = Chunk;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, BoxError>>> {
        let next = match &mut self.0 {
            State::Ended => None,
            State::Whole(chunk) => Some(Ok(std::mem::take(chunk))),
            State::Streamed {
                events,
                reader,
                request_id,
            } => loop {
                let event = match events.as_mut().poll_next(cx) {
                    Poll::Ready(event) => event,
                    // The poll above gave the client the chance to see the end and keep the connection.
                    Poll::Pending if reader.is_over() => None,
                    Poll::Pending => return Poll::Pending,
                };
                match event {
                    Some(Ok(event)) => match reader.read(&event) {
                        Ok(Some(chunk)) => return Poll::Ready(Some(Ok(Frame::data(chunk)))),
                        Ok(None) => {}
                        Err(error) => break Some(Err(error)),
                    },
                    // Whatever comes after the proof, the answer is whole; only its usage is lost.
                    _ if reader.is_complete() => break None,
                    Some(Err(error)) => {
                        break Some(Err(failures::of_stream(&error, request_id.as_deref())));
                    }
                    None => break Some(Err(ProviderError::truncated(PROVIDER))),
                }
            },
        };
        self.0 = State::Ended;
        // A stream begins with no other status.
        let failed = |error: ProviderError| error.answered(StatusCode::OK).into();
        Poll::Ready(next.map(|next| next.map(Frame::data).map_err(failed)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, State::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            State::Whole(chunk) => SizeHint::with_exact(chunk.json().len() as u64),
            State::Streamed { .. } => SizeHint::default(),
            State::Ended => SizeHint::with_exact(0),
        }
    }
}

impl fmt::Debug for ConverseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.0 {
            State::Whole(_) => "whole",
            State::Streamed { .. } => "streamed",
            State::Ended => "ended",
        };
        f.debug_tuple("ConverseBody").field(&state).finish()
    }
}
