use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http::{Request, Response};
use http_body_util::Full;

use crate::{Chat, Chunk, Prefill, ProviderError};

/// A provider's wire format: how a [`Chat`] is asked and how its answer reads. No I/O, no state.
///
/// [`Provider`](crate::Provider) makes a service of a dialect and an HTTP client.
pub trait Dialect {
    /// Reads one successful answer.
    type Decoder: Decode;

    /// The provider's name, for errors and records.
    fn provider(&self) -> &'static str;

    /// The HTTP request that asks `request`. Its headers are made here: none of the caller's are passed on.
    ///
    /// What this provider's format (or this model) does not take is left out, with a note in the request's
    /// [`Trail`](backstop_core::Trail).
    ///
    /// # Errors
    ///
    /// [`ProviderError::incapable`] where the request cannot be said in this format.
    fn encode(&self, request: &Request<Chat>) -> Result<Request<Full<Bytes>>, ProviderError>;

    /// The model that is asked.
    fn target_model<'a>(&'a self, chat: &'a Chat) -> &'a str {
        chat.model()
    }

    /// Whether, and how, that model goes on with an assistant's message that is not finished.
    fn prefill(&self, chat: &Chat) -> Option<Prefill> {
        let _ = chat;
        None
    }

    /// What reads the body of a successful answer to `chat`.
    ///
    /// # Errors
    ///
    /// If the head shows already that the answer is not what was asked for, such as an HTML page.
    fn decoder(&self, chat: &Chat, head: &Parts) -> Result<Self::Decoder, ProviderError>;

    /// What an answer with a status other than 2xx means; of its body, at most the first 64 KiB are given.
    fn failure(&self, answer: &Response<Bytes>) -> ProviderError;

    /// The provider's id of the request, from the head of its answer.
    fn request_id(&self, head: &Parts) -> Option<std::sync::Arc<str>> {
        let id = head
            .headers
            .get("x-request-id")
            .or_else(|| head.headers.get("request-id"))?;
        id.to_str().ok().map(Into::into)
    }
}

/// Reads the body of one answer, however its bytes are split.
pub trait Decode {
    /// Takes whole frames off the front of `input`; `None` means that more bytes are needed.
    ///
    /// # Errors
    ///
    /// An error ends the answer: an error frame, or bytes that are not in the provider's format.
    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError>;

    /// The body has ended, or broken off; called until it returns `None`.
    ///
    /// # Errors
    ///
    /// If the answer was not complete: [`ProviderError::truncated`].
    fn finish(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError>;

    /// Whether the answer is over, though the body may not have ended.
    fn is_done(&self) -> bool {
        false
    }
}
