//! `cargo xtask test [--long]`: everything that must pass, on a fresh machine.

use crate::process::cargo;
use crate::steps::Steps;
use crate::workspace::Workspace;
use crate::{Result, packages, sdk};

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result {
    let long = match arguments {
        [] => false,
        [long] if long == "--long" => true,
        [other, ..] => return Err(format!("unexpected argument `{other}`").into()),
    };
    let mut steps = Steps::default();

    // Every step selects the same packages and features: for others cargo compiles the tree again.
    let whole = |command| cargo([command, "--workspace", "--all-features"]);

    steps.command("format", cargo(["fmt", "--all", "--check"]))?;

    let mut lints = whole("clippy");
    lints.args(["--all-targets", "--", "-D", "warnings"]);
    steps.command("lints", lints)?;

    packages::redis()?;
    // Without a selection of targets cargo runs the doc tests too and compiles the examples; the
    // benches have been compiled by the lints.
    let mut tests = whole("test");
    if long {
        tests.env("BACKSTOP_LONG", "1");
    }
    steps.command("tests", tests)?;

    let mut docs = whole("doc");
    docs.args(["--no-deps", "--lib"])
        .env("RUSTDOCFLAGS", "-D warnings");
    steps.command("docs", docs)?;

    steps.step("SDK checks", "cargo xtask sdk", || sdk::check(workspace))?;

    steps.summary();
    Ok(())
}
