//! What ledgers on a disk and behind a network cost. The work is done by `benches/src/bin/ledgers`.

use super::{Tables, cargo, output};
use crate::workspace::Workspace;
use crate::{Result, process};
use std::process::Command;

/// The medians of so many rounds count.
const ROUNDS: &str = "5";

pub(super) fn run(workspace: &Workspace) -> Result<Tables> {
    let program = ["-p", "backstop-benches", "--bin", "bench-ledgers"];
    process::run(cargo(["build", "--release"]).args(program))?;
    let mut bench = Command::new(workspace.target.join("release/bench-ledgers"));
    // On the disk that the workspace is on: a temporary folder may be in memory.
    bench.arg(&workspace.target).arg(ROUNDS);
    let (text, passed) = output(&mut bench)?;
    if text.is_empty() {
        return Err(format!("`{}` has measured nothing", process::shown(&bench)).into());
    }
    Ok(Tables { text, passed })
}
