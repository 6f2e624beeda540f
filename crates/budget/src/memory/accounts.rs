use std::array;
use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use crate::sync::{Hashing, Mutex, MutexGuard, STRIPES};
use crate::{Amounts, Balance, Booked, Budget, Granted, Leg, Refused, Reservation, Span};

/// From how many accounts on a stripe looks for those in which nothing counts any more.
const FIRST_SWEEP: usize = 256;

/// A budget's name, and whose account it is.
type Key = (Arc<str>, Arc<str>);

/// All accounts, spread over stripes.
pub(super) struct Accounts {
    hashing: Hashing,
    stripes: [Mutex<Stripe>; STRIPES],
}

struct Stripe {
    accounts: HashMap<Key, Account, Hashing>,
    sweep_at: usize,
}

/// Its rows, by bucket. In most windows that is one.
#[derive(Default)]
struct Account(Vec<Row>);

#[derive(Clone, Copy)]
struct Row {
    bucket: i64,
    counts_until: i64,
    spent: u64,
    reserved: u64,
    overrun: u64,
}

/// The accounts in some stripes, to read and to change in one step.
pub(super) struct Locked<'a> {
    accounts: &'a Accounts,
    stripes: [Option<MutexGuard<'a, Stripe>>; STRIPES],
}

impl Accounts {
    pub(super) fn new() -> Self {
        Self {
            hashing: Hashing::default(),
            stripes: array::from_fn(|_| {
                Mutex::new(Stripe {
                    accounts: HashMap::default(),
                    sweep_at: FIRST_SWEEP,
                })
            }),
        }
    }

    /// Locks what these legs are booked to. Everybody locks in the order of the stripes, so nobody waits for ever.
    pub(super) fn lock<'l>(&self, legs: impl IntoIterator<Item = &'l Leg>) -> Locked<'_> {
        let mut wanted = [false; STRIPES];
        for leg in legs {
            wanted[self.stripe(leg)] = true;
        }
        Locked {
            accounts: self,
            stripes: array::from_fn(|index| wanted[index].then(|| self.guard(index))),
        }
    }

    pub(super) fn balances(&self, budgets: &[Arc<Budget>], now: SystemTime) -> Vec<Balance> {
        let stripes: [_; STRIPES] = array::from_fn(|index| self.guard(index));
        let mut balances = Vec::new();
        for budget in budgets {
            let span = budget.window().at(now);
            let first = balances.len();
            let accounts = stripes.iter().flat_map(|stripe| &stripe.accounts);
            for ((name, id), account) in accounts {
                let is_asked_for =
                    name == budget.account() && budget.id().is_none_or(|only| only == id);
                if is_asked_for && account.counting(span).next().is_some() {
                    balances.push(account.balance(budget, id, span));
                }
            }
            if let (Some(id), true) = (budget.id(), balances.len() == first) {
                balances.push(Account::default().balance(budget, id, span));
            }
            balances[first..].sort_unstable_by(|one, other| one.id.cmp(&other.id));
        }
        balances
    }

    pub(super) fn stripe(&self, leg: &Leg) -> usize {
        self.hashing.hash_one(leg.account()) as usize % STRIPES
    }

    /// Nothing that runs under a lock can panic half-way, so a poisoned one still guards whole accounts.
    fn guard(&self, stripe: usize) -> MutexGuard<'_, Stripe> {
        self.stripes[stripe]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Locked<'_> {
    /// How much can be held for it, and the legs that have no room for it and are booked all the same.
    pub(super) fn decide(&self, reservation: &Reservation) -> Result<Granted, Refused> {
        let decision = reservation.decide(|leg| {
            let rows = self.account(leg).into_iter();
            let counting = rows.flat_map(|account| account.counting(leg.span()));
            Ok::<_, Infallible>(Booked::sum(counting.map(|row| (row.bucket, row.booked()))))
        });
        match decision {
            Ok(decision) => decision,
            Err(never) => match never {},
        }
    }

    pub(super) fn hold(&mut self, legs: &[Leg], amounts: Amounts) {
        for leg in legs {
            let amount = amounts.of(leg.budget().currency());
            let row = self.row(leg);
            row.reserved = row.reserved.saturating_add(amount);
        }
    }

    /// What was held is held no longer, and so much of it, or more, is spent.
    pub(super) fn give_back(&mut self, legs: &[Leg], held: Amounts, spent: Amounts) {
        for leg in legs {
            let currency = leg.budget().currency();
            let (held, spent) = (held.of(currency), spent.of(currency));
            let row = self.row(leg);
            row.reserved = row.reserved.saturating_sub(held);
            row.spent = row.spent.saturating_add(spent);
            row.overrun = row.overrun.saturating_add(spent.saturating_sub(held));
        }
    }

    fn account(&self, leg: &Leg) -> Option<&Account> {
        self.stripes[self.accounts.stripe(leg)]
            .as_ref()
            .expect("the stripes of all legs are locked")
            .accounts
            .get(&key(leg))
    }

    fn row(&mut self, leg: &Leg) -> &mut Row {
        self.stripes[self.accounts.stripe(leg)]
            .as_mut()
            .expect("the stripes of all legs are locked")
            .account(leg)
            .row(leg.span())
    }
}

