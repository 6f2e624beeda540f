//! The servers of a benchmark: children, stopped when they are dropped, whose processor time is counted.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::Result;

/// How long a server may take to say that it is ready.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Starts a program that prints a line which ends with its URL.
    pub(crate) async fn start(program: &Path, arguments: &[&str]) -> Result<Self> {
        let name = program.display();
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let line = timeout(PATIENCE, lines.next_line()).await??;
        let address = line
            .as_deref()
            .and_then(|line| line.rsplit_once("http://"))
            .ok_or_else(|| format!("{name} did not say where it listens"))?
            .1
            .to_owned();
        Ok(Self { child, address })
    }

    /// The host and port that it listens on.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The processor time that its threads have used so far, in user mode and in the kernel; `None` where the system
    /// does not tell.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        let id = self.child.id()?;
        // In nanoseconds: `stat` counts in hundredths of a second, and a round has only a few of those.
        let threads = std::fs::read_dir(format!("/proc/{id}/task")).ok()?;
        let nanoseconds = threads.map(|thread| {
            let stat = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            stat.split_ascii_whitespace().next()?.parse::<u64>().ok()
        });
        nanoseconds.sum::<Option<u64>>().map(Duration::from_nanos)
    }

    /// Ends it as an operator would, so that it flushes what it holds.
    pub(crate) async fn stop(mut self) -> Result<()> {
        if let Some(id) = self.child.id() {
            Command::new("kill").arg(id.to_string()).status().await?;
        }
        timeout(PATIENCE, self.child.wait()).await??;
        Ok(())
    }
}
