//! The stripes under every order that threads can take them in.

use std::sync::Arc;
use std::time::SystemTime;

use loom::thread;

use super::*;
use crate::{Limit, Scope, Window};

fn reserve(
    ledger: &MemoryLedger,
    budgets: &[&Arc<Budget>],
    old: Option<Lease>,
) -> Result<Lease, Denied> {
    let leg =
        |budget: &&Arc<Budget>| Leg::new(Arc::clone(budget), Arc::from(""), SystemTime::UNIX_EPOCH);
    let legs = budgets.iter().map(leg).collect();
    let mut future = ledger.reserve(Reservation::new(legs, Amounts::new(0, 1, 0)), old);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(&mut future).poll(&mut cx) {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => panic!("it answers at once"),
    }
}

fn budget(name: &str) -> Arc<Budget> {
    Arc::new(Budget::new(Scope::Global, Limit::Tokens(1), Window::total()).with_name(name))
}

/// Two budgets on stripes of their own.
fn apart(ledger: &MemoryLedger) -> (Arc<Budget>, Arc<Budget>) {
    let stripe = |budget: &Arc<Budget>| {
        let leg = Leg::new(Arc::clone(budget), Arc::from(""), SystemTime::UNIX_EPOCH);
        ledger.0.accounts.stripe(&leg)
    };
    let one = budget("one");
    let other = (0..)
        .map(|n| budget(&n.to_string()))
        .find(|other| stripe(other) != stripe(&one))
        .expect("there are two stripes");
    (one, other)
}

fn booked(ledger: &MemoryLedger, budgets: &[&Arc<Budget>]) -> Vec<(u64, u64)> {
    let budgets: Vec<_> = budgets.iter().map(|budget| Arc::clone(budget)).collect();
    let balances = ledger.0.accounts.balances(&budgets, SystemTime::UNIX_EPOCH);
    balances
        .iter()
        .map(|balance| (balance.spent, balance.reserved))
        .collect()
}

#[test]
fn loom_one_of_two_gets_what_is_left_of_both() {
    loom::model(|| {
        let ledger = MemoryLedger::new();
        let (one, other) = apart(&ledger);
        let thread = thread::spawn({
            let (ledger, one, other) = (ledger.clone(), Arc::clone(&one), Arc::clone(&other));
            move || {
                reserve(&ledger, &[&other, &one], None)
                    .map(|lease| lease.commit(Amounts::new(0, 1, 0)))
                    .is_ok()
            }
        });
        let mine = reserve(&ledger, &[&one, &other], None)
            .map(|lease| lease.commit(Amounts::new(0, 1, 0)))
            .is_ok();
        let theirs = thread.join().expect("no panic");
        assert!(mine != theirs, "exactly one");
        assert_eq!(booked(&ledger, &[&one, &other]), [(1, 0), (1, 0)]);
    });
}

#[test]
fn loom_a_swap_shows_nothing_in_between() {
    loom::model(|| {
        let ledger = MemoryLedger::new();
        let (one, other) = apart(&ledger);
        let lease = reserve(&ledger, &[&one, &other], None).expect("room");
        let thread = thread::spawn({
            let (ledger, one) = (ledger.clone(), Arc::clone(&one));
            move || reserve(&ledger, &[&one], None).is_err()
        });
        let looking = thread::spawn({
            let (ledger, one, other) = (ledger.clone(), Arc::clone(&one), Arc::clone(&other));
            move || booked(&ledger, &[&one, &other])
        });
        let lease = reserve(&ledger, &[&other, &one], Some(lease)).expect("it has what it needs");
        assert!(thread.join().expect("no panic"), "somebody else has it");
        assert_eq!(looking.join().expect("no panic"), [(0, 1), (0, 1)]);
        lease.void();
        assert_eq!(booked(&ledger, &[&one, &other]), [(0, 0), (0, 0)]);
    });
}
