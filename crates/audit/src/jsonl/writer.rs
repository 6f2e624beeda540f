use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backstop_core::wall;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::queue::{Batch, Queue};
use super::segment::{Directory, Segment};
use super::{JsonLinesBuilder, Mode, OnFailure};
use crate::json::Moment;
use crate::line::with_line;

/// The one who writes. It owns the files and runs on a thread of its own until the queue is closed and empty.
#[derive(Debug)]
pub(super) struct Writer<D: Directory> {
    directory: D,
    segment: Option<Growing<D::Segment>>,
    queue: Arc<Queue>,
    slots: Arc<Semaphore>,
    health: watch::Sender<bool>,
    on_failure: OnFailure,
    window: Duration,
    probe: Duration,
    segment_bytes: u64,
    /// How many lost records have been told of.
    told: u64,
    down: Option<Down>,
}

/// Since when nothing can be written.
#[derive(Clone, Copy, Debug)]
struct Down {
    since: SystemTime,
    last_try: Instant,
}

/// A segment and how much of it is durable.
#[derive(Debug)]
struct Growing<S> {
    segment: S,
    durable: u64,
}

impl<S: Segment> Growing<S> {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.segment.append(lines)?;
        self.segment.sync()?;
        self.durable += lines.len() as u64;
        Ok(())
    }

    fn abandon(self) {
        self.segment.abandon(self.durable);
    }
}

impl<D: Directory> Writer<D> {
    /// A writer with its first segment.
    pub(super) fn open(
        directory: D,
        settings: &JsonLinesBuilder,
        queue: Arc<Queue>,
        slots: Arc<Semaphore>,
        health: watch::Sender<bool>,
    ) -> io::Result<Self> {
        let mut writer = Self {
            directory,
            segment: None,
            queue,
            slots,
            health,
            on_failure: settings.on_failure,
            window: match settings.mode {
                Mode::Sync => Duration::ZERO,
                // Each sync takes the processor from the requests that it is about: at 2 ms, a busy gateway spent a
                // tenth of its time on that, at 10 ms a twentieth.
                Mode::Group => Duration::from_millis(25),
                Mode::Async => Duration::from_secs(1),
            },
            probe: settings.probe,
            segment_bytes: settings.segment_bytes,
            told: 0,
            down: None,
        };
        writer.segment = Some(writer.next_segment()?);
        Ok(writer)
    }

    pub(super) fn run(mut self) {
        let mut batch = Batch::default();
        loop {
            let idle = self.down.map(|_| self.probe);
            if !self.queue.take(&mut batch, self.window, idle) {
                break;
            }
            self.record(&batch);
            self.slots.add_permits(batch.len());
            batch.clear();
        }
        self.finish();
    }

    /// Writes `batch`, or, while that is impossible, does what the settings say.
    fn record(&mut self, batch: &Batch) {
        if self.on_failure == OnFailure::Degrade && self.rests() {
            return self.queue.lose(batch.len());
        }
        while let Err(error) = self.commit(batch) {
            self.failed(&error);
            if self.on_failure == OnFailure::Degrade || !self.queue.pause(self.probe) {
                return self.queue.lose(batch.len());
            }
        }
        self.succeeded();
    }

    /// Whether it is too early for another try. The end is always worth one.
    fn rests(&self) -> bool {
        self.down.is_some_and(|down| {
            Instant::now().saturating_duration_since(down.last_try) < self.probe
                && !self.queue.is_closed()
        })
    }

    /// Makes a record of `batch`, and of what was lost before it, durable.
    fn commit(&mut self, batch: &Batch) -> io::Result<()> {
        let lost = self.queue.lost();
        if lost > self.told {
            let gap = Gap {
                dropped: lost - self.told,
                since: self.down.map(|down| down.since),
                until: wall::now(),
            };
            let lines = with_line(&gap, |line| [line, &batch.lines].concat());
            self.append(&lines)?;
        } else {
            self.append(&batch.lines)?;
        }
        self.told = lost;
        Ok(())
    }

    /// Appends the lines to the segment; if it fails, to a new one. After a failed sync nobody knows what a
    /// segment holds, and a second sync would report success without having written.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if let Some(mut segment) = self.segment.take() {
            match segment.write(lines) {
                Ok(()) => {
                    self.keep(segment);
                    return Ok(());
                }
                Err(error) => {
                    tracing::warn!(%error, "an audit file failed, trying a new one");
                    segment.abandon();
                }
            }
        }
        let mut segment = self.next_segment()?;
        match segment.write(lines) {
            Ok(()) => {
                self.keep(segment);
                Ok(())
            }
            Err(error) => {
                segment.abandon();
                Err(error)
            }
        }
    }

    fn next_segment(&mut self) -> io::Result<Growing<D::Segment>> {
        let segment = self.directory.create()?;
        Ok(Growing {
            segment,
            durable: 0,
        })
    }

    fn keep(&mut self, segment: Growing<D::Segment>) {
        if segment.durable < self.segment_bytes {
            self.segment = Some(segment);
        }
    }

    fn failed(&mut self, error: &io::Error) {
        let now = Instant::now();
        if let Some(down) = &mut self.down {
            down.last_try = now;
            return;
        }
        self.down = Some(Down {
            since: wall::now(),
            last_try: now,
        });
        // Before the log: who reads there that it failed finds it so.
        self.health.send_replace(false);
        let serving = self.on_failure == OnFailure::Degrade;
        tracing::error!(%error, serving, "audit records cannot be written");
    }

    fn succeeded(&mut self) {
        if self.down.take().is_some() {
            self.health.send_replace(true);
            let dropped = self.queue.lost();
            tracing::warn!(dropped, "audit records are written again");
        }
    }

    fn finish(&mut self) {
        if self.queue.lost() > self.told && self.commit(&Batch::default()).is_err() {
            let lost = self.queue.lost() - self.told;
            tracing::error!(lost, "audit records were lost");
        }
        if let Some(unused) = self.segment.take_if(|segment| segment.durable == 0) {
            unused.abandon();
        }
    }
}

impl<D: Directory> Drop for Writer<D> {
    /// Also where it panics: nobody waits for a writer that is gone.
    fn drop(&mut self) {
        self.slots.add_permits(self.queue.abandon());
        self.slots.close();
        self.health.send_replace(false);
    }
}

/// A line in place of the records that are missing.
struct Gap {
    dropped: u64,
    since: Option<SystemTime>,
    until: SystemTime,
}

impl Serialize for Gap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Inner<'a>(&'a Gap);

        impl Serialize for Inner<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut json = serializer.serialize_struct("Gap", 3)?;
                json.serialize_field("dropped", &self.0.dropped)?;
                json.serialize_field("since", &self.0.since.map(Moment))?;
                json.serialize_field("until", &Moment(self.0.until))?;
                json.end()
            }
        }

        let mut json = serializer.serialize_struct("Line", 1)?;
        json.serialize_field("gap", &Inner(self))?;
        json.end()
    }
}
