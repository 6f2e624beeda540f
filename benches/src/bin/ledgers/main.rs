//! What ledgers that outlive a process cost: pairs of a reservation and its settlement, each under four budgets.
//!
//! `bench-ledgers FOLDER ROUNDS` with a folder on the disk that counts; `cargo xtask bench ledgers` builds it and runs
//! it. Tables go to stdout, progress to stderr; the exit code is 1 if a gate fails.

mod disk;
mod server;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use backstop::Budget;
use backstop::budget::{Amounts, Ledger, Leg, Limit, Reservation, Scope, Window};
use backstop::core::{NanoUsd, wall};
use backstop_benches::report::Report;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How many ask at once.
const TASKS: usize = 64;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [folder, rounds] = &arguments[..] else {
        eprintln!("usage: bench-ledgers FOLDER ROUNDS");
        return ExitCode::from(2);
    };
    let result = match rounds.parse() {
        Ok(rounds) => bench(Path::new(folder), rounds).await,
        Err(error) => Err(format!("`{rounds}` rounds: {error}").into()),
    };
    match result {
        Ok(report) => {
            print!("{report}");
            ExitCode::from(u8::from(report.has_failed()))
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn bench(folder: &Path, rounds: usize) -> Result<Report> {
    let mut report = Report::default();
    let durable = disk::measure(folder, rounds).await?;
    let shared = server::measure().await?;
    report.row(["ledger, four budgets each", "pairs/s, 64 at once", "", ""]);
    report.line("|---|--:|---|--:|");
    durable.row(&mut report);
    if let Some(shared) = &shared {
        shared.row(&mut report);
    }
    report.line("");
    let gates = [Some(durable.gate()), shared.map(|shared| shared.gate())];
    report.gates(&gates.into_iter().flatten().collect::<Vec<_>>());
    Ok(report)
}

/// The accounts of one caller.
#[derive(Clone)]
struct Accounts([(Arc<Budget>, Arc<str>); 4]);

impl Accounts {
    fn new() -> Result<Self> {
        let day = Window::day("UTC")?;
        // More than is ever spent here, and less than the most that Redis counts to.
        let limit = Limit::Usd(NanoUsd::from_nano(1 << 50));
        let account =
            |scope, id: &str| (Arc::new(Budget::new(scope, limit, day.clone())), id.into());
        Ok(Self([
            account(Scope::Org, "acme"),
            account(Scope::Team, "growth"),
            account(Scope::Key, "web"),
            account(Scope::Global, ""),
        ]))
    }

    fn reservation(&self) -> Reservation {
        let now = wall::now();
        let leg = |(budget, id): &(_, _)| Leg::new(Arc::clone(budget), Arc::clone(id), now);
        Reservation::new(self.0.iter().map(leg).collect(), Amounts::new(2000, 0, 0))
    }

    /// One after another.
    async fn pairs<L: Ledger>(self, ledger: L, pairs: usize) -> Result<()> {
        for _ in 0..pairs {
            let lease = ledger.reserve(self.reservation(), None).await;
            let lease = lease.map_err(|denied| format!("not admitted: {denied:?}"))?;
            lease.commit(Amounts::new(1000, 0, 0));
        }
        Ok(())
    }
}

/// How long it takes until all of [`TASKS`] have made so many pairs each, and `flush` is done.
async fn took<L: Ledger + Clone + 'static>(
    ledger: &L,
    pairs: usize,
    flush: impl Future<Output = ()>,
) -> Result<Duration> {
    let accounts = Accounts::new()?;
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        tasks.spawn(accounts.clone().pairs(ledger.clone(), pairs));
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    flush.await;
    Ok(Instant::now().saturating_duration_since(begun))
}
