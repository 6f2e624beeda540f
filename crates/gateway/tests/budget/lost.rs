//! A Redis that dies under two gateways and comes back empty: they go on within what they had drawn ahead, say that
//! they cannot know more, and recover by themselves. The ceiling holds all the while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::crowd::{connect, try_send};
use crate::support::{Gateway, Response, config, get, sim, within};
use crate::{OUTPUT_PRICE, PRICE, calls, on_redis, priced, question, room_for, used_redis};

const ALLOTMENT: u32 = 4;

/// What the clients of one gateway have seen.
#[derive(Default)]
struct Seen {
    answered: AtomicU64,
    unavailable: AtomicU64,
    cost: AtomicU64,
    is_full: AtomicBool,
    enough: AtomicBool,
}

impl Seen {
    fn note(&self, answer: &Response) {
        match answer.status.as_u16() {
            200 => {
                let usage = &answer.json()["usage"];
                let tokens = |name: &str| usage[name].as_u64().expect("a number");
                let cost =
                    tokens("prompt_tokens") * 10 + tokens("completion_tokens") * OUTPUT_PRICE;
                self.cost.fetch_add(cost, Ordering::Relaxed);
                self.answered.fetch_add(1, Ordering::Relaxed);
            }
            402 => self.is_full.store(true, Ordering::Relaxed),
            503 => {
                assert_eq!(answer.code(), "ledger_unavailable");
                assert_ne!(answer.header("retry-after"), "", "asking again will help");
                self.unavailable.fetch_add(1, Ordering::Relaxed);
            }
            _ => panic!("{}", answer.text()),
        }
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    fn unavailable(&self) -> u64 {
        self.unavailable.load(Ordering::Relaxed)
    }
}

/// Four clients of each gateway that ask as fast as they are answered, until it is enough or there is no room.
struct Load {
    seen: [Arc<Seen>; 2],
    clients: JoinSet<()>,
    changes: watch::Receiver<()>,
}

impl Load {
    async fn on(gateways: [&Gateway; 2]) -> Self {
        let (change, changes) = watch::channel(());
        let seen = [Arc::default(), Arc::default()];
        let mut clients = JoinSet::new();
        for (gateway, seen) in gateways.into_iter().zip(&seen) {
            let sender = connect(gateway.addr()).await;
            for _ in 0..4 {
                let (sender, change) = (sender.clone(), change.clone());
                let seen: Arc<Seen> = Arc::clone(seen);
                clients.spawn(async move {
                    let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
                    while !is(&seen.enough) && !is(&seen.is_full) {
                        let answer = try_send(sender.clone(), question("smart", false)).await;
                        seen.note(&answer.expect("an answer"));
                        change.send_replace(());
                    }
                });
            }
        }
        Self {
            seen,
            clients,
            changes,
        }
    }

    /// Waits until it is so at both.
    async fn until(&mut self, what: &str, is: impl Fn(&Seen) -> bool) {
        let both = async {
            while !self.seen.iter().all(|seen| is(seen)) {
                self.changes.changed().await.expect("somebody asks");
            }
        };
        within(what, both).await;
    }

    /// Ends it, and says what it cost.
    async fn end(self) -> u64 {
        for seen in &self.seen {
            seen.enough.store(true, Ordering::Relaxed);
        }
        self.clients.join_all().await;
        let cost = |seen: &Arc<Seen>| seen.cost.load(Ordering::Relaxed);
        self.seen.iter().map(cost).sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn breaks_no_ceiling_and_is_overcome() {
    const ROOM: u64 = 1500;
    let sim = sim().await;
    let mut redis = used_redis(&sim).await;
    let budgets = format!(
        "budgets: [{{scope: global, limit_usd: {}, window: total}}]\n{}",
        room_for(ROOM),
        on_redis(&redis, 1.0, ALLOTMENT)
    );
    let text = config(&[priced("smart", "openai/gpt-4o")], &budgets);
    let one = Gateway::start(&sim, &text).await;
    let other = Gateway::start(&sim, &text).await;
    let both = [&one, &other];
    let mut cost = 0;

    // First in peace: each has used the budget, and so drawn something ahead.
    let mut load = Load::on(both).await;
    load.until("answers", |seen| seen.answered() > 20).await;
    cost += load.end().await;
    redis.kill();
    for gateway in both {
        gateway.logged(&["WARN", "Redis does not answer"]).await;
        let answers = async {
            let mut within_allotment = 0;
            loop {
                let answer = gateway.send(question("smart", false)).await;
                let seen = Seen::default();
                seen.note(&answer);
                cost += seen.cost.load(Ordering::Relaxed);
                if seen.unavailable() > 0 {
                    return within_allotment;
                }
                within_allotment += 1;
            }
        };
        assert_eq!(answers.await, ALLOTMENT, "as much as was drawn");
        let unknown = gateway.send(get("/budgets")).await;
        assert_eq!(
            (unknown.status.as_u16(), unknown.code()),
            (503, "ledger_unavailable".to_owned())
        );
    }

    // It comes back empty while everybody asks, and dies once more, under load.
    let mut load = Load::on(both).await;
    load.until("refusals", |seen| seen.unavailable() > 5).await;
    redis.restart();
    load.until("recovery", |seen| seen.answered() > 20).await;
    redis.kill();
    let before = load.seen.each_ref().map(|seen| seen.unavailable());
    load.until("refusals", |seen| {
        seen.unavailable() > before.iter().max().expect("two") + 5
    })
    .await;
    redis.restart();
    load.until("the ceiling", |seen| seen.is_full.load(Ordering::Relaxed))
        .await;
    cost += load.end().await;

    let account = one.settled().await.remove(0);
    let sent = calls(&sim, "gpt-4o") as u64;
    assert!(sent <= ROOM, "{sent} calls reached the provider");
    assert!(account.spent <= account.limit, "{account:?}");
    assert!(cost <= account.spent, "{cost} of {account:?}");
    assert_eq!(account.overrun, 0);
    assert!(sent * PRICE <= account.spent, "{sent} calls: {account:?}");
    for gateway in [one, other] {
        gateway.logged(&["WARN", "had lost data"]).await;
        assert!(gateway.stop().await.status.success());
    }
}
