//! Programs that come from the system's packages.

use crate::Result;
use crate::process::{run, shown};
use std::process::Command;

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
