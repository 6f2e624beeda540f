use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::{Limit, Mode, Scope, Window, testing};

fn ready<T: Unpin>(mut future: LedgerFuture<T>) -> T {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(&mut future).poll(&mut cx) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("it answers at once"),
    }
}

fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
}

proptest! {
    #[test]
    fn agrees_with_the_model(steps in testing::steps()) {
        tokio().block_on(testing::agrees(&MemoryLedger::new(), "test", steps));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn admits_exactly_what_fits() {
    testing::exactly_what_fits(Arc::new(MemoryLedger::new()), "test").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn shows_no_gap_in_a_swap() {
    testing::no_gap_in_a_swap(Arc::new(MemoryLedger::new()), "test").await;
}

#[tokio::test]
async fn one_name_is_not_one_account() {
    testing::one_name_is_not_one_account(Arc::new(MemoryLedger::new()), "test").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn adds_up_after_turmoil() {
    #[derive(Default)]
    struct Books {
        reserved: i128,
        spent: i128,
    }
    let books = Arc::new(Mutex::new(Books::default()));
    let ledger = MemoryLedger::observed({
        let books = Arc::clone(&books);
        move |entry: &Entry<'_>| {
            let mut books = books.lock().expect("no panic");
            for leg in entry.legs {
                let currency = leg.budget().currency();
                match entry.movement {
                    Movement::Reserve(held) => books.reserved += i128::from(held.of(currency)),
                    Movement::Settle { held, spent } => {
                        books.reserved -= i128::from(held.of(currency));
                        books.spent += i128::from(spent.of(currency));
                    }
                }
            }
        }
    });
    let accounts = ledger.clone();
    testing::turmoil(Arc::new(ledger), "test").await;
    let rows = accounts.0.accounts.total();
    let books = books.lock().expect("no panic");
    assert_eq!(
        (books.reserved, books.spent),
        rows,
        "the ledger is the fold of its entries"
    );
}

#[test]
fn a_lease_of_another_ledger_is_voided_once_the_new_one_is_there() {
    let budget = Arc::new(Budget::new(
        Scope::Global,
        Limit::Tokens(10),
        Window::total(),
    ));
    let reservation = || {
        let leg = Leg::new(Arc::clone(&budget), Arc::from(""), SystemTime::UNIX_EPOCH);
        Reservation::new(vec![leg], Amounts::new(0, 10, 0))
    };
    let (one, other) = (MemoryLedger::new(), MemoryLedger::new());
    let foreign = ready(one.reserve(reservation(), None)).expect("room");
    let blocking = ready(other.reserve(reservation(), None)).expect("room");
    let denied = ready(other.reserve(reservation(), Some(foreign))).expect_err("no room");
    let foreign = denied.lease.expect("it comes back");
    blocking.void();
    let reserved = |ledger: &MemoryLedger| {
        let balances = ready(ledger.balances(&[Arc::clone(&budget)], SystemTime::UNIX_EPOCH));
        balances.expect("it is there")[0].reserved
    };
    assert_eq!(reserved(&one), 10);
    let lease = ready(other.reserve(reservation(), Some(foreign))).expect("room");
    assert_eq!((reserved(&one), reserved(&other)), (0, 10));
    drop(lease);
    assert_eq!(reserved(&other), 0, "it was never sent");
}

#[test]
fn an_end_is_booked_where_its_beginning_was() {
    let budget = Arc::new(Budget::new(
        Scope::Global,
        Limit::Tokens(10),
        Window::day("UTC").expect("a zone"),
    ));
    let evening = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 - 60);
    let morning = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 + 60);
    let ledger = MemoryLedger::new();
    let reserve = |now| {
        let leg = Leg::new(Arc::clone(&budget), Arc::from(""), now);
        ready(ledger.reserve(Reservation::new(vec![leg], Amounts::new(0, 8, 0)), None))
    };
    let late = reserve(evening).expect("room");
    let early = reserve(morning).expect("a new day");
    late.commit(Amounts::new(0, 7, 0));
    let spent = |now| {
        let balances = ready(ledger.balances(&[Arc::clone(&budget)], now));
        let balance = &balances.expect("it is there")[0];
        (balance.spent, balance.reserved)
    };
    assert_eq!(spent(morning), (0, 8));
    early.void();
    assert_eq!(spent(morning), (0, 0));
}

#[test]
fn what_counts_no_longer_takes_no_memory() {
    let each = Arc::new(
        Budget::new(
            Scope::User,
            Limit::Requests(1),
            Window::rolling(Duration::from_secs(60)),
        )
        .with_mode(Mode::Soft),
    );
    let ledger = MemoryLedger::new();
    for second in 0..100_000_u64 {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let leg = Leg::new(Arc::clone(&each), second.to_string().into(), now);
        let reservation = Reservation::new(vec![leg], Amounts::new(0, 0, 1));
        let lease = ready(ledger.reserve(reservation, None)).expect("soft");
        lease.commit(Amounts::new(0, 0, 1));
    }
    let accounts = ledger.0.accounts.len();
    assert!(accounts < 20_000, "{accounts} accounts are kept");
}
