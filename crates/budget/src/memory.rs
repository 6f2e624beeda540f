mod accounts;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use backstop_core::Observe;

use self::accounts::Accounts;
use crate::{
    Amounts, Balances, Budget, Denied, Hold, IfLost, Lease, Ledger, LedgerFuture, Leg, Reason,
    Refused, Reservation, ReservationId, Reserving, Settlement,
};

/// A ledger in this process's memory: for one process, for as long as it runs. Clones share it.
///
/// It answers at once. Accounts are spread over stripes, each with a lock of its own; a step locks the stripes of all
/// its legs, in order, and nothing is awaited or told meanwhile, except to [`observed`](Self::observed).
///
/// An account takes memory while anything in it counts: a client that makes up a new user for each request makes
/// as many accounts, until the window of a budget per user ends.
///
/// ```
/// use backstop_budget::{Amounts, Budget, Ledger, Leg, Limit, MemoryLedger, Reservation, Scope, Window};
/// use std::sync::Arc;
/// use std::time::SystemTime;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let ledger = MemoryLedger::new();
/// let tokens = Arc::new(Budget::new(Scope::User, Limit::Tokens(1000), Window::total()));
/// let ada = |tokens_wanted| {
///     let leg = Leg::new(Arc::clone(&tokens), "ada".into(), SystemTime::UNIX_EPOCH);
///     Reservation::new(vec![leg], Amounts::new(0, tokens_wanted, 0))
/// };
///
/// let lease = ledger.reserve(ada(800), None).await.expect("there is room");
/// ledger.reserve(ada(300), None).await.expect_err("not while the first is under way");
/// lease.commit(Amounts::new(0, 650, 0));
/// ledger.reserve(ada(300), None).await.expect("it took less than it might have");
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryLedger(Arc<Shared>);

struct Shared {
    accounts: Accounts,
    observer: Option<Box<dyn for<'a> Observe<Entry<'a>> + Send + Sync>>,
}

/// One step of a [`MemoryLedger`]'s books.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Whose it is.
    pub reservation: ReservationId,
    /// The accounts that it moved, all at once.
    pub legs: &'a [Leg],
    /// What it did to each of them.
    pub movement: Movement,
}

/// What an [`Entry`] does to each of its legs, in the leg's own currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Movement {
    /// So much is held.
    Reserve(Amounts),
    /// What was held is given back, and so much is spent.
    Settle {
        /// What was held.
        held: Amounts,
        /// What was spent. Where that is more, the difference is overrun.
        spent: Amounts,
    },
}

impl MemoryLedger {
    /// With nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::build(None)
    }

    /// The same, with somebody who is told each entry, in an order in which they can have happened: for each account,
    /// the order in which they did.
    ///
    /// It is told while the accounts are locked: it must not ask the ledger.
    #[must_use]
    pub fn observed(observer: impl for<'a> Observe<Entry<'a>> + Send + Sync + 'static) -> Self {
        Self::build(Some(Box::new(observer)))
    }

    fn build(observer: Option<Box<dyn for<'a> Observe<Entry<'a>> + Send + Sync>>) -> Self {
        Self(Arc::new(Shared {
            accounts: Accounts::new(),
            observer,
        }))
    }

    fn book(&self, reservation: Reservation, old: Option<Box<Held>>) -> Reserved {
        let old_legs = old.as_ref().map_or(&[][..], |old| &old.legs);
        let legs = reservation.legs().iter().chain(old_legs);
        let mut locked = self.0.accounts.lock(legs);
        if let Some(old) = &old {
            locked.give_back(&old.legs, old.granted, Amounts::ZERO);
        }
        let (granted, exceeded) = match locked.decide(&reservation) {
            Ok(granted) => granted,
            Err(refused) => {
                // Under the same locks: nobody has seen it gone.
                if let Some(old) = &old {
                    locked.hold(&old.legs, old.granted);
                }
                drop(locked);
                return Err((refused, old));
            }
        };
        locked.hold(reservation.legs(), granted);
        if let Some(old) = &old {
            self.0.settled(old, Amounts::ZERO);
        }
        self.0.tell(
            reservation.id(),
            reservation.legs(),
            Movement::Reserve(granted),
        );
        drop(locked);

        let held = Box::new(Held {
            ledger: Arc::clone(&self.0),
            id: reservation.id(),
            granted,
            if_lost: reservation.when_lost(),
            legs: reservation.into_legs(),
        });
        Ok(held.into_lease().with_exceeded(exceeded))
    }
}

type Reserved = Result<Lease, (Refused, Option<Box<Held>>)>;

impl Ledger for MemoryLedger {
    fn reserve(&self, reservation: Reservation, instead_of: Option<Lease>) -> Reserving {
        let (old, foreign) = match instead_of.map(Lease::into_hold::<Held>) {
            None => (None, None),
            Some(Ok(held)) if Arc::ptr_eq(&held.ledger, &self.0) => (Some(held), None),
            Some(Ok(held)) => (None, Some(held.into_lease())),
            Some(Err(lease)) => (None, Some(lease)),
        };
        LedgerFuture::ready(match self.book(reservation, old) {
            Ok(lease) => {
                if let Some(foreign) = foreign {
                    foreign.void();
                }
                Ok(lease)
            }
            Err((refused, old)) => Err(Denied {
                reason: Reason::Refused(Box::new(refused)),
                lease: old.map(Held::into_lease).or(foreign),
            }),
        })
    }

    fn balances(&self, budgets: &[Arc<Budget>], now: SystemTime) -> Balances {
        LedgerFuture::ready(Ok(self.0.accounts.balances(budgets, now)))
    }
}

impl Shared {
    fn settled(&self, held: &Held, spent: Amounts) {
        let movement = Movement::Settle {
            held: held.granted,
            spent,
        };
        self.tell(held.id, &held.legs, movement);
    }

    fn tell(&self, reservation: ReservationId, legs: &[Leg], movement: Movement) {
        if let Some(observer) = &self.observer {
            observer.observe(&Entry {
                reservation,
                legs,
                movement,
            });
        }
    }
}

impl Default for MemoryLedger {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLedger").finish_non_exhaustive()
    }
}

/// What is held for one reservation.
struct Held {
    ledger: Arc<Shared>,
    id: ReservationId,
    legs: Vec<Leg>,
    granted: Amounts,
    if_lost: IfLost,
}

impl Held {
    fn into_lease(self: Box<Self>) -> Lease {
        let (granted, if_lost) = (self.granted, self.if_lost);
        Lease::new(self, granted, if_lost)
    }
}

impl Hold for Held {
    fn id(&self) -> ReservationId {
        self.id
    }

    fn settle(self: Box<Self>, settlement: Settlement) {
        let spent = match settlement {
            Settlement::Commit(spent) => spent,
            Settlement::Void => Amounts::ZERO,
        };
        let mut locked = self.ledger.accounts.lock(&self.legs);
        locked.give_back(&self.legs, self.granted, spent);
        self.ledger.settled(&self, spent);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("id", &self.id)
            .field("legs", &self.legs)
            .field("granted", &self.granted)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;
