//! Gateways that are killed in the middle of their work: what they had reserved is settled, nothing that a client has
//! seen is forgotten, and nothing is charged twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::Signal;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::books::Account;
use crate::crowd::{connect, try_send};
use crate::support::{Gateway, config, sim, within};
use crate::{OUTPUT_PRICE, PRICE, calls, on_redis, priced, question, used_redis};

/// What a call can cost at most: its prompt has fewer than a thousand tokens.
const MOST: u64 = PRICE + 10_000;
const BUDGETS: &str = "budgets:
  - {scope: global, limit_usd: 5000, window: total}
  - {scope: global, limit_requests: 1000000, window: total}
router_settings: {num_retries: 0, cooldown_time: 0}
audit: off";

/// What clients have seen.
#[derive(Default)]
struct Seen {
    /// Questions that were sent.
    begun: AtomicU64,
    /// Those that were answered to the end, and what they cost.
    answered: AtomicU64,
    cost: AtomicU64,
    enough: AtomicBool,
}

/// Sixteen clients of one gateway, each of which asks again and again until it is enough, or nobody answers.
struct Load {
    seen: Arc<Seen>,
    clients: JoinSet<()>,
    changes: watch::Receiver<()>,
}

impl Load {
    async fn on(gateway: &Gateway) -> Self {
        let (change, changes) = watch::channel(());
        let seen = Arc::new(Seen::default());
        let mut clients = JoinSet::new();
        let sender = connect(gateway.addr()).await;
        for _ in 0..16 {
            let (sender, seen, change) = (sender.clone(), Arc::clone(&seen), change.clone());
            clients.spawn(async move {
                while !seen.enough.load(Ordering::Relaxed) {
                    seen.begun.fetch_add(1, Ordering::Relaxed);
                    let Some(answer) = try_send(sender.clone(), question("smart", false)).await
                    else {
                        break;
                    };
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    let usage = &answer.json()["usage"];
                    let tokens = |name: &str| usage[name].as_u64().expect("a number");
                    let cost =
                        tokens("prompt_tokens") * 10 + tokens("completion_tokens") * OUTPUT_PRICE;
                    seen.cost.fetch_add(cost, Ordering::Relaxed);
                    seen.answered.fetch_add(1, Ordering::Relaxed);
                    change.send_replace(());
                }
            });
        }
        Self {
            seen,
            clients,
            changes,
        }
    }

    async fn until_answered(&mut self, answers: u64) {
        let answered = async {
            while self.seen.answered.load(Ordering::Relaxed) < answers {
                self.changes.changed().await.expect("somebody asks");
            }
        };
        within("answers", answered).await;
    }

    /// Waits for all clients to be done: they have had enough, or the gateway is dead.
    async fn end(self) -> Totals {
        self.seen.enough.store(true, Ordering::Relaxed);
        within("the end of all clients", self.clients.join_all()).await;
        let number = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Totals {
            begun: number(&self.seen.begun),
            answered: number(&self.seen.answered),
            cost: number(&self.seen.cost),
        }
    }
}

/// What all clients of all gateways have seen.
#[derive(Debug, Default)]
struct Totals {
    begun: u64,
    answered: u64,
    cost: u64,
}

impl Totals {
    fn add(&mut self, other: &Self) {
        self.begun += other.begun;
        self.answered += other.answered;
        self.cost += other.cost;
    }

    /// Each answer that was seen is booked, and whatever else was begun at most once. `ahead` was drawn by the dead
    /// for requests that they never got.
    fn check(&self, accounts: &[Account], ahead: u64) {
        let [dollars, requests] = accounts else {
            panic!("{accounts:?}")
        };
        for account in accounts {
            assert_eq!((account.reserved, account.overrun), (0, 0), "{account:?}");
        }
        let lost = self.begun - self.answered + ahead;
        let counts = self.answered..=self.answered + lost;
        assert!(counts.contains(&requests.spent), "{self:?}: {requests:?}");
        let costs = self.cost..=self.cost + lost * MOST;
        assert!(costs.contains(&dollars.spent), "{self:?}: {dollars:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_times_on_one_file() {
    let sim = sim().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ledger.db");
    let store = format!("store: {{sqlite: '{}'}}", file.display());
    let deployments = [priced("smart", "openai/gpt-4o+ttft=1")];
    let text = config(&deployments, &format!("{BUDGETS}\n{store}"));
    let mut totals = Totals::default();
    for round in 0..50 {
        let gateway = Gateway::start(&sim, &text).await;
        // What the one before has left was settled before this one listened.
        totals.check(&gateway.accounts().await, 0);
        let mut load = Load::on(&gateway).await;
        load.until_answered(1 + round * 7 % 40).await;
        gateway.signal(Signal::KILL);
        gateway.end().await;
        totals.add(&load.end().await);
    }
    let gateway = Gateway::start(&sim, &text).await;
    totals.check(&gateway.accounts().await, 0);
    assert!(totals.begun > totals.answered, "some were killed at work");
    assert!(calls(&sim, "gpt-4o") as u64 <= totals.begun);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_beside_another_on_one_redis() {
    for allotment in [0, 4] {
        let sim = sim().await;
        let redis = used_redis(&sim).await;
        let store = on_redis(&redis, 0.5, allotment);
        let deployments = [priced("smart", "openai/gpt-4o+ttft=1")];
        let text = config(&deployments, &format!("{BUDGETS}\n{store}"));
        // It draws nothing ahead, and so sees what the others leave.
        let store = on_redis(&redis, 0.5, 0);
        let witness = config(&deployments, &format!("{BUDGETS}\n{store}"));
        let witness = Gateway::start(&sim, &witness).await;
        let mut totals = Totals::default();
        for round in 1..=5 {
            let survivor = Gateway::start(&sim, &text).await;
            let victim = Gateway::start(&sim, &text).await;
            let mut loads = [Load::on(&survivor).await, Load::on(&victim).await];
            for load in &mut loads {
                load.until_answered(1 + round * 13 % 40).await;
            }
            victim.signal(Signal::KILL);
            victim.end().await;
            for load in loads {
                totals.add(&load.end().await);
            }
            survivor.stop().await;
            // Once its lease has run out, another settles what it has left.
            let accounts = witness.settled().await;
            totals.check(&accounts, round * u64::from(allotment));
        }
        assert!(totals.begun > totals.answered, "some were killed at work");
    }
}
