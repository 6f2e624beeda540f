use std::fmt;
use std::sync::Arc;

use backstop_budget::{Amounts, Hold, IfLost, Lease, Leg, ReservationId, Settlement};

use super::Shared;
use super::writer::Command;

/// What is held for one reservation.
pub(super) struct Held {
    ledger: Arc<Shared>,
    open: Open,
    if_lost: IfLost,
}

/// A reservation that is booked.
pub(super) struct Open {
    pub(super) id: ReservationId,
    pub(super) legs: Vec<Leg>,
    pub(super) granted: Amounts,
}

impl Held {
    pub(super) fn new(ledger: Arc<Shared>, open: Open, if_lost: IfLost) -> Self {
        Self {
            ledger,
            open,
            if_lost,
        }
    }

    pub(super) fn is_of(&self, ledger: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.ledger, ledger)
    }

    pub(super) const fn open(&self) -> &Open {
        &self.open
    }

    pub(super) fn into_open(self) -> Open {
        self.open
    }

    pub(super) fn into_lease(self: Box<Self>) -> Lease {
        let (granted, if_lost) = (self.open.granted, self.if_lost);
        Lease::new(self, granted, if_lost)
    }
}

impl Hold for Held {
    fn id(&self) -> ReservationId {
        self.open.id
    }

    fn settle(self: Box<Self>, settlement: Settlement) {
        let spent = match settlement {
            Settlement::Commit(spent) => spent,
            Settlement::Void => Amounts::ZERO,
        };
        self.ledger.send(Command::Settle {
            open: self.open,
            spent,
        });
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("id", &self.open.id)
            .field("legs", &self.open.legs)
            .field("granted", &self.open.granted)
            .finish_non_exhaustive()
    }
}
