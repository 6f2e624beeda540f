use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// As many records are written without waiting for more.
const FULL: usize = 1024;

/// Records on their way, as they are written.
///
/// They become lines where they were made. As values they would be read, and freed, by a thread that has nothing of
/// them in its cache.
///
/// Each has its slot until the batch is dealt with; whoever deals with it gives all of them back at once.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) lines: Vec<u8>,
    records: usize,
    /// Who waits until their record is durable. Letting go of these wakes them.
    acks: Vec<oneshot::Sender<()>>,
}

impl Batch {
    pub(super) const fn len(&self) -> usize {
        self.records
    }

    const fn is_empty(&self) -> bool {
        self.records == 0
    }

    pub(super) fn clear(&mut self) {
        self.lines.clear();
        self.records = 0;
        self.acks.clear();
    }
}

/// What requests leave for the writer. Slots bound it; it never blocks who pushes.
///
/// A channel would wake the writer for each record. This wakes it for the first of a group and for a full one.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    lost: AtomicU64,
}

#[derive(Default)]
struct State {
    batch: Batch,
    hurry: bool,
    closed: bool,
}

impl Queue {
    /// Leaves a record, and its slot, for the writer; false if it is lost, as nobody takes it any more.
    pub(super) fn push(&self, line: &[u8], ack: Option<oneshot::Sender<()>>) -> bool {
        let mut state = self.state();
        if state.closed {
            drop(state);
            self.lose(1);
            return false;
        }
        state.batch.lines.extend_from_slice(line);
        state.batch.records += 1;
        state.batch.acks.extend(ack);
        let waiting = state.batch.len();
        drop(state);
        if waiting == 1 || waiting == FULL {
            self.wake.notify_one();
        }
        true
    }

    /// Waits for records, then for `window` or until there are many, and moves all of them to the empty `batch`.
    ///
    /// Where `idle` is given, it comes back without any after that time. False means that there are no more.
    pub(super) fn take(&self, batch: &mut Batch, window: Duration, idle: Option<Duration>) -> bool {
        let mut state = self.state();
        let nothing = |state: &mut State| state.batch.is_empty() && !state.closed;
        state = match idle {
            None => self
                .wake
                .wait_while(state, nothing)
                .unwrap_or_else(PoisonError::into_inner),
            Some(idle) => self.wait_at_most(idle, state, nothing),
        };
        if state.batch.is_empty() {
            return !state.closed;
        }
        state = self.wait_at_most(window, state, |state| {
            state.batch.len() < FULL && !state.hurry && !state.closed
        });
        std::mem::swap(batch, &mut state.batch);
        true
    }

    /// Waits for `time`; false, at once, when the queue is closed.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let state = self.wait_at_most(time, self.state(), |state| !state.closed);
        !state.closed
    }

    /// From now on groups are not waited for.
    pub(super) fn hurry(&self) {
        self.state().hurry = true;
        self.wake.notify_one();
    }

    /// Nothing comes any more.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.wake.notify_one();
    }

    /// Nobody takes anything any more: what is left is lost, and its slots are to be given back.
    pub(super) fn abandon(&self) -> usize {
        let mut state = self.state();
        state.closed = true;
        let left = std::mem::take(&mut state.batch);
        drop(state);
        self.lose(left.len());
        left.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Counts records that nobody will find.
    pub(super) fn lose(&self, records: usize) {
        self.lost.fetch_add(records as u64, Ordering::Relaxed);
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn wait_at_most<'a>(
        &self,
        time: Duration,
        state: MutexGuard<'a, State>,
        condition: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        let waited = self.wake.wait_timeout_while(state, time, condition);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Nothing panics under the lock, so a poisoned one still guards a whole queue.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("lost", &self.lost())
            .finish_non_exhaustive()
    }
}
