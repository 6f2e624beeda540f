//! Records as files of JSON lines, written by a thread of their own.

mod error;
mod queue;
mod segment;
mod settings;
mod writer;

use std::fmt;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError, oneshot, watch};
use tokio::time::timeout;

pub use self::error::{Unfinished, Unwritable};
use self::queue::Queue;
pub use self::settings::{JsonLinesBuilder, Mode, OnFailure};
use crate::line::with_line;
use crate::{AuditUnavailable, Record, Reserve, Sink, Slot};

/// How long the writer may take for what is left to it, at the end.
const LAST_FLUSH: Duration = Duration::from_secs(5);

/// A sink that appends records to files, one JSON object a line, and makes them durable in groups.
///
/// A file is called `backstop-<UTC time>-<process id>-<n>.jsonl`. It is only ever appended to, is readable by its
/// owner alone, and is followed by another once it is large enough; an existing file is never touched. A thread
/// of its own writes and syncs, so no request waits for the disk (but see [`Mode::Sync`]). Clones are handles to
/// the same files.
///
/// # Back-pressure
///
/// Each running request and each record that is not durable yet holds one of [`capacity`] slots. When all are
/// taken, new requests wait for [`patience`], then they are treated as [`OnFailure`] says.
///
/// # Failures
///
/// A record that cannot be written or synced is tried again in a new file, at once; a file whose sync has failed
/// is not used again, because what it holds is uncertain. If that fails too, [`healthy`] turns false, one error
/// is logged, and [`OnFailure`] decides. The writer tries again every second; when it succeeds, one line is
/// logged, and the records that were dropped meanwhile are made up for by a line
/// `{"gap":{"dropped":3,"since":"…","until":"…"}}`.
///
/// # The end
///
/// Call [`shutdown`] when the last request is over. Dropping the last handle (running requests hold one each)
/// also has everything written; it blocks for that, a second at most.
///
/// [`capacity`]: JsonLinesBuilder::capacity
/// [`patience`]: JsonLinesBuilder::patience
/// [`healthy`]: Self::healthy
/// [`shutdown`]: Self::shutdown
#[derive(Clone)]
pub struct JsonLines(Arc<Shared>);

struct Shared {
    queue: Arc<Queue>,
    slots: Arc<Semaphore>,
    capacity: u32,
    mode: Mode,
    on_failure: OnFailure,
    patience: Duration,
    /// Closed when the writer has ended.
    healthy: watch::Receiver<bool>,
    /// The same, for threads that block.
    ended: Mutex<std_mpsc::Receiver<()>>,
}

