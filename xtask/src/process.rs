//! Child processes: cargo, other programs, and servers that live for the length of a check.

use crate::Result;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// How long a server may take to say that it is ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// The cargo that runs this program, with `arguments`.
pub(crate) fn cargo<I>(arguments: I) -> Command
where
    I: IntoIterator<Item: AsRef<OsStr>>,
{
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    // What `cargo run` sets for this package must not reach another cargo: build scripts that
    // watch such a variable (ring's does) would run again, and with them half of the tree.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut line = String::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            line += &format!("{}='{}' ", name.to_string_lossy(), value.to_string_lossy());
        }
    }
    line += &program.file_name().unwrap_or_default().to_string_lossy();
    for argument in command.get_args() {
        line += " ";
        line += &argument.to_string_lossy();
    }
    line
}

/// Runs a command to its end; its output goes where ours goes.
pub(crate) fn run(command: &mut Command) -> Result {
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("cannot start `{}`: {error}", shown(command)))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("`{}` ended with {status}", shown(command)).into())
}

/// A server of this workspace, stopped when the value is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Starts `command` and waits for the line that begins with `ready` and ends with the address.
    /// What the server logs goes to the file `log`.
    pub(crate) fn start(mut command: Command, ready: &str, log: &Path) -> Result<Self> {
        let name = shown(&command);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .spawn()
            .map_err(|error| format!("cannot start `{name}`: {error}"))?;
        let mut server = Self {
            child,
            url: String::new(),
        };
        let stdout = server.child.stdout.take().expect("stdout is piped");
        let (lines, received) = mpsc::channel();
        // Reads to the end, so that a server that goes on printing is never blocked by a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(|line| line.ok()) {
                let _ = lines.send(line);
            }
        });
        loop {
            let line = received.recv_timeout(PATIENCE).map_err(|error| {
                let what = match error {
                    RecvTimeoutError::Timeout => "is not ready after a minute",
                    RecvTimeoutError::Disconnected => "ended before it was ready",
                };
                format!("`{name}` {what}; its log is {}", log.display())
            })?;
            if let Some(url) = line.strip_prefix(ready) {
                url.trim().clone_into(&mut server.url);
                return Ok(server);
            }
        }
    }

    /// Where the server listens, as `http://host:port`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a child that is already gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
