//! A Redis of the test's own, on a port that nobody else has.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backstop_budget::{
    Amounts, Balance, Budget, Lease, Ledger, Leg, Limit, Reason, Reservation, Scope, Window,
};
use backstop_core::Observe;
use backstop_store::RedisLedger;
use backstop_store::redis::{Event, Options};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// With a lease that a test can wait for, and a timeout that a busy machine keeps.
pub(crate) fn options(prefix: &str, allotment: u32) -> Options {
    Options {
        prefix: prefix.to_owned(),
        timeout: Duration::from_secs(10),
        lease: Duration::from_millis(200),
        allotment,
        ..Options::default()
    }
}

/// Stopped when it is dropped.
pub(crate) struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        loop {
            let port = TcpListener::bind("127.0.0.1:0")
                .and_then(|listener| listener.local_addr())
                .expect("a port")
                .port();
            let mut child = spawn(port, &folder, arguments);
            if answers(&mut child, port) {
                return Self {
                    child,
                    port,
                    folder,
                };
            }
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) async fn ledger(&self, options: Options) -> RedisLedger {
        RedisLedger::connect([self.url()], options)
            .await
            .expect("it is there")
    }

    pub(crate) async fn observed(&self, options: Options) -> (RedisLedger, Told) {
        let (told, observer) = Told::new();
        let ledger = RedisLedger::connect_observed([self.url()], options, observer);
        (ledger.await.expect("it is there"), told)
    }

    /// Lets it do nothing, or go on. What is sent to it waits.
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .expect("it is a program");
        assert!(status.success());
    }

    /// As an operator would: what the server answers to one command.
    pub(crate) fn command(&self, command: &[&str]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        let mut sent = format!("*{}\r\n", command.len());
        for word in command {
            sent += &format!("${}\r\n{word}\r\n", word.len());
        }
        sent += "QUIT\r\n";
        stream.write_all(sent.as_bytes()).expect("it reads");
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("it answers");
        assert!(!said.starts_with('-'), "{command:?}: {said}");
        said
    }

    /// Kills it, with all that is in it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts it again after it was killed, empty.
    pub(crate) fn restart(&mut self) {
        while {
            self.child = spawn(self.port, &self.folder, &[]);
            !answers(&mut self.child, self.port)
        } {}
    }
}

/// What is told of a ledger, to wait for.
pub(crate) struct Told(UnboundedReceiver<String>);

impl Told {
    pub(crate) fn new() -> (Self, impl for<'a> Observe<Event<'a>> + Send + 'static) {
        let (tell, told) = unbounded_channel();
        let observer = move |event: &Event<'_>| {
            let _ = tell.send(format!("{event:?}"));
        };
        (Self(told), observer)
    }

    /// Waits for an event that begins like this, and gives those before it too.
    pub(crate) async fn until(&mut self, beginning: &str) -> Vec<String> {
        let mut events = Vec::new();
        loop {
            let event = self.0.recv().await.expect("the ledger is there");
            let is_it = event.starts_with(beginning);
            events.push(event);
            if is_it {
                return events;
            }
        }
    }

    /// All so far.
    pub(crate) fn all(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

/// So many tokens for one key, for ever.
pub(crate) fn tokens(limit: u64) -> Arc<Budget> {
    Arc::new(Budget::new(Scope::Key, Limit::Tokens(limit), Window::total()).of("web"))
}

pub(crate) fn reservation(budget: &Arc<Budget>, tokens: u64) -> Reservation {
    let leg = Leg::new(Arc::clone(budget), "web".into(), SystemTime::UNIX_EPOCH);
    Reservation::new(vec![leg], Amounts::new(0, tokens, 0))
}

pub(crate) async fn balance(ledger: &RedisLedger, budget: &Arc<Budget>) -> Balance {
    let balances = ledger.balances(&[Arc::clone(budget)], SystemTime::UNIX_EPOCH);
    balances.await.expect("it is there").remove(0)
}

/// Asks until it is so. What is asked goes over the network each time, and there is nothing else to wait for.
pub(crate) async fn until(
    ledger: &RedisLedger,
    budget: &Arc<Budget>,
    is: impl Fn(&Balance) -> bool,
) -> Balance {
    loop {
        let balance = balance(ledger, budget).await;
        if is(&balance) {
            return balance;
        }
    }
}

/// Asks until it is granted: meanwhile Redis is away, or what it had is being restored.
pub(crate) async fn granted(ledger: &RedisLedger, budget: &Arc<Budget>, tokens: u64) -> Lease {
    loop {
        match ledger.reserve(reservation(budget, tokens), None).await {
            Ok(lease) => return lease,
            Err(denied) => assert!(
                matches!(denied.reason, Reason::Unavailable(_)),
                "{denied:?}"
            ),
        }
        tokio::task::yield_now().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a child that is already gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, folder: &TempDir, arguments: &[&str]) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder.path())
        .args(arguments)
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
