use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use backstop_budget::{Amounts, Budget, Ledger, Reason};
use backstop_store::RedisLedger;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::{Server, balance, granted, options, reservation, tokens, until};

#[tokio::test]
async fn calls_go_on_within_what_was_drawn_and_no_further() {
    let mut server = Server::start();
    let budget = tokens(1000);
    let (ledger, mut told) = server.observed(options("away", 4)).await;
    let first = granted(&ledger, &budget, 10).await;
    until(&ledger, &budget, |balance| balance.reserved == 50).await;
    server.kill();
    told.until("Unreachable").await;
    // This one began before, and is settled when Redis is back.
    first.commit(Amounts::new(0, 7, 0));

    let mut leases = Vec::new();
    for _ in 0..4 {
        let lease = ledger.reserve(reservation(&budget, 10), None).await;
        leases.push(lease.expect("it was drawn"));
    }
    let denied = ledger.reserve(reservation(&budget, 10), None).await;
    let denied = denied.expect_err("nothing is left of it");
    assert!(
        matches!(denied.reason, Reason::Unavailable(_)),
        "{denied:?}"
    );
    // What a call did not take is there for the next one.
    leases.pop().expect("four").commit(Amounts::new(0, 4, 0));
    let six = ledger.reserve(reservation(&budget, 6), None).await;
    six.expect("it is left").commit(Amounts::new(0, 8, 0));
    let swapped = leases.pop().expect("three");
    let denied = ledger
        .reserve(reservation(&budget, 10), Some(swapped))
        .await
        .expect_err("there are not two");
    leases.push(denied.lease.expect("it holds what it held"));
    leases.pop().expect("three").void();

    server.restart();
    granted(&ledger, &budget, 10).await.void();
    let events = told.until("Reachable").await;
    assert!(
        events.contains(&"Restored".to_owned()),
        "what it knew was gone: {events:?}"
    );
    for lease in leases {
        lease.commit(Amounts::new(0, 10, 0));
    }
    ledger.close().await;
    let next = server.ledger(options("away", 0)).await;
    let balance = balance(&next, &budget).await;
    assert_eq!(
        (balance.spent, balance.reserved, balance.overrun),
        (7 + 4 + 8 + 20, 0, 2)
    );
}

#[tokio::test]
async fn calls_that_are_granted_together_draw_one_allotment() {
    let server = Server::start();
    let budget = tokens(100_000);
    let ledger = server.ledger(options("together", 4)).await;
    // More than are asked for with one batch: some are granted theirs with the one that draws.
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let (ledger, budget) = (ledger.clone(), Arc::clone(&budget));
        calls.spawn(async move { granted(&ledger, &budget, 10).await.void() });
    }
    calls.join_all().await;
    // Whatever is still wanted is drawn with these.
    for _ in 0..3 {
        balance(&ledger, &budget).await;
    }
    assert_eq!(balance(&ledger, &budget).await.reserved, 40);
}

#[tokio::test]
async fn an_allotment_is_given_back_where_room_is_scarce() {
    let server = Server::start();
    let budget = tokens(1000);
    let ledger = server.ledger(options("scarce", 4)).await;
    let other = server.ledger(options("scarce", 0)).await;
    granted(&ledger, &budget, 10).await.void();
    until(&ledger, &budget, |balance| balance.reserved == 40).await;
    // Somebody else needs it. This one is told so when it next says that it is alive.
    let most = granted(&other, &budget, 700).await;
    until(&other, &budget, |balance| balance.reserved == 700).await;
    // Now in its own process: it is refused at first, and not after all.
    most.void();
    granted(&ledger, &budget, 10).await.void();
    until(&ledger, &budget, |balance| balance.reserved == 40).await;
    let all = ledger.reserve(reservation(&budget, 1000), None).await;
    all.expect("the allotment is given back for it").void();
}

#[tokio::test]
async fn what_was_asked_of_a_redis_that_hung_is_not_booked_when_it_goes_on() {
    let server = Server::start();
    let budget = tokens(1000);
    let mut options = options("hung", 0);
    let witness = server.ledger(options.clone()).await;
    options.timeout = Duration::from_millis(100);
    let (ledger, mut told) = server.observed(options).await;
    let old = granted(&ledger, &budget, 100).await;
    server.signal("-STOP");
    let denied = ledger.reserve(reservation(&budget, 300), None).await;
    let denied = denied.expect_err("nobody answers");
    assert!(
        matches!(denied.reason, Reason::Unavailable(_)),
        "{denied:?}"
    );
    told.until("Unreachable").await;
    server.signal("-CONT");
    old.commit(Amounts::new(0, 60, 0));
    ledger.flush().await;
    until(&witness, &budget, |balance| balance.reserved == 0).await;
    assert_eq!(balance(&witness, &budget).await.spent, 60);
}

#[tokio::test]
async fn a_swap_that_was_not_answered_leaves_what_was_held() {
    let server = Server::start();
    let budget = tokens(1000);
    let mut options = options("swap", 0);
    // Nobody is to be taken for dead here.
    options.lease = Duration::from_secs(1);
    let witness = server.ledger(options.clone()).await;
    options.timeout = Duration::from_millis(100);
    let ledger = server.ledger(options).await;
    let old = granted(&ledger, &budget, 100).await;
    server.signal("-STOP");
    let denied = ledger
        .reserve(reservation(&budget, 80), Some(old))
        .await
        .expect_err("nobody answers");
    let old = denied.lease.expect("it comes back");
    server.signal("-CONT");
    ledger.flush().await;
    assert_eq!(balance(&witness, &budget).await.reserved, 100);
    old.commit(Amounts::new(0, 90, 0));
    ledger.flush().await;
    let balance = balance(&witness, &budget).await;
    assert_eq!((balance.spent, balance.reserved), (90, 0));
}