impl JsonLines {
    /// Records to files in `directory`, which is made if need be, with the defaults of [`JsonLinesBuilder`].
    ///
    /// # Errors
    ///
    /// Fails if no file can be made there.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, Unwritable> {
        Self::builder().open(directory)
    }

    /// A sink with other settings.
    pub fn builder() -> JsonLinesBuilder {
        JsonLinesBuilder::default()
    }

    /// Whether the last write succeeded; false after [`shutdown`](Self::shutdown).
    #[must_use]
    pub fn healthy(&self) -> bool {
        *self.0.healthy.borrow()
    }

    /// How many records have been dropped since the sink was opened.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.queue.lost()
    }

    /// Waits until every request under way has handed over its record, `grace` at most, and until all of them are
    /// on the disk; then closes the files. Requests after that are treated as [`OnFailure`] says.
    ///
    /// Cancelling it leaves the sink open.
    ///
    /// # Errors
    ///
    /// Fails if requests were still running, or records could not be written.
    pub async fn shutdown(&self, grace: Duration) -> Result<(), Unfinished> {
        let shared = &*self.0;
        let lost_before = shared.queue.lost();
        shared.queue.hurry();
        let all = timeout(grace, shared.slots.acquire_many(shared.capacity)).await;
        let running = match &all {
            Ok(_) => 0,
            Err(_) => shared.capacity as usize - shared.slots.available_permits(),
        };
        shared.slots.close();
        shared.queue.close();
        let mut healthy = shared.healthy.clone();
        let end = timeout(LAST_FLUSH, async {
            while healthy.changed().await.is_ok() {}
        })
        .await;
        let lost = shared.queue.lost() - lost_before;
        if running == 0 && lost == 0 && end.is_ok() {
            Ok(())
        } else {
            Err(Unfinished { running, lost })
        }
    }

    /// Leave to do without a slot.
    fn no_slot(&self) -> JsonLinesSlot {
        JsonLinesSlot {
            sink: self.clone(),
            has_slot: false,
        }
    }

    /// The place that `permit` stands for. It is given back by number, as the writer gives back many at once.
    fn slot(&self, permit: SemaphorePermit<'_>) -> JsonLinesSlot {
        permit.forget();
        JsonLinesSlot {
            sink: self.clone(),
            has_slot: true,
        }
    }

    /// The answer to a request that cannot be recorded.
    fn unrecorded(&self) -> Result<JsonLinesSlot, AuditUnavailable> {
        match self.0.on_failure {
            OnFailure::Reject => Err(AuditUnavailable::new()),
            OnFailure::Degrade => Ok(self.no_slot()),
        }
    }

    async fn wait_for_slot(self) -> Result<JsonLinesSlot, AuditUnavailable> {
        let shared = &*self.0;
        let mut healthy = shared.healthy.clone();
        let mut permit = pin!(shared.slots.acquire());
        let mut failed = pin!(async {
            let _ = healthy.wait_for(|healthy| !healthy).await;
        });
        let permit = poll_fn(|cx| {
            if let Poll::Ready(permit) = permit.as_mut().poll(cx) {
                return Poll::Ready(permit.ok());
            }
            if shared.on_failure == OnFailure::Reject {
                ready!(failed.as_mut().poll(cx));
                return Poll::Ready(None);
            }
            Poll::Pending
        });
        match timeout(shared.patience, permit).await {
            Ok(Some(permit)) => Ok(self.slot(permit)),
            Ok(None) | Err(_) => self.unrecorded(),
        }
    }
}

impl Sink for JsonLines {
    type Slot = JsonLinesSlot;
    type Reserve = Reserve<JsonLinesSlot>;

    /// # Panics
    ///
    /// Waiting for a slot needs a tokio runtime with time.
    fn reserve(&self) -> Self::Reserve {
        if self.0.on_failure == OnFailure::Reject && !self.healthy() {
            return Reserve::ready(Err(AuditUnavailable::new()));
        }
        match self.0.slots.try_acquire() {
            Ok(permit) => Reserve::ready(Ok(self.slot(permit))),
            Err(TryAcquireError::Closed) => Reserve::ready(self.unrecorded()),
            Err(TryAcquireError::NoPermits) => Reserve::waiting(self.clone().wait_for_slot()),
        }
    }
}

impl fmt::Debug for JsonLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLines")
            .field("mode", &self.0.mode)
            .field("on_failure", &self.0.on_failure)
            .field("healthy", &self.healthy())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(Duration::from_secs(1));
    }
}

/// A place in a [`JsonLines`] sink, or leave to do without one.
#[derive(Debug)]
pub struct JsonLinesSlot {
    sink: JsonLines,
    /// Until the writer has it.
    has_slot: bool,
}

impl Drop for JsonLinesSlot {
    fn drop(&mut self) {
        if self.has_slot {
            self.sink.0.slots.add_permits(1);
        }
    }
}

impl Slot for JsonLinesSlot {
    type Written = Written;

    fn write(mut self, record: Record) -> Written {
        let shared = &*self.sink.0;
        if !self.has_slot {
            shared.queue.lose(1);
            return Written(None);
        }
        let (ack, written) = match shared.mode {
            Mode::Sync => {
                let (ack, written) = oneshot::channel();
                (Some(ack), Some(written))
            }
            Mode::Group | Mode::Async => (None, None),
        };
        let is_taken = with_line(&record, |line| shared.queue.push(line, ack));
        self.has_slot = !is_taken;
        Written(written)
    }
}

/// Resolves in [`Mode::Sync`] when the record is durable or has been given up, in other modes at once.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Written(Option<oneshot::Receiver<()>>);

impl Future for Written {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(ack) = &mut self.0 {
            let _ = ready!(Pin::new(ack).poll(cx));
            self.0 = None;
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests;
