use std::any::Any;
use std::fmt;

use crate::{Amounts, Hold, IfLost, ReservationId, Settlement};

/// What a [`Ledger`](crate::Ledger) holds for one call. It is settled once.
///
/// Dropped before the call was [sent](Self::sent), it is voided; dropped after that, it is lost, and settled as its
/// [`IfLost`] says.
#[must_use = "a lease that is dropped is settled by guess"]
pub struct Lease {
    /// `None` once it is settled.
    hold: Option<Box<dyn Hold>>,
    granted: Amounts,
    exceeded: Vec<usize>,
    if_lost: IfLost,
    sent: bool,
}

impl Lease {
    /// What `hold` holds: so much was granted, and that becomes of it when it is lost
    /// ([`Reservation::when_lost`](crate::Reservation::when_lost)).
    pub fn new(hold: Box<dyn Hold>, granted: Amounts, if_lost: IfLost) -> Self {
        Self {
            hold: Some(hold),
            granted,
            exceeded: Vec::new(),
            if_lost,
            sent: false,
        }
    }

    /// Says which soft and shadow legs it was booked to although they had no room, by their places in
    /// [`Reservation::legs`](crate::Reservation::legs).
    pub fn with_exceeded(mut self, legs: Vec<usize>) -> Self {
        self.exceeded = legs;
        self
    }

    /// The reservation's id.
    #[must_use]
    pub fn id(&self) -> ReservationId {
        self.hold().id()
    }

    /// What is held, in each currency.
    #[must_use]
    pub const fn granted(&self) -> Amounts {
        self.granted
    }

    /// The soft and shadow legs that had no room for it, by their places in
    /// [`Reservation::legs`](crate::Reservation::legs).
    #[must_use]
    pub fn exceeded(&self) -> &[usize] {
        &self.exceeded
    }

    /// The call that it is for is about to be made: from now on, dropping it no longer means that nothing was spent.
    pub fn sent(&mut self) {
        self.sent = true;
    }

    /// The call that it was for took nothing, and it may serve for another: dropping it voids it again.
    pub fn unsent(&mut self) {
        self.sent = false;
    }

    /// So much was spent, more or less than is held. It cannot fail.
    pub fn commit(mut self, spent: Amounts) {
        self.settle(Settlement::Commit(spent));
    }

    /// Nothing was spent.
    pub fn void(mut self) {
        self.settle(Settlement::Void);
    }

    /// For a ledger: takes its own hold out, to swap it. It is then the ledger's duty to settle it.
    ///
    /// # Errors
    ///
    /// The lease as it was, if it is another ledger's.
    pub fn into_hold<H: Hold>(mut self) -> Result<Box<H>, Self> {
        let hold = self.hold.take().expect("only settling takes it");
        if (&*hold as &dyn Any).is::<H>() {
            let hold: Box<dyn Any> = hold;
            Ok(hold.downcast().expect("it was just asked"))
        } else {
            self.hold = Some(hold);
            Err(self)
        }
    }

    fn hold(&self) -> &dyn Hold {
        &**self.hold.as_ref().expect("only settling takes it")
    }

    fn settle(&mut self, settlement: Settlement) {
        if let Some(hold) = self.hold.take() {
            hold.settle(settlement);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let settlement = match self.if_lost {
            IfLost::Charge if self.sent => Settlement::Commit(self.granted),
            _ => Settlement::Void,
        };
        self.settle(settlement);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("hold", &self.hold)
            .field("granted", &self.granted)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}
