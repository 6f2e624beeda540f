//! Reloads the configuration when a secret's file changes, and on SIGHUP; says each day what of it needs attention.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backstop_config::Config;
use backstop_core::BoxError;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use crate::explained;
use crate::gateway::Gateway;
use crate::source::Source;

/// How often files are looked at. Asking works for every file system and every way to replace a file.
const EVERY: Duration = Duration::from_millis(200);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

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
        let mut days = interval_at(Instant::now() + DAY, DAY);
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
                // What ends while the gateway runs was not said when it started.
                _ = days.tick() => {
                    let warnings = self.source.resolve().map(|config| config.warnings());
                    for warning in warnings.unwrap_or_default() {
                        tracing::warn!("{warning}");
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use super::*;
    use crate::gateway::Exposure;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_needs_attention_is_said_each_day() {
        let text = "
audit: off
model_list:
  - model_name: smart
    litellm_params: {model: openai/gpt-4o, api_key: sk-1, api_base: 'http://127.0.0.1:1'}
    model_info: {id: smart, compliance: [{name: baa, until: 2020-01-31}]}
";
        let source = Source::File {
            path: "backstop.yaml".into(),
            text: text.to_owned(),
        };
        let config = source.resolve().unwrap();
        let exposure = Exposure {
            public: None,
            insecure: false,
        };
        let gateway = Arc::new(Gateway::start(&config, exposure).await.unwrap());
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone());
        let _guard = tracing::subscriber::set_default(subscriber.finish());
        let watching = start(gateway, source, Vec::new()).unwrap();
        let said = || {
            let lines = lines.0.lock().unwrap();
            let text = String::from_utf8_lossy(&lines);
            text.matches("`smart`: `baa` ended on 2020-01-31").count()
        };
        for days in 0..3 {
            assert_eq!(said(), days);
            tokio::time::sleep(DAY + Duration::from_secs(1)).await;
        }
        watching.abort();
    }
}
