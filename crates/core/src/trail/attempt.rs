use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::{Attempt, Decision, Trail};
use crate::{Failure, FailureKind, Usage};

/// An open row of a [`Trail`]. It settles exactly once; dropped unsettled, it records that the caller went away.
#[derive(Debug)]
#[must_use = "a handle that is dropped unsettled records a cancelled attempt"]
pub struct AttemptHandle {
    pub(super) trail: Trail,
    pub(super) row: u64,
    pub(super) started: Instant,
    pub(super) open: bool,
}

impl AttemptHandle {
    /// The answer has begun, with this status, under this id of the provider's.
    pub fn answered(&mut self, status: Option<StatusCode>, request_id: Option<Arc<str>>) {
        let first = self.age();
        self.change(|attempt| {
            attempt.first_content.get_or_insert(first);
            attempt.status = status;
            attempt.request_id = request_id;
        });
    }

    /// The provider reported usage. A later report replaces an earlier one: reports are running totals. None does once
    /// the attempt is [paid for](Trail::spent).
    pub fn used(&mut self, usage: Usage) {
        self.change(|attempt| {
            if attempt.cost.is_none() {
                attempt.usage = Some(usage);
            }
        });
    }

    /// The attempt is over.
    pub fn settle(mut self, result: Result<(), &Failure>) {
        self.close(result.map_err(Failure::kind), result.err());
    }

    /// It was no attempt after all: a layer below refused it before any call.
    pub fn discard(mut self) {
        self.open = false;
        let mut state = self.trail.state();
        let row = self.row;
        if let Some(index) = state
            .record
            .attempts
            .iter()
            .rposition(|attempt| attempt.row == row)
        {
            let attempt = state.record.attempts.remove(index);
            // The repeat that this row was opened for is still to come, if at all.
            state.repeat = attempt.retry_reason.zip(attempt.delay);
        }
    }

    fn close(&mut self, result: Result<(), FailureKind>, failure: Option<&Failure>) {
        self.open = false;
        let duration = self.age();
        self.change(|attempt| {
            attempt.duration = Some(duration);
            attempt.result = Some(result);
            if result.is_ok() {
                // It may have answered, and the answer not been taken.
                attempt.decision.get_or_insert(Decision::Done);
            }
            if let Some(failure) = failure {
                attempt.status = failure.status().or(attempt.status);
                attempt.request_id = failure.request_id().cloned().or(attempt.request_id.take());
            }
        });
    }

    fn age(&self) -> Duration {
        Instant::now().saturating_duration_since(self.started)
    }

    fn change(&self, change: impl FnOnce(&mut Attempt)) {
        let mut state = self.trail.state();
        if let Some(attempt) = state
            .record
            .attempts
            .iter_mut()
            .rfind(|attempt| attempt.row == self.row)
        {
            change(attempt);
        }
    }
}

impl Drop for AttemptHandle {
    fn drop(&mut self) {
        if self.open {
            let kind = self
                .trail
                .state()
                .abandoned
                .unwrap_or(FailureKind::Cancelled);
            self.close(Err(kind), None);
        }
    }
}