fn key(leg: &Leg) -> Key {
    (Arc::clone(leg.budget().account()), Arc::clone(leg.id()))
}

impl Stripe {
    fn account(&mut self, leg: &Leg) -> &mut Account {
        if self.accounts.len() >= self.sweep_at {
            let now = leg.span().bucket();
            self.accounts
                .retain(|_, account| account.0.iter().any(|row| row.is_of_use(now)));
            self.sweep_at = FIRST_SWEEP.max(self.accounts.len() * 2);
        }
        self.accounts.entry(key(leg)).or_default()
    }
}

impl Account {
    fn row(&mut self, span: Span) -> &mut Row {
        let rows = &mut self.0;
        let found = rows.binary_search_by_key(&span.bucket(), |row| row.bucket);
        let index = found.unwrap_or_else(|_| {
            rows.retain(|row| row.is_of_use(span.bucket()));
            let index = rows.partition_point(|row| row.bucket < span.bucket());
            rows.insert(index, Row::new(span));
            index
        });
        &mut rows[index]
    }

    fn counting(&self, span: Span) -> impl Iterator<Item = &Row> {
        self.0.iter().filter(move |row| row.bucket >= span.since())
    }

    fn balance(&self, budget: &Arc<Budget>, id: &Arc<str>, span: Span) -> Balance {
        let mut balance = Balance {
            budget: Arc::clone(budget),
            id: Arc::clone(id),
            span,
            spent: 0,
            reserved: 0,
            overrun: 0,
        };
        for row in self.counting(span) {
            balance.spent = balance.spent.saturating_add(row.spent);
            balance.reserved = balance.reserved.saturating_add(row.reserved);
            balance.overrun = balance.overrun.saturating_add(row.overrun);
        }
        balance
    }
}

impl Row {
    const fn new(span: Span) -> Self {
        Self {
            bucket: span.bucket(),
            counts_until: span.counts_until(span.bucket()),
            spent: 0,
            reserved: 0,
            overrun: 0,
        }
    }

    const fn booked(&self) -> u64 {
        self.spent.saturating_add(self.reserved)
    }

    /// Whether it counts at `now`, or something is still to be settled in it.
    const fn is_of_use(&self, now: i64) -> bool {
        self.reserved > 0 || self.counts_until > now
    }
}

#[cfg(all(test, not(loom)))]
impl Accounts {
    pub(super) fn len(&self) -> usize {
        (0..STRIPES)
            .map(|index| self.guard(index).accounts.len())
            .sum()
    }

    /// What is reserved and spent on all accounts together.
    pub(super) fn total(&self) -> (i128, i128) {
        let mut total = (0, 0);
        for index in 0..STRIPES {
            let stripe = self.guard(index);
            for row in stripe.accounts.values().flat_map(|account| &account.0) {
                total.0 += i128::from(row.reserved);
                total.1 += i128::from(row.spent);
            }
        }
        total
    }
}
