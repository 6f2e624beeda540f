use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backstop_budget::{Amounts, Budget, Ledger, Leg, Limit, Reservation, Scope, Window};
use backstop_store::RedisLedger;
use backstop_store::redis::Options;

use crate::support::{Server, options};

const CHILD: &str = "BACKSTOP_STORE_TEST_CHILD";
const LIMIT: u64 = 1 << 40;
const HELD: u64 = 10;

fn short_lease() -> Options {
    let mut options = options("killed", 4);
    options.lease = Duration::from_millis(100);
    options
}

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

/// Not a test but the process that is killed: it spends on several tasks, and says how much is in Redis.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(url) = std::env::var(CHILD) else {
        return;
    };
    let ledger = RedisLedger::connect([url], short_lease())
        .await
        .expect("it is there");
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
        println!("in redis {calls}");
    }
}

fn start(server: &Server) -> Child {
    Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "killed::child", "--nocapture"])
        .env(CHILD, server.url())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts")
}

/// Kills it once it has said so many lines. What it said last.
fn killed(mut child: Child, lines: usize) -> u64 {
    let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut said = stdout.lines().filter_map(|line| {
        let line = line.expect("text");
        line.strip_prefix("in redis ")?.parse::<u64>().ok()
    });
    let before = said.by_ref().take(lines).last().expect("it works");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    // What it had written to the pipe before it died.
    said.last().unwrap_or(before)
}

#[tokio::test]
async fn killed_replicas_leave_nothing_reserved_and_nothing_out() {
    let server = Server::start();
    let survivor = server.ledger(short_lease()).await;
    let budgets = budgets();
    let mut before = [0, 0];
    for round in 0..25 {
        let replicas = [start(&server), start(&server)];
        let calls = replicas.map(|child| killed(child, 1 + round % 7));
        let spent = loop {
            let balances = survivor
                .balances(&budgets, SystemTime::UNIX_EPOCH)
                .await
                .expect("it is there");
            assert!(balances.iter().all(|balance| balance.overrun == 0));
            if balances.iter().all(|balance| balance.reserved == 0) {
                break [balances[0].spent, balances[1].spent];
            }
        };
        // All that was in Redis is there, once; what was under way is charged in full: both accounts or neither.
        let [tokens, requests] = [spent[0] - before[0], spent[1] - before[1]];
        before = spent;
        let calls = calls.iter().sum();
        assert!(requests >= calls, "round {round}: {requests} of {calls}");
        let whole = requests * (HELD - 3)..=requests * HELD;
        assert!(
            whole.contains(&tokens),
            "round {round}: {tokens} by {requests}"
        );
    }
}
