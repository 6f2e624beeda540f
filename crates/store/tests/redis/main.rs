//! The Redis ledger against what every ledger is checked against, against processes that are killed, and against a
//! Redis that goes away and forgets.

mod cluster;
mod killed;
mod lost;
mod support;
mod trouble;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use backstop_budget::{Balances, Budget, Lease, Ledger, Reservation, Reserving, testing};
use backstop_store::RedisLedger;
use proptest::prelude::*;

use self::support::{Server, options};

#[test]
fn agrees_with_the_model() {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let ledger = runtime.block_on(server.ledger(options("agrees", 0)));
    let case = AtomicUsize::new(0);
    proptest!(ProptestConfig::with_cases(64), |(steps in testing::steps())| {
        let prefix = case.fetch_add(1, Ordering::Relaxed).to_string();
        runtime.block_on(testing::agrees(&ledger, &prefix, steps));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn admits_exactly_what_fits() {
    let server = Server::start();
    let ledger = server.ledger(options("one", 0)).await;
    testing::exactly_what_fits(Arc::new(ledger), "test").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn adds_up_after_turmoil() {
    let server = Server::start();
    let ledger = server.ledger(options("one", 0)).await;
    testing::turmoil(Arc::new(ledger), "test").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn shows_no_gap_in_a_swap() {
    let server = Server::start();
    let ledger = server.ledger(options("one", 0)).await;
    testing::no_gap_in_a_swap(Arc::new(ledger), "test").await;
}

#[tokio::test]
async fn one_name_is_not_one_account() {
    let server = Server::start();
    let ledger = server.ledger(options("one", 0)).await;
    testing::one_name_is_not_one_account(Arc::new(ledger), "test").await;
}

/// Two ledgers with connections of their own, which are asked in turn.
#[derive(Debug)]
struct Replicas([RedisLedger; 2], AtomicUsize);

impl Replicas {
    async fn of(server: &Server, prefix: &str, allotment: u32) -> Self {
        let ledger = || server.ledger(options(prefix, allotment));
        Self::new([ledger().await, ledger().await])
    }

    const fn new(ledgers: [RedisLedger; 2]) -> Self {
        Self(ledgers, AtomicUsize::new(0))
    }

    fn next(&self) -> &RedisLedger {
        &self.0[self.1.fetch_add(1, Ordering::Relaxed) % 2]
    }
}

impl Ledger for Replicas {
    fn reserve(&self, reservation: Reservation, instead_of: Option<Lease>) -> Reserving {
        self.next().reserve(reservation, instead_of)
    }

    fn balances(&self, budgets: &[Arc<Budget>], now: SystemTime) -> Balances {
        let ledgers = self.0.clone();
        let budgets = budgets.to_vec();
        backstop_budget::LedgerFuture::boxed(async move {
            // What the other has settled is to be seen too.
            ledgers[1].flush().await;
            ledgers[0].balances(&budgets, now).await
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_replicas_share_one_ceiling() {
    let server = Server::start();
    for (prefix, allotment) in [("without", 0), ("with allotments", 4)] {
        let replicas = Replicas::of(&server, prefix, allotment).await;
        testing::exactly_what_fits(Arc::new(replicas), "test").await;
    }
}
