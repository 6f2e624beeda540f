//! Reloads the configuration when a secret's file changes, and on SIGHUP.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backstop_config::Config;
use backstop_core::BoxError;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use crate::explained;
use crate::gateway::Gateway;
use crate::source::Source;

/// How often files are looked at. Asking works for every file system and every way to replace a file.
const EVERY: Duration = Duration::from_millis(200);

struct Watch {
    gateway: Arc<Gateway>,
    source: Source,
    files: Vec<PathBuf>,
    seen: Vec<Option<Stamp>>,
}

/// What changes when a file is written to or replaced: when, to the nanosecond, how long, and which.
type Stamp = (i64, i64, u64, u64);

/// Watches `files`, which the configuration from `source` refers to.
pub(crate) fn start(
    gateway: Arc<Gateway>,
    source: Source,
    files: Vec<PathBuf>,
) -> io::Result<JoinHandle<()>> {
    let hangups = signal(SignalKind::hangup())?;
    let seen = stamps(&files);
    let watch = Watch {
        gateway,
        source,
        files,
        seen,
    };
    Ok(tokio::spawn(watch.run(hangups)))
}

impl Watch {
    async fn run(mut self, mut hangups: Signal) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = hangups.recv() => {
                    let config = self.source.reopen().map(|(source, config)| (Some(source), config));
                    self.reload("SIGHUP", config).await;
                }
                _ = ticks.tick(), if !self.files.is_empty() => {
                    if self.look().await {
                        let config = self.source.resolve().map(|config| (None, config));
                        self.reload("a file has changed", config).await;
                    }
                }
            }
        }
    }

    /// Whether a file has changed since it was looked at last.
    async fn look(&mut self) -> bool {
        let files = self.files.clone();
        // It fails only when the process ends.
        let Ok(now) = spawn_blocking(move || stamps(&files)).await else {
            return false;
        };
        let changed = now != self.seen;
        self.seen = now;
        changed
    }

    async fn reload(&mut self, because: &str, fresh: Result<(Option<Source>, Config), BoxError>) {
        if let Err(error) = self.try_reload(fresh).await {
            let error = explained(&*error);
            tracing::error!(
                because,
                error,
                "configuration not reloaded: the old one stays in force"
            );
        } else {
            tracing::info!(because, "configuration reloaded");
        }
    }

    async fn try_reload(
        &mut self,
        fresh: Result<(Option<Source>, Config), BoxError>,
    ) -> Result<(), BoxError> {
        let (source, config) = fresh?;
        self.gateway.reload(&config).await?;
        if let Some(source) = source {
            self.source = source;
        }
        if self.files != config.files() {
            self.files = config.files().to_vec();
            self.seen = stamps(&self.files);
        }
        Ok(())
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |file: &PathBuf| {
        let about = std::fs::metadata(file).ok()?;
        Some((about.mtime(), about.mtime_nsec(), about.len(), about.ino()))
    };
    files.iter().map(stamp).collect()
}
