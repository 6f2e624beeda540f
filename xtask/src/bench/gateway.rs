//! The gateway against a bare hyper proxy and a direct call. The work is done by `benches/src/bin/gateway`.

use super::{Tables, cargo, output};
use crate::workspace::Workspace;
use crate::{Result, process};
use std::process::Command;

/// The medians of so many rounds count.
const ROUNDS: &str = "50";

pub(super) fn run(workspace: &Workspace) -> Result<Tables> {
    let packages = ["-p", "backstop-gateway", "-p", "backstop-benches", "--bins"];
    let mut build = cargo(["build", "--release"]);
    process::run(build.args(packages))?;
    let program = |name: &str| workspace.target.join("release").join(name);
    let mut bench = Command::new(program("bench-gateway"));
    bench
        .args([program("backstop"), program("bench-proxy")])
        .arg(ROUNDS);
    let (text, passed) = output(&mut bench)?;
    if text.is_empty() {
        return Err(format!("`{}` has measured nothing", process::shown(&bench)).into());
    }
    Ok(Tables { text, passed })
}
