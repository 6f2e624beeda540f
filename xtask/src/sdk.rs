//! `cargo xtask sdk`: the vendors' own SDKs talk to the simulator, and to the gateway before it.

mod node;

use crate::process::{Server, cargo, run as run_command};
use crate::workspace::Workspace;
use crate::{Result, no_arguments};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result {
    no_arguments(arguments)?;
    check(workspace)
}

/// Builds the servers, prepares Python and Node, and runs `tests/sdk` against them.
pub(crate) fn check(workspace: &Workspace) -> Result {
    // With examples the features are those of the tests, so nothing is compiled again for them.
    run_command(cargo(["build", "--workspace", "--all-features"]).args(["--bins", "--examples"]))?;
    let sources = workspace.root.join("tests/sdk");
    let python = environment(workspace, &sources.join("requirements.txt"))?;
    let mut node = node::tests(workspace, &sources.join("node"))?;
    let logs = workspace.target.join("sdk");
    fs::create_dir_all(&logs)?;

    let mut simulator = Command::new(workspace.target.join("debug/examples/sim"));
    simulator.arg("127.0.0.1:0");
    let simulator = Server::start(simulator, "simulator on ", &logs.join("simulator.log"))?;
    println!("SDKs against the simulator on {}", simulator.url());
    let gateway_tests = sources.join("test_gateway.py");
    let servers = [("BACKSTOP_SIM_URL", simulator.url())];
    let mut tests = pytest(&python);
    tests.arg(&sources).arg("--ignore").arg(&gateway_tests);
    run_command(against(&mut tests, &servers))?;

    let mut gateway = Command::new(workspace.target.join("debug/backstop"));
    gateway
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(sources.join("gateway.yaml"))
        // Relative paths in the configuration, such as the audit's, stay below target.
        .current_dir(&logs)
        .env("OPENAI_BASE", format!("{}/openai/v1", simulator.url()))
        .env("ANTHROPIC_BASE", format!("{}/anthropic", simulator.url()))
        .env("BEDROCK_BASE", format!("{}/bedrock", simulator.url()));
    let gateway = Server::start(gateway, "listening on ", &logs.join("gateway.log"))?;
    println!("SDKs against the gateway on {}", gateway.url());
    let servers = [servers[0], ("BACKSTOP_GATEWAY_URL", gateway.url())];
    run_command(against(pytest(&python).arg(&gateway_tests), &servers))?;
    run_command(against(&mut node, &servers))
}

fn against<'a>(tests: &'a mut Command, servers: &[(&str, &str)]) -> &'a mut Command {
    tests
        .envs(servers.iter().copied())
        // The servers are on loopback; a proxy of the machine's would not find them.
        .env("NO_PROXY", "127.0.0.1,localhost")
        .env("no_proxy", "127.0.0.1,localhost")
}

fn pytest(python: &Path) -> Command {
    let mut command = Command::new(python);
    command
        .args([
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--timeout",
            "120",
        ])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A virtual environment with exactly `requirements`; returns its Python.
fn environment(workspace: &Workspace, requirements: &Path) -> Result<PathBuf> {
    let wanted = fs::read_to_string(requirements)
        .map_err(|error| format!("{}: {error}", requirements.display()))?;
    let directory = workspace.target.join("sdk-venv");
    let python = directory.join("bin/python");
    // A copy of what was installed, written last: an installation that broke off has none.
    let installed = directory.join("requirements.txt");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }

    let able = Command::new("python3")
        .args(["-c", "import ensurepip, venv"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !able.is_ok_and(|status| status.success()) {
        return Err(
            "the SDK checks need python3 with its venv module; install it first \
             (Debian and Ubuntu: apt-get install python3 python3-venv)"
                .into(),
        );
    }
    println!(
        "installing into {} from PyPI:\n{}",
        directory.display(),
        wanted.trim_end()
    );
    run_command(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&directory),
    )?;
    run_command(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(requirements),
    )?;
    fs::write(&installed, wanted)?;
    Ok(python)
}
