//! What happens when a time is over. Each error's source is the [`Failure`] that retry, fallback and circuits read.

use std::error::Error;
use std::fmt;

use backstop_core::{Failure, FailureKind};

/// The first token did not come in time. Its [`Failure`] is a [`Timeout`](FailureKind::Timeout).
#[derive(Debug)]
pub struct Elapsed(Failure);

impl Elapsed {
    pub(crate) const fn new() -> Self {
        Self(Failure::new(FailureKind::Timeout))
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no first token in time")
    }
}

impl Error for Elapsed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// The body stalled: its next frame, or its next frame with content, did not come in time. Its [`Failure`] is a
/// [`Timeout`](FailureKind::Timeout).
#[derive(Debug)]
pub struct Stalled(Failure);

impl Stalled {
    pub(crate) const fn silent() -> Self {
        Self(Failure::new(FailureKind::Timeout))
    }

    pub(crate) fn empty() -> Self {
        Self(Failure::new(FailureKind::Timeout).with_detail("frames came, with nothing in them"))
    }
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stream stalled")
    }
}

impl Error for Stalled {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// The time for the whole chain is over. Its [`Failure`] is a [`Deadline`](FailureKind::Deadline).
#[derive(Debug)]
pub struct DeadlineExceeded(Failure);

impl DeadlineExceeded {
    pub(crate) const fn new() -> Self {
        Self(Failure::new(FailureKind::Deadline))
    }
}

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer before the deadline")
    }
}

impl Error for DeadlineExceeded {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}
