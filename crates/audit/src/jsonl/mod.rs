//! Records as files of JSON lines, written by a thread of their own.

mod queue;
mod segment;
mod writer;

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot, watch};
use tokio::time::timeout;

use self::queue::{Entry, Queue};
use self::segment::{Directory, Folder};
use self::writer::Writer;
use crate::{AuditUnavailable, Record, Reserve, Sink, Slot};

/// How long the writer may take for what is left to it, at the end.
const LAST_FLUSH: Duration = Duration::from_secs(5);

/// When a record is durable, that is, on the disk and not just with the operating system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Before its answer ends: the last frame of each response waits until its record is on the disk.
    Sync,
    /// Within about 2 ms and one write to the disk, shared with all records of that time. Nothing waits for it.
    #[default]
    Group,
    /// Within about a second. Nothing waits for it.
    Async,
}

/// What becomes of requests while records cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// They are refused. Records of requests that were under way are kept and written when that is possible again.
    Reject,
    /// They are served; their records are dropped and counted, and a gap record tells how many.
    #[default]
    Degrade,
}

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

    fn slot(&self, permit: Option<OwnedSemaphorePermit>) -> JsonLinesSlot {
        JsonLinesSlot {
            sink: self.clone(),
            permit,
        }
    }

    /// The answer to a request that cannot be recorded.
    fn unrecorded(&self) -> Result<JsonLinesSlot, AuditUnavailable> {
        match self.0.on_failure {
            OnFailure::Reject => Err(AuditUnavailable::new()),
            OnFailure::Degrade => Ok(self.slot(None)),
        }
    }

    async fn wait_for_slot(self) -> Result<JsonLinesSlot, AuditUnavailable> {
        let shared = &*self.0;
        let mut healthy = shared.healthy.clone();
        let mut permit = pin!(Arc::clone(&shared.slots).acquire_owned());
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
            Ok(Some(permit)) => Ok(self.slot(Some(permit))),
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
        match Arc::clone(&self.0.slots).try_acquire_owned() {
            Ok(permit) => Reserve::ready(Ok(self.slot(Some(permit)))),
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
    permit: Option<OwnedSemaphorePermit>,
}

impl Slot for JsonLinesSlot {
    type Written = Written;

    fn write(self, record: Record) -> Written {
        let Self { sink, permit } = self;
        let Some(permit) = permit else {
            sink.0.queue.lose(1);
            return Written(None);
        };
        let (ack, written) = match sink.0.mode {
            Mode::Sync => {
                let (ack, written) = oneshot::channel();
                (Some(ack), Some(written))
            }
            Mode::Group | Mode::Async => (None, None),
        };
        sink.0.queue.push(Entry::new(record, permit, ack));
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

/// Settings of a [`JsonLines`] sink.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it opens its sink"]
pub struct JsonLinesBuilder {
    mode: Mode,
    on_failure: OnFailure,
    capacity: u32,
    patience: Duration,
    segment_bytes: u64,
    probe: Duration,
}

impl Default for JsonLinesBuilder {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            on_failure: OnFailure::default(),
            capacity: 16 * 1024,
            patience: Duration::from_secs(1),
            segment_bytes: 64 * 1024 * 1024,
            probe: Duration::from_secs(1),
        }
    }
}

impl JsonLinesBuilder {
    /// Sets when a record is durable; by default [`Mode::Group`].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets what becomes of requests while records cannot be written; by default [`OnFailure::Degrade`].
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// Sets for how many records there is room, those of running requests included; by default 16384, at least 1.
    pub fn capacity(mut self, records: u32) -> Self {
        self.capacity = records.max(1);
        self
    }

    /// Sets how long a request waits for a slot while all are taken; by default 1 s.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets after how many bytes a file is followed by another; by default 64 MiB. Files end with a whole record,
    /// so they may become a little larger.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// Opens the sink: makes the directory if need be, and a first file, and starts the writer.
    ///
    /// # Errors
    ///
    /// Fails if no file can be made there.
    pub fn open(self, directory: impl AsRef<Path>) -> Result<JsonLines, Unwritable> {
        let directory = directory.as_ref();
        Folder::open(directory)
            .and_then(|folder| self.start(folder))
            .map_err(|source| Unwritable {
                directory: directory.to_owned(),
                source,
            })
    }

    fn start<D: Directory>(self, directory: D) -> io::Result<JsonLines> {
        let queue = Arc::new(Queue::default());
        let slots = Arc::new(Semaphore::new(self.capacity as usize));
        let (health, healthy) = watch::channel(true);
        let writer = Writer::open(
            directory,
            &self,
            Arc::clone(&queue),
            Arc::clone(&slots),
            health,
        )?;
        let (end, ended) = std_mpsc::channel();
        let subscriber = tracing::dispatcher::get_default(Clone::clone);
        std::thread::Builder::new()
            .name("backstop-audit".to_owned())
            .spawn(move || {
                let _end: std_mpsc::Sender<()> = end;
                tracing::dispatcher::with_default(&subscriber, || writer.run());
            })?;
        Ok(JsonLines(Arc::new(Shared {
            queue,
            slots,
            capacity: self.capacity,
            mode: self.mode,
            on_failure: self.on_failure,
            patience: self.patience,
            healthy,
            ended: Mutex::new(ended),
        })))
    }
}

/// No record can be written to that directory.
#[derive(Debug)]
pub struct Unwritable {
    directory: PathBuf,
    source: io::Error,
}

impl Unwritable {
    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot write audit records to {}: let this user write there, or name another directory",
            self.directory.display()
        )
    }
}

impl Error for Unwritable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Not everything was recorded when the sink was shut down.
#[derive(Debug)]
pub struct Unfinished {
    running: usize,
    lost: u64,
}

impl Unfinished {
    /// Requests that had not handed over a record that is durable when the time was up.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running
    }

    /// Records that were handed over and could not be written.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "audit shut down before its work was done: {} requests without a durable record, {} records lost",
            self.running, self.lost
        )
    }
}

impl Error for Unfinished {}

#[cfg(test)]
mod tests;
