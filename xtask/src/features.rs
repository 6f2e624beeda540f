//! `cargo xtask features`: the facade crate with none and with each of its features.

use crate::process::cargo;
use crate::steps::Steps;
use crate::workspace::Workspace;
use crate::{Result, no_arguments};

const FACADE: &str = "backstop";

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result {
    no_arguments(arguments)?;
    let mut steps = Steps::default();
    steps.command("no feature", lints(None))?;
    for feature in workspace.features(FACADE)? {
        steps.command(feature, lints(Some(feature)))?;
    }
    steps.summary();
    Ok(())
}

/// Clippy rather than check: it fails on warnings without RUSTFLAGS, which would rebuild the tree.
fn lints(feature: Option<&str>) -> std::process::Command {
    let mut command = cargo(["clippy", "--package", FACADE, "--no-default-features"]);
    if let Some(feature) = feature {
        command.args(["--features", feature]);
    }
    command.args(["--", "-D", "warnings"]);
    command
}
