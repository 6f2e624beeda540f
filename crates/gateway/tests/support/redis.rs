//! A Redis of the test's own, on a port that nobody else has.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A server that keeps everything in memory. Killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Redis {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        loop {
            let port = TcpListener::bind("127.0.0.1:0")
                .and_then(|listener| listener.local_addr())
                .expect("a port")
                .port();
            let mut child = spawn(port, &folder);
            if answers(&mut child, port) {
                return Self {
                    child,
                    port,
                    folder,
                };
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Kills it, with all that is in it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts it again after it was killed, empty.
    pub(crate) fn restart(&mut self) {
        while {
            self.child = spawn(self.port, &self.folder);
            !answers(&mut self.child, self.port)
        } {}
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Both fail only for a child that is already gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, folder: &TempDir) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed (Debian and Ubuntu: apt-get install redis-server)")
}

/// Waits until it does, or has ended: somebody else may have taken the port.
fn answers(child: &mut Child, port: u16) -> bool {
    let own = format!("process_id:{}\r\n", child.id());
    loop {
        if child.try_wait().expect("it is ours").is_some() {
            return false;
        }
        if said_about_itself(port).is_ok_and(|said| said.contains(&own)) {
            return true;
        }
        std::thread::yield_now();
    }
}

fn said_about_itself(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"INFO server\r\nQUIT\r\n")?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    Ok(said)
}
