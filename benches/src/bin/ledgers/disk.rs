//! The ledger in a file: how much is durable in a second, next to how long the disk takes for one `fsync`.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use backstop_benches::report::{Gate, Report, median, ratio};
use backstop_store::SqliteLedger;
use tokio::time::Instant;

use crate::{Result, TASKS, took};

/// How many pairs each task makes in a round.
const PAIRS: usize = 100;
/// What the ledger commits together at the most, and how many of these a pair is.
const BATCH: f64 = 64.0;
const STEPS: f64 = 2.0;
/// How often a round asks the disk.
const SYNCS: usize = 200;
/// Seconds. Where an `fsync` takes less, the ledger spends its time on SQL and not on waiting for the disk.
const SLOW: f64 = 2e-3;
/// What a commit writes, at least: a page.
const PAGE: [u8; 4096] = [7; 4096];

/// A value per round.
pub(crate) struct Durable {
    /// Pairs in a second.
    rate: Vec<f64>,
    /// Seconds for an `fsync`.
    fsync: Vec<f64>,
}

pub(crate) async fn measure(folder: &Path, rounds: usize) -> Result<Durable> {
    let folder = tempfile::tempdir_in(folder)?;
    let ledger = SqliteLedger::open(folder.path().join("ledger.db"))?;
    let (mut rate, mut fsync) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        eprintln!("SQLite, round {round} of {rounds}");
        fsync.push(seconds_for_fsync(folder.path())?);
        let took = took(&ledger, PAIRS, ledger.flush()).await?;
        rate.push((TASKS * PAIRS) as f64 / took.as_secs_f64());
    }
    ledger.close().await;
    Ok(Durable { rate, fsync })
}

fn seconds_for_fsync(folder: &Path) -> Result<f64> {
    let mut file = File::create(folder.join("fsync"))?;
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&PAGE)?;
        let begun = Instant::now();
        file.sync_data()?;
        let ended = Instant::now();
        took.push(ended.saturating_duration_since(begun).as_secs_f64());
    }
    Ok(median(&took))
}

impl Durable {
    pub(crate) fn row(&self, report: &mut Report) {
        let fsync = median(&self.fsync) * 1e6;
        report.row([
            "SQLite, durable".to_owned(),
            format!("{:.0}", median(&self.rate)),
            "fsync (µs)".to_owned(),
            format!("{fsync:.0}"),
        ]);
    }

    pub(crate) fn gate(&self) -> Gate {
        let allowed: Vec<_> = self
            .fsync
            .iter()
            .map(|seconds| BATCH / STEPS / seconds)
            .collect();
        let share = ratio(&self.rate, &allowed);
        let waits_for_the_disk = median(&self.fsync) >= SLOW;
        let remark = if waits_for_the_disk {
            ""
        } else {
            " (an fsync is too fast to tell)"
        };
        Gate {
            what: "durable pairs/s to what group commits of 64 allow at this fsync",
            bound: "≥ 0.5",
            measured: format!("{share:.2}{remark}"),
            passed: share >= 0.5 || !waits_for_the_disk,
        }
    }
}
