//! Programs that come from the system's packages.

use crate::Result;
use crate::process::{run, shown};
use std::process::{Command, Stdio};

/// Installs `packages`, and says so first. `why` is what the caller is told.
pub(crate) fn install(why: &str, packages: &[&str]) -> Result {
    let mut update = Command::new("apt-get");
    update.args(["update", "--quiet=2"]);
    let mut install = Command::new("apt-get");
    install
        .args(["install", "--yes", "--quiet=2", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive");
    println!(
        "{why}; installing from the system's packages: {}",
        shown(&install)
    );
    run(&mut update)
        .and_then(|()| run(&mut install))
        .map_err(|error| format!("{why}; install it first: {error}").into())
}

/// A Redis that tests can start servers of.
pub(crate) fn redis() -> Result {
    if can_run("redis-server") {
        return Ok(());
    }
    install(
        "the tests of the ledger in Redis need redis-server",
        &["redis-server"],
    )
}

pub(crate) fn can_run(program: &str) -> bool {
    let status = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
