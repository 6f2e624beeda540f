//! What goes into `batch.lua` and what comes out of it.

mod reply;
mod steps;

use std::sync::Arc;

use backstop_budget::{Amounts, Currency, Leg};

pub(super) use self::reply::{Decision, Done, Reply, Rest, Standing, Unreadable, balances, room};
pub(super) use self::steps::Steps;
use super::LARGEST;

/// Of each currency so much, no more than Redis counts.
pub(super) type Counts = [u64; 3];

pub(super) fn counts(amounts: Amounts) -> Counts {
    Currency::ALL.map(|currency| amounts.of(currency).min(LARGEST))
}

pub(super) fn amounts(counts: Counts) -> Amounts {
    Amounts::new(counts[0], counts[1], counts[2])
}

pub(super) fn place(currency: Currency) -> usize {
    match currency {
        Currency::NanoUsd => 0,
        Currency::Tokens => 1,
        Currency::Requests => 2,
    }
}

/// An account, so that no two read the same: names and ids may hold anything.
pub(super) fn account(leg: &Leg) -> String {
    let (name, id) = leg.account();
    format!("{}:{name}:{id}", name.len())
}

/// What an account has spent in one bucket, as Redis said last.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) account: Arc<str>,
    pub(super) bucket: i64,
    /// Until when it counts; `None` for ever.
    pub(super) until: Option<i64>,
    pub(super) spent: u64,
    pub(super) overrun: u64,
}
