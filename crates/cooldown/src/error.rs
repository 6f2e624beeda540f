//! What a resting circuit answers.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use backstop_core::{Failure, FailureKind, Ineligible, Reach};
use tokio::time::Instant;

/// The circuit rests: the request was refused without a call.
///
/// Its source is a [`Failure`] that says when to come back: a [`Cooling`](Ineligible::Cooling) refusal whose
/// detail names the cause, or, for a circuit that a rejected key opened, that [`Auth`](FailureKind::Auth) failure
/// itself, so that each caller is told the same as the first.
#[derive(Clone, Debug)]
pub struct Resting {
    cause: FailureKind,
    until: Instant,
    verdict: Failure,
}

impl Resting {
    pub(crate) fn new(cause: &Failure, until: Instant, left: Duration) -> Self {
        let verdict = match cause.kind() {
            FailureKind::Auth => cause.clone().with_reach(Reach::Refused),
            kind => Failure::ineligible(Ineligible::Cooling).with_detail(kind.as_str()),
        };
        Self {
            cause: cause.kind(),
            until,
            verdict: verdict.with_retry_after(left),
        }
    }

    /// What the circuit opened for.
    #[must_use]
    pub const fn cause(&self) -> FailureKind {
        self.cause
    }

    /// Until when it rests. While a probe is on its way nobody knows: then it is the time to look again.
    #[must_use]
    pub const fn until(&self) -> Instant {
        self.until
    }
}

impl fmt::Display for Resting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("circuit open")
    }
}

impl Error for Resting {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.verdict)
    }
}
