use std::sync::Arc;

use bytes::Bytes;
use http::Request;

use crate::{Failure, Usage};

/// What layers may want to know of a request.
pub trait Ask {
    /// The model that the caller named.
    fn model(&self) -> &str;
    /// The same, for whoever keeps it. A request that shares its model's name need not copy it.
    fn shared_model(&self) -> Arc<str> {
        self.model().into()
    }
    /// Whether the caller wants the answer as a stream.
    fn streams(&self) -> bool;
}

impl<T: Ask> Ask for Request<T> {
    fn model(&self) -> &str {
        self.body().model()
    }

    fn shared_model(&self) -> Arc<str> {
        self.body().shared_model()
    }

    fn streams(&self) -> bool {
        self.body().streams()
    }
}

/// What layers may want to know of one frame of an answer.
///
/// Plain [`Bytes`] are content, and end by ending.
pub trait Frame {
    /// Does it hold something of the answer itself: text, a tool call, a refusal, visible reasoning?
    fn is_content(&self) -> bool;
    /// Does it prove that the answer is complete?
    fn is_terminal(&self) -> bool;
    /// What the provider reported so far, if this frame reports.
    fn usage(&self) -> Option<&Usage> {
        None
    }
    /// The verdict in it, such as a content filter's, if the frame says that the answer failed.
    fn failure(&self) -> Option<Failure> {
        None
    }
    /// Where the provider reports that it ran, if this frame reports. See [`RanIn`](crate::RanIn).
    fn place(&self) -> Option<&str> {
        None
    }
}

impl Frame for Bytes {
    fn is_content(&self) -> bool {
        !self.is_empty()
    }

    fn is_terminal(&self) -> bool {
        false
    }
}