#[tokio::test]
async fn writes_that_a_failover_lost_are_restored() {
    let server = Server::start();
    let budget = tokens(1000);
    let (one, mut told) = server.observed(options("failover", 0)).await;
    let (other, mut other_told) = server.observed(options("failover", 0)).await;
    granted(&one, &budget, 300)
        .await
        .commit(Amounts::new(0, 300, 0));
    one.flush().await;
    let held = granted(&other, &budget, 100).await;
    let account = format!(
        "{{failover}}:a:{}:{}:web",
        budget.name().len(),
        budget.name()
    );
    server.command(&["HSET", &account, "0:spent", "200", "0:reserved", "0"]);

    let denied = one.reserve(reservation(&budget, 650), None).await;
    denied.expect_err("it must not be decided on what is there");
    told.until("Restored").await;
    other_told.until("Restored").await;
    granted(&one, &budget, 100).await.void();
    let balance = until(&one, &budget, |balance| balance.spent == 300).await;
    assert!(balance.reserved <= 100, "{balance:?}");
    held.void();
}

const PRICE: u64 = 1000;
const CALLS: u64 = 1500;

/// What the callers of one replica have seen.
#[derive(Default)]
struct Seen {
    granted: AtomicU64,
    unavailable: AtomicU64,
    spent: AtomicU64,
    is_full: AtomicBool,
}

/// Spends as fast as it can until the ceiling is reached.
fn load(
    callers: &mut JoinSet<()>,
    ledger: &RedisLedger,
    budget: &Arc<Budget>,
    seen: &Arc<Seen>,
    changed: &watch::Sender<()>,
) {
    for caller in 0..4 {
        let (ledger, budget) = (ledger.clone(), Arc::clone(budget));
        let (seen, changed) = (Arc::clone(seen), changed.clone());
        callers.spawn(async move {
            loop {
                match ledger.reserve(reservation(&budget, PRICE), None).await {
                    Ok(mut lease) => {
                        lease.sent();
                        tokio::task::yield_now().await;
                        let spent = PRICE - caller;
                        seen.spent.fetch_add(spent, Ordering::Relaxed);
                        seen.granted.fetch_add(1, Ordering::Relaxed);
                        lease.commit(Amounts::new(0, spent, 0));
                    }
                    Err(denied) => match denied.reason {
                        Reason::Refused(_) => {
                            seen.is_full.store(true, Ordering::Relaxed);
                            changed.send_replace(());
                            return;
                        }
                        Reason::Unavailable(_) => {
                            seen.unavailable.fetch_add(1, Ordering::Relaxed);
                        }
                    },
                }
                changed.send_replace(());
                tokio::task::yield_now().await;
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_lost_and_back_empty_under_load_breaks_no_ceiling() {
    let mut server = Server::start();
    let budget = tokens(CALLS * PRICE);
    let mut options = options("lost", 4);
    // Long enough that no replica is too late, however busy the machine.
    options.lease = Duration::from_secs(1);
    let (one, mut one_told) = server.observed(options.clone()).await;
    let (other, mut other_told) = server.observed(options).await;
    let seen = [Arc::new(Seen::default()), Arc::new(Seen::default())];
    let (changed, mut changes) = watch::channel(());
    let mut callers = JoinSet::new();
    load(&mut callers, &one, &budget, &seen[0], &changed);
    load(&mut callers, &other, &budget, &seen[1], &changed);
    let mut both = async |is: &dyn Fn(&Seen) -> bool| {
        while !seen.iter().all(|seen| is(seen)) {
            changes.changed().await.expect("they are there");
        }
    };
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);

    both(&|seen| count(&seen.granted) > 100).await;
    server.kill();
    one_told.until("Unreachable").await;
    other_told.until("Unreachable").await;
    // Some calls go on within what was drawn; then there is nothing to go on with.
    both(&|seen| count(&seen.unavailable) > 10).await;
    let during = seen.iter().map(|seen| count(&seen.spent)).sum::<u64>();
    assert!(during < CALLS * PRICE, "the ceiling is not reached yet");

    server.restart();
    let mut events = one_told.until("Reachable").await;
    events.append(&mut other_told.until("Reachable").await);
    let restored = events.iter().filter(|event| *event == "Restored").count();
    assert!(restored >= 2, "{events:?}");
    callers.join_all().await;
    one.close().await;
    other.flush().await;
    let spent: u64 = seen.iter().map(|seen| count(&seen.spent)).sum();
    let balance = until(&other, &budget, |balance| balance.reserved == 0).await;
    assert!(balance.spent <= CALLS * PRICE, "{balance:?}");
    assert_eq!(balance.overrun, 0);
    events.append(&mut one_told.all());
    events.append(&mut other_told.all());
    if events.iter().any(|event| event.starts_with("Recovered")) {
        // One was so slow that it was taken for dead, and charged in full.
        assert!(spent <= balance.spent, "{spent} of {balance:?}");
    } else {
        assert_eq!(spent, balance.spent, "what was spent is booked, once");
    }
}
