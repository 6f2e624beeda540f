//! The process under test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use backstop_sim::Sim;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::within;

const SERVE: [&str; 5] = [
    "serve",
    "--listen",
    "127.0.0.1:0",
    "--config",
    "backstop.yaml",
];

/// A command that is about to be started, in a folder of its own.
#[derive(Debug)]
pub(crate) struct Setup {
    dir: TempDir,
    command: Command,
}

impl Setup {
    /// `backstop` with these arguments. It inherits nothing of the environment that could decide about anything.
    pub(crate) fn new(arguments: &[&str]) -> Self {
        Self::of(Command::new(env!("CARGO_BIN_EXE_backstop")), arguments)
    }

    /// `backstop serve`, once a shell has run `limits`, such as `ulimit -n 20`.
    pub(crate) fn limited(limits: &str, config: &str) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args([
            "-c",
            &format!("{limits}; exec \"$0\" \"$@\""),
            env!("CARGO_BIN_EXE_backstop"),
        ]);
        Self::of(shell, &SERVE).file("backstop.yaml", config)
    }

    fn of(mut command: Command, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        command
            .args(arguments)
            .current_dir(dir.path())
            .env_clear()
            .env("HOME", dir.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Self { dir, command }
    }

    /// `backstop serve` with this configuration, on a free port.
    pub(crate) fn serve(config: &str) -> Self {
        Self::new(&SERVE).file("backstop.yaml", config)
    }

    /// The variables that [`deployment`](super::deployment) refers to.
    pub(crate) fn before(self, sim: &Sim) -> Self {
        self.env("OPENAI_BASE", &sim.openai())
            .env("ANTHROPIC_BASE", &sim.anthropic())
            .env("BEDROCK_BASE", &sim.bedrock())
    }

    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// A file in the folder that the command runs in.
    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        std::fs::write(self.dir.path().join(name), content).expect("a writable folder");
        self
    }

    /// The folder that the command runs in.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the command and waits until it listens.
    pub(crate) async fn start(self) -> Gateway {
        self.announced("listening on http://").await
    }

    /// Starts the command and waits for the line that ends with its address.
    pub(crate) async fn announced(self, ready: &str) -> Gateway {
        let mut gateway = self.spawn();
        let line = within(ready, gateway.stdout.line(|line| line.starts_with(ready))).await;
        let line = line.unwrap_or_else(|| panic!("ended before it was ready:\n{}", gateway.log()));
        gateway.addr = line[ready.len()..].parse().expect("an address");
        gateway
    }

    /// Runs the command to its end.
    pub(crate) async fn run(self) -> Finished {
        self.spawn().end().await
    }

    fn spawn(mut self) -> Gateway {
        let mut child = self.command.spawn().expect("the binary was built");
        let stdout = Output::of(child.stdout.take().expect("piped"));
        let stderr = Output::of(child.stderr.take().expect("piped"));
        Gateway {
            child,
            addr: ([127, 0, 0, 1], 0).into(),
            stdout,
            stderr,
            dir: self.dir,
        }
    }
}

/// A running gateway, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    // Before its folder, so that it is dead when that goes.
    child: Child,
    addr: SocketAddr,
    stdout: Output,
    stderr: Output,
    dir: TempDir,
}

/// What is left of a process.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) dir: TempDir,
}

impl Gateway {
    /// A gateway with this configuration, before this simulator.
    pub(crate) async fn start(sim: &Sim, config: &str) -> Self {
        Setup::serve(config).before(sim).start().await
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The folder that it runs in.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.stderr.text()
    }

    /// Waits for a line of its log that contains all of `parts`.
    pub(crate) async fn logged(&self, parts: &[&str]) -> String {
        let line = self
            .stderr
            .line(|line| parts.iter().all(|part| line.contains(part)));
        let line = within(&format!("a log line with {parts:?}"), line).await;
        line.unwrap_or_else(|| panic!("ended without logging {parts:?}:\n{}", self.log()))
    }

    pub(crate) fn pid(&self) -> Pid {
        let id = self.child.id().expect("it has not ended");
        i32::try_from(id)
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process id")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it is our own child");
    }

    /// Waits until it ends by itself, or because of a signal sent before.
    pub(crate) async fn end(mut self) -> Finished {
        let status = within("its end", self.child.wait())
            .await
            .expect("it is our own child");
        let Self {
            stdout,
            stderr,
            dir,
            ..
        } = self;
        Finished {
            status,
            stdout: stdout.whole().await,
            stderr: stderr.whole().await,
            dir,
        }
    }

    /// Stops it as an orchestrator does.
    pub(crate) async fn stop(self) -> Finished {
        self.signal(Signal::TERM);
        self.end().await
    }
}

/// The lines that a process has written.
#[derive(Debug)]
struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    changed: watch::Receiver<()>,
    reading: JoinHandle<()>,
}

impl Output {
    fn of(pipe: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (change, changed) = watch::channel(());
        let read = Arc::clone(&lines);
        let reading = tokio::spawn(async move {
            let mut pipe = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = pipe.next_line().await {
                read.lock().expect("no panic").push(line);
                change.send_replace(());
            }
        });
        Self {
            lines,
            changed,
            reading,
        }
    }

    fn text(&self) -> String {
        self.lines.lock().expect("no panic").join("\n")
    }

    /// The first line that matches, once there is one; none if the pipe was closed before.
    async fn line(&self, matches: impl Fn(&str) -> bool) -> Option<String> {
        let mut changed = self.changed.clone();
        loop {
            changed.mark_unchanged();
            let found = self
                .lines
                .lock()
                .expect("no panic")
                .iter()
                .find(|line| matches(line))
                .cloned();
            if found.is_some() {
                return found;
            }
            if changed.changed().await.is_err() {
                let lines = self.lines.lock().expect("no panic");
                return lines.iter().find(|line| matches(line)).cloned();
            }
        }
    }

    async fn whole(self) -> String {
        within("the end of its output", self.reading)
            .await
            .expect("no panic");
        self.lines.lock().expect("no panic").join("\n")
    }
}
