//! The SQLite ledger against what every ledger is checked against, and against `kill -9`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use backstop_budget::{Amounts, Budget, Ledger, Leg, Limit, Reservation, Scope, Window, testing};
use backstop_store::SqliteLedger;
use proptest::prelude::*;
use tempfile::TempDir;

fn ledger() -> (TempDir, SqliteLedger) {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = SqliteLedger::open(folder.path().join("ledger.db")).expect("new");
    (folder, ledger)
}

#[test]
fn agrees_with_the_model() {
    let (_folder, ledger) = ledger();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let case = AtomicUsize::new(0);
    proptest!(ProptestConfig::with_cases(64), |(steps in testing::steps())| {
        let prefix = case.fetch_add(1, Ordering::Relaxed).to_string();
        runtime.block_on(testing::agrees(&ledger, &prefix, steps));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn admits_exactly_what_fits() {
    let (_folder, ledger) = ledger();
    testing::exactly_what_fits(Arc::new(ledger), "test").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn adds_up_after_turmoil() {
    let (_folder, ledger) = ledger();
    testing::turmoil(Arc::new(ledger), "test").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn shows_no_gap_in_a_swap() {
    let (_folder, ledger) = ledger();
    testing::no_gap_in_a_swap(Arc::new(ledger), "test").await;
}

#[tokio::test]
async fn one_name_is_not_one_account() {
    let (_folder, ledger) = ledger();
    testing::one_name_is_not_one_account(Arc::new(ledger), "test").await;
}

const CHILD: &str = "BACKSTOP_STORE_TEST_CHILD";
const LIMIT: u64 = 1 << 40;
const HELD: u64 = 10;

fn budgets() -> [Arc<Budget>; 2] {
    [
        Budget::new(Scope::Key, Limit::Tokens(LIMIT), Window::total()).of("web"),
        Budget::new(Scope::Global, Limit::Requests(LIMIT), Window::total()),
    ]
    .map(Arc::new)
}

fn reservation(budgets: &[Arc<Budget>; 2]) -> Reservation {
    let legs = budgets.iter().map(|budget| {
        let id = budget.id().expect("each has one");
        Leg::new(Arc::clone(budget), Arc::clone(id), SystemTime::UNIX_EPOCH)
    });
    Reservation::new(legs.collect(), Amounts::new(0, HELD, 1))
}

/// Not a test but the process that is killed: it spends on several tasks, and says how much is on disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(path) = std::env::var(CHILD) else {
        return;
    };
    let ledger = SqliteLedger::open(path).expect("it can be opened");
    let (told, mut settled) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..8 {
        let (ledger, told, budgets) = (ledger.clone(), told.clone(), budgets());
        tokio::spawn(async move {
            loop {
                let mut lease = ledger
                    .reserve(reservation(&budgets), None)
                    .await
                    .expect("room");
                lease.sent();
                lease.commit(Amounts::new(0, HELD - 3, 1));
                let _ = told.send(());
            }
        });
    }
    let mut calls = 0;
    let mut batch = Vec::new();
    loop {
        settled.recv_many(&mut batch, 64).await;
        calls += batch.drain(..).len();
        ledger.flush().await;
        println!("on disk {calls}");
    }
}

/// Runs the child on the ledger until it has said so many lines, and kills it. What it said last.
fn killed(path: &Path, lines: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut said = stdout.lines().filter_map(|line| {
        let line = line.expect("text");
        line.strip_prefix("on disk ")?.parse::<u64>().ok()
    });
    let before = said.by_ref().take(lines).last().expect("it works");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    // What it had written to the pipe before it died.
    said.last().unwrap_or(before)
}

#[tokio::test]
async fn a_killed_process_leaves_nothing_reserved_and_nothing_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let budgets = budgets();
    let mut before = [0, 0];
    for round in 0..50 {
        let calls = killed(&path, 1 + round % 7);
        let ledger = SqliteLedger::open(&path).expect("it is whole");
        let balances = ledger
            .balances(&budgets, SystemTime::UNIX_EPOCH)
            .await
            .expect("it can be read");
        let spent = [balances[0].spent - before[0], balances[1].spent - before[1]];
        before = [balances[0].spent, balances[1].spent];
        for balance in &balances {
            assert_eq!((balance.reserved, balance.overrun), (0, 0), "round {round}");
        }
        // All that was on disk is there, once; what was under way is charged in full: both accounts or neither.
        let [tokens, requests] = spent;
        assert!(requests >= calls, "round {round}: {requests} of {calls}");
        let whole = requests * (HELD - 3)..=requests * HELD;
        assert!(
            whole.contains(&tokens),
            "round {round}: {tokens} by {requests}"
        );
        ledger.close().await;
    }
}
