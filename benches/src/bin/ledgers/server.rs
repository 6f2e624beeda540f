//! The ledger in Redis: what the server is asked, by its own count.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use backstop_benches::report::{Gate, Report, median};
use backstop_store::RedisLedger;
use backstop_store::redis::Options;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{Accounts, Result, TASKS, took};

/// How many pairs are made one after another, and how many each task makes.
const PAIRS: usize = 500;

pub(crate) struct Shared {
    /// Pairs in a second.
    rate: f64,
    /// Calls for a reservation or a settlement, where none waits for another.
    calls: f64,
    /// Seconds for a reservation, and for a round trip in which nothing is done.
    reserve: f64,
    ping: f64,
}

/// `None` where Redis is not installed.
pub(crate) async fn measure() -> Result<Option<Shared>> {
    let Some(mut server) = Server::start().await? else {
        eprintln!("redis-server is not installed: its ledger is not measured");
        return Ok(None);
    };
    eprintln!("Redis");
    let options = Options {
        // On a machine that does other things too.
        timeout: Duration::from_secs(10),
        // An empty one admits nothing for so long.
        lease: Duration::from_secs(1),
        ..Options::default()
    };
    let ledger = RedisLedger::connect([server.url()], options).await?;
    let accounts = Accounts::new()?;
    accounts.clone().pairs(ledger.clone(), 10).await?;
    ledger.flush().await;

    let before = server.calls()?;
    let mut times = Vec::with_capacity(PAIRS);
    for _ in 0..PAIRS {
        let begun = Instant::now();
        accounts.clone().pairs(ledger.clone(), 1).await?;
        let ended = Instant::now();
        times.push(ended.saturating_duration_since(begun).as_secs_f64());
        ledger.flush().await;
    }
    let calls = (server.calls()? - before) as f64 / (2 * PAIRS) as f64;
    let mut pings = Vec::with_capacity(PAIRS);
    for _ in 0..PAIRS {
        let begun = Instant::now();
        server.ask("PING")?;
        let ended = Instant::now();
        pings.push(ended.saturating_duration_since(begun).as_secs_f64());
    }

    let took = took(&ledger, PAIRS, ledger.flush()).await?;
    ledger.close().await;
    Ok(Some(Shared {
        rate: (TASKS * PAIRS) as f64 / took.as_secs_f64(),
        calls,
        reserve: median(&times),
        ping: median(&pings),
    }))
}

impl Shared {
    pub(crate) fn row(&self, report: &mut Report) {
        report.row([
            "Redis, shared".to_owned(),
            format!("{:.0}", self.rate),
            "reserving, to a bare round trip (µs)".to_owned(),
            format!("{:.0}, {:.0}", self.reserve * 1e6, self.ping * 1e6),
        ]);
    }

    pub(crate) fn gate(&self) -> Gate {
        Gate {
            what: "round trips to Redis for a reservation or a settlement",
            // A process that has been silent for a while says that it is alive.
            bound: "≤ 1.01",
            measured: format!("{:.3}", self.calls),
            passed: self.calls <= 1.01,
        }
    }
}

/// A Redis of the benchmark's own, stopped when it is dropped.
struct Server {
    child: Child,
    port: u16,
    connection: BufReader<TcpStream>,
    _folder: TempDir,
}

impl Server {
    async fn start() -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let started = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                stream.set_nodelay(true)?;
                return Ok(Some(Self {
                    child,
                    port,
                    connection: BufReader::new(stream),
                    _folder: folder,
                }));
            }
            if let Some(status) = child.try_wait()? {
                return Err(format!("redis-server has ended: {status}").into());
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// What it answers to a command.
    fn ask(&mut self, command: &str) -> Result<String> {
        let line = format!("{command}\r\n");
        self.connection.get_mut().write_all(line.as_bytes())?;
        let mut answer = String::new();
        self.connection.read_line(&mut answer)?;
        if let Some(length) = answer.strip_prefix('$') {
            let mut text = vec![0; length.trim().parse::<usize>()? + 2];
            self.connection.read_exact(&mut text)?;
            answer = String::from_utf8(text)?;
        }
        Ok(answer)
    }

    /// How many calls of scripts it has had.
    fn calls(&mut self) -> Result<u64> {
        let stats = self.ask("INFO commandstats")?;
        let of = |command: &str| -> Result<u64> {
            let calls = stats.lines().find_map(|line| {
                let line = line.strip_prefix("cmdstat_")?.strip_prefix(command)?;
                line.strip_prefix(":calls=")?.split(',').next()
            });
            Ok(calls.unwrap_or("0").parse()?)
        };
        Ok(of("evalsha")? + of("eval")?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
