use backstop_core::{Failure, FailureKind, Reach};
use tokio::time::Instant;

use crate::word::Claim;
use crate::{Circuit, State};

/// The right to make one call, and the duty to say how it went. It settles once.
///
/// Dropped unsettled it is neutral: the call was abandoned, and nothing was learned. A probe's place then goes to
/// the next request.
#[derive(Debug)]
#[must_use = "a ticket that is dropped unsettled counts for nothing"]
pub struct Ticket {
    circuit: Circuit,
    claim: Claim,
}

impl Ticket {
    pub(crate) const fn new(circuit: Circuit, claim: Claim) -> Self {
        Self { circuit, claim }
    }

    /// Whether the circuit waits for this call's outcome before it lets others through.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.claim.stamp.state() == State::Probing
    }

    /// There is an answer, though it is not over yet. A probe closes the circuit, and goes on as an ordinary call;
    /// for an ordinary call it means nothing.
    pub fn answered(&mut self) {
        if self.is_probe()
            && let Some(claim) = self.circuit.answered(self.claim)
        {
            self.claim = claim;
        }
    }

    /// The call succeeded.
    pub fn succeed(self) {
        self.succeed_at(Instant::now());
    }

    pub(crate) fn succeed_at(mut self, now: Instant) {
        self.answered();
        if !self.is_probe() {
            self.circuit.succeeded(self.claim.stamp, now);
        }
    }

    /// The call failed.
    pub fn fail(mut self, failure: &Failure) {
        if !self.circuit.failed(self.claim, failure) && is_answer(failure) {
            self.answered();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.is_probe() {
            self.circuit.give_back(self.claim);
        }
    }
}

/// Whether the failure is the provider's own word on the request: whoever says that is alive.
pub(crate) fn is_answer(failure: &Failure) -> bool {
    failure.reach() == Reach::Sent
        && matches!(
            failure.kind(),
            FailureKind::BadRequest | FailureKind::ContentFilter | FailureKind::ContextWindow
        )
}
