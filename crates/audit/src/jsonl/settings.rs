use std::io;
use std::path::Path;
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::queue::Queue;
use super::segment::{Directory, Folder};
use super::writer::Writer;
use super::{JsonLines, Shared, Unwritable};

/// When a record is durable, that is, on the disk and not just with the operating system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Before its answer ends: the last frame of each response waits until its record is on the disk.
    Sync,
    /// Within about 25 ms and one write to the disk, shared with all records of that time. Nothing waits for it.
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

/// Settings of a [`JsonLines`] sink.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it opens its sink"]
pub struct JsonLinesBuilder {
    pub(super) mode: Mode,
    pub(super) on_failure: OnFailure,
    pub(super) capacity: u32,
    pub(super) patience: Duration,
    pub(super) segment_bytes: u64,
    pub(super) probe: Duration,
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

    pub(super) fn start<D: Directory>(self, directory: D) -> io::Result<JsonLines> {
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
