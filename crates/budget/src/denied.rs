use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::{Amounts, Lease, Leg};

/// A ledger's answer to a reservation that it does not book.
#[derive(Debug)]
pub struct Denied {
    /// Why.
    pub reason: Reason,
    /// The lease that was to be swapped. It holds what it held.
    pub lease: Option<Lease>,
}

/// Why a ledger does not book a reservation.
#[derive(Debug)]
pub enum Reason {
    /// A hard limit has no room for it.
    Refused(Box<Refused>),
    /// The ledger cannot say.
    Unavailable(Unavailable),
}

/// A hard limit has no room for what a reservation needs at least.
#[derive(Clone, Debug)]
pub struct Refused {
    leg: Leg,
    least: u64,
    headroom: u64,
    until: Option<SystemTime>,
}

impl Refused {
    /// `leg` has only this headroom for what was needed `least`. Asking again helps at `until` at the earliest: see
    /// [`Span::frees`](crate::Span::frees).
    #[must_use]
    pub fn new(leg: Leg, least: Amounts, headroom: u64, until: Option<SystemTime>) -> Self {
        let least = least.of(leg.budget().currency());
        Self {
            leg,
            least,
            headroom,
            until,
        }
    }

    /// The account that has no room. Where there are several, the one that has none for longest.
    #[must_use]
    pub const fn leg(&self) -> &Leg {
        &self.leg
    }

    /// The budget's name, and whose account it is if that is not said by it.
    pub(crate) fn whose(&self) -> String {
        let budget = self.leg.budget();
        match budget.id() {
            Some(_) => budget.name().to_owned(),
            None => format!("{} of {}", budget.name(), self.leg.id()),
        }
    }

    /// What was needed at least, in the budget's currency.
    #[must_use]
    pub const fn least(&self) -> u64 {
        self.least
    }

    /// What there is.
    #[must_use]
    pub const fn headroom(&self) -> u64 {
        self.headroom
    }

    /// When there may be room again; `None` if no time brings it.
    #[must_use]
    pub const fn until(&self) -> Option<SystemTime> {
        self.until
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "over budget {}", self.whose())
    }
}

impl Error for Refused {}

/// A ledger cannot be reached, or cannot write.
#[derive(Clone, Debug)]
pub struct Unavailable {
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
}

impl Unavailable {
    /// For this reason, in our own words. It reaches logs and records.
    #[must_use]
    pub fn new(detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// Sets when to ask again.
    #[must_use]
    pub const fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The reason.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// When to ask again, where that is known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ledger is not available: {}", self.detail)
    }
}

impl Error for Unavailable {}
