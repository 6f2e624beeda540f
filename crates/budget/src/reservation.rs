use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use backstop_core::wall;

use crate::{Amounts, Budget, Span};

/// Names one reservation, for ever and everywhere: whoever asks again with the same id asks for the same thing.
///
/// It begins with the time, so that ids sort as they were made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationId(u128);

impl ReservationId {
    /// One that nobody else has.
    #[must_use]
    pub fn fresh() -> Self {
        let since_1970 = wall::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let nanos = u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX);
        Self(u128::from(nanos) << 64 | u128::from(fastrand::u64(..)))
    }

    /// The one with this number.
    #[must_use]
    pub const fn from_u128(number: u128) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One account that a reservation is booked to: a budget, which of its members, and the window.
#[derive(Clone, PartialEq)]
pub struct Leg {
    budget: Arc<Budget>,
    id: Arc<str>,
    span: Span,
}

impl Leg {
    /// The account of `id` in `budget`, in the window that `now` falls into.
    #[must_use]
    pub fn new(budget: Arc<Budget>, id: Arc<str>, now: SystemTime) -> Self {
        let span = budget.window().at(now);
        Self { budget, id, span }
    }

    /// The rule: its limit, its mode and what it counts.
    #[must_use]
    pub const fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Whose account it is, such as a key's id. Empty for [`Scope::Global`](crate::Scope::Global).
    #[must_use]
    pub const fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The window.
    #[must_use]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// What identifies the account, apart from the window: [`Budget::account`] and whose it is.
    #[must_use]
    pub fn account(&self) -> (&str, &str) {
        (self.budget.account(), &self.id)
    }
}

impl fmt::Debug for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}[{}]@{}",
            self.budget.name(),
            self.id,
            self.span.bucket()
        )
    }
}

/// What becomes of a reservation when nobody is left to say what the call took: the process died, or a
/// [`Lease`](crate::Lease) was dropped after its call had been made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfLost {
    /// All that was held is spent. The provider may have answered and may bill for it.
    #[default]
    Charge,
    /// Nothing was spent.
    Void,
}

/// What is asked of a [`Ledger`](crate::Ledger): to hold so much on each of these accounts.
#[derive(Clone, Debug)]
pub struct Reservation {
    id: ReservationId,
    legs: Vec<Leg>,
    wanted: Amounts,
    least: Amounts,
    if_lost: IfLost,
}

impl Reservation {
    /// Wants `wanted` on each of `legs`, each in its budget's currency, under a fresh id.
    ///
    /// Legs are sorted by account, and an account that is there twice is booked once.
    #[must_use]
    pub fn new(mut legs: Vec<Leg>, wanted: Amounts) -> Self {
        legs.sort_unstable_by(|one, other| one.account().cmp(&other.account()));
        legs.dedup_by(|one, other| one.account() == other.account());
        Self {
            id: ReservationId::fresh(),
            legs,
            wanted,
            least: wanted,
            if_lost: IfLost::Charge,
        }
    }

    /// Takes less where there is no room for all of it, but no less than `least`.
    #[must_use]
    pub fn at_least(mut self, least: Amounts) -> Self {
        self.least = least.min(self.wanted);
        self
    }

    /// Sets what becomes of it when it is lost.
    #[must_use]
    pub const fn if_lost(mut self, if_lost: IfLost) -> Self {
        self.if_lost = if_lost;
        self
    }

    /// Sets its id.
    #[must_use]
    pub const fn with_id(mut self, id: ReservationId) -> Self {
        self.id = id;
        self
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> ReservationId {
        self.id
    }

    /// The accounts, sorted, each once.
    #[must_use]
    pub fn legs(&self) -> &[Leg] {
        &self.legs
    }

    /// The accounts, to keep.
    #[must_use]
    pub fn into_legs(self) -> Vec<Leg> {
        self.legs
    }

    /// What it wants.
    #[must_use]
    pub const fn wanted(&self) -> Amounts {
        self.wanted
    }

    /// The least that is of use; never more than [`wanted`](Self::wanted).
    #[must_use]
    pub const fn least(&self) -> Amounts {
        self.least
    }

    /// What becomes of it when it is lost.
    #[must_use]
    pub const fn when_lost(&self) -> IfLost {
        self.if_lost
    }
}
