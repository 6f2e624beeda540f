//! A Tower layer that holds spend ceilings: it reserves before a call and settles what the call really took.

mod amounts;
mod budget;
mod denied;
mod lease;
mod ledger;
mod memory;
mod reservation;
mod sync;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod window;

pub use self::amounts::{Amounts, Currency, MAX_AMOUNT};
pub use self::budget::{Budget, Limit, Mode, Scope};
pub use self::denied::{Denied, Reason, Refused, Unavailable};
pub use self::lease::Lease;
pub use self::ledger::{Balance, Balances, Hold, Ledger, LedgerFuture, Reserving, Settlement};
pub use self::memory::{Entry, MemoryLedger, Movement};
pub use self::reservation::{IfLost, Leg, Reservation, ReservationId};
pub use self::window::{Span, UnknownZone, Window};
