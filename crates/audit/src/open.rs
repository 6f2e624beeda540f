use std::time::Duration;

use backstop_core::{Failure, Trail};
use http::StatusCode;
use tokio::time::Instant;

use crate::{End, Record, Seen, Slot};

/// A request under way: its trail, and the slot for its record once it has one. Dropped open, it records that
/// the caller went away.
#[derive(Debug)]
pub(crate) struct Open<T: Slot> {
    started: Instant,
    /// Taken with the slot.
    trail: Option<Trail>,
    slot: Option<T>,
    status: Option<StatusCode>,
    failure: Option<Failure>,
    first_data: Option<Duration>,
}

impl<T: Slot> Open<T> {
    pub(crate) fn new(trail: Trail) -> Self {
        Self {
            started: trail.started(),
            trail: Some(trail),
            slot: None,
            status: None,
            failure: None,
            first_data: None,
        }
    }

    pub(crate) fn admitted(&mut self, slot: T) {
        self.slot = Some(slot);
    }

    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    pub(crate) fn failed(&mut self, failure: Option<Failure>) {
        self.failure = failure;
    }

    pub(crate) fn data(&mut self) {
        if self.first_data.is_none() {
            self.first_data = Some(Instant::now().saturating_duration_since(self.started));
        }
    }

    /// Writes the record; `None` if it has no slot, or is written already.
    pub(crate) fn close(&mut self, end: End) -> Option<T::Written> {
        let (slot, trail) = self.slot.take().zip(self.trail.take())?;
        let seen = Seen {
            status: self.status,
            first_data: self.first_data,
            failure: self.failure.take(),
            end,
        };
        Some(slot.write(Record::from_trail(trail.into_snapshot(), &seen)))
    }
}

impl<T: Slot> Drop for Open<T> {
    fn drop(&mut self) {
        self.close(End::Abandoned);
    }
}
