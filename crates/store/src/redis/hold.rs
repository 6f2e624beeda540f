use std::fmt;
use std::sync::Arc;

use backstop_budget::{Amounts, Hold, IfLost, Lease, Leg, ReservationId, Settlement};

use super::Shared;
use super::driver::Command;

/// What is held for one reservation.
pub(super) struct Held {
    ledger: Arc<Shared>,
    stake: Stake,
    if_lost: IfLost,
}

/// Where it is held.
#[derive(Debug)]
pub(super) enum Stake {
    /// In Redis, under its own id.
    Booked(Arc<Open>),
    /// It is a part of what this process has drawn.
    Part(Part),
}

/// A reservation that is booked.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) id: ReservationId,
    pub(super) legs: Vec<Leg>,
    pub(super) granted: Amounts,
    pub(super) charge: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) id: ReservationId,
    pub(super) of: ReservationId,
    pub(super) granted: Amounts,
}

impl Held {
    pub(super) const fn new(ledger: Arc<Shared>, stake: Stake, if_lost: IfLost) -> Self {
        Self {
            ledger,
            stake,
            if_lost,
        }
    }

    pub(super) fn is_of(&self, ledger: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.ledger, ledger)
    }

    /// What is held in Redis.
    pub(super) const fn booked(&self) -> Option<&Arc<Open>> {
        match &self.stake {
            Stake::Booked(open) => Some(open),
            Stake::Part(_) => None,
        }
    }

    pub(super) fn into_stake(self) -> Stake {
        self.stake
    }

    pub(super) fn into_lease(self: Box<Self>) -> Lease {
        let (granted, if_lost) = (self.stake.granted(), self.if_lost);
        Lease::new(self, granted, if_lost)
    }
}

impl Stake {
    fn granted(&self) -> Amounts {
        match self {
            Self::Booked(open) => open.granted,
            Self::Part(part) => part.granted,
        }
    }
}

impl Hold for Held {
    fn id(&self) -> ReservationId {
        match &self.stake {
            Stake::Booked(open) => open.id,
            Stake::Part(part) => part.id,
        }
    }

    fn settle(self: Box<Self>, settlement: Settlement) {
        let spent = match settlement {
            Settlement::Commit(spent) => spent,
            Settlement::Void => Amounts::ZERO,
        };
        let Self { ledger, stake, .. } = *self;
        ledger.send(Command::Settle { stake, spent });
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("stake", &self.stake)
            .finish_non_exhaustive()
    }
}
