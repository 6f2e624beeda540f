use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use crate::{Budget, Denied, Lease, Reservation, ReservationId, Span, Unavailable};

/// Keeps the accounts of budgets: what was spent, and what is held for calls that are under way.
///
/// An account is a budget's name and an id ([`Leg::account`](crate::Leg::account)). Under it, a ledger keeps one row
/// per bucket ([`Span::bucket`]) with two sums, `spent` and `reserved`, and how much of `spent` is `overrun`. Limits
/// and modes are not the ledger's: each reservation brings the rules as they are now.
///
/// # What an implementation owes
///
/// - **Room.** A hard leg has the headroom `limit - Σ (spent + reserved)` over all rows of its account whose bucket is
///   [`Span::since`] or later, and none if that is negative. Soft and shadow legs are booked whatever there is; the
///   lease says which of them had no room ([`Lease::with_exceeded`]).
/// - **The grant.** Per currency: the least headroom of all its hard legs, but no more than `wanted`. If that is less
///   than `least` in any currency in which there is a hard leg, nothing is booked and the reservation is
///   [refused](Denied). A currency without a hard leg is granted as wanted.
/// - **One step.** Reading all legs, deciding and booking `reserved += grant` on each of them, in the row of its
///   [`Span::bucket`], is one atomic step. No one ever sees a part of it.
/// - **Swapping.** With `instead_of`, the same step first gives back what that lease holds. If the reservation is
///   denied, the old lease goes on holding what it holds, and comes back in [`Denied`]. A lease of another ledger is
///   voided after the step.
/// - **Ids.** Nobody asks twice under one id. A ledger that has to repeat a step of its own, because an answer got lost
///   on the way, uses the id so that it is booked once. What happens first to a reservation (it is committed, voided,
///   swapped, expired) stands, and what comes later changes nothing.
/// - **Settling.** [`Hold::settle`] gives back what was held on every leg, and books what was spent, in one step, in
///   the rows that the reservation was booked in, whatever window it is by then. What is spent beyond what was held is
///   booked all the same, and added to `overrun`.
/// - **Order.** What this process has settled before it asks to reserve, or for balances, is booked in the answer.
/// - **Losses.** As long as its [`Hold`] exists, a reservation is in use: a ledger that can be outlived by its data
///   renews its claim on it, for as long as that takes. What a process leaves behind when it dies expires, and is
///   then settled as its [`IfLost`](crate::IfLost) says.
/// - **Cancellation.** If the future of [`reserve`](Self::reserve) is dropped, what was or will be booked for it is
///   voided, and so is the lease that it was to replace. A [`Lease`] that is dropped without having been
///   [sent](Lease::sent) does that by itself.
///
/// So at any time, for each account: `reserved` is the sum of what its open reservations hold, and with hard limits
/// that only grow, `spent + reserved <= limit + overrun`.
///
/// What all of them are checked against is in `backstop_budget::testing`, behind the feature of that name.
pub trait Ledger: fmt::Debug + Send + Sync {
    /// Holds what `reservation` asks for, if there is room, in place of what `instead_of` holds.
    fn reserve(&self, reservation: Reservation, instead_of: Option<Lease>) -> Reserving;

    /// How all accounts of these budgets stand at `now`, those that nothing was booked to left out, except where a
    /// budget is for [one member](Budget::id). In the budgets' order, and by id within one.
    fn balances(&self, budgets: &[Arc<Budget>], now: SystemTime) -> Balances;
}

/// The future of [`Ledger::reserve`].
pub type Reserving = LedgerFuture<Result<Lease, Denied>>;

/// The future of [`Ledger::balances`].
pub type Balances = LedgerFuture<Result<Vec<Balance>, Unavailable>>;

/// What a ledger keeps for a [`Lease`]: the right, and the means, to settle one reservation.
///
/// Whatever settling needs (a slot in a writer's queue) was taken when the reservation was made, so that
/// [`settle`](Self::settle) need not wait and cannot fail. Dropped unsettled it does nothing: a [`Lease`] always
/// settles.
pub trait Hold: Any + fmt::Debug + Send + Sync {
    /// Whose it is.
    fn id(&self) -> ReservationId;

    /// Ends the reservation. Called on any thread, on the path of a request or in a destructor: it must not block.
    fn settle(self: Box<Self>, settlement: Settlement);
}

/// How a reservation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// So much was spent, whatever was held.
    Commit(crate::Amounts),
    /// Nothing was spent: it is as if it had never been.
    Void,
}

/// How one account stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    /// The rule.
    pub budget: Arc<Budget>,
    /// Whose account it is.
    pub id: Arc<str>,
    /// The window.
    pub span: Span,
    /// What was spent in it.
    pub spent: u64,
    /// What is held for calls that are under way.
    pub reserved: u64,
    /// What of `spent` had not been held.
    pub overrun: u64,
}

impl Balance {
    /// What is left to be reserved.
    #[must_use]
    pub fn headroom(&self) -> u64 {
        let booked = self.spent.saturating_add(self.reserved);
        self.budget.limit().saturating_sub(booked)
    }
}

/// What a ledger answers: at once, or after asking somebody.
#[must_use = "a future does nothing unless it is polled"]
pub struct LedgerFuture<T>(Answer<T>);

enum Answer<T> {
    Ready(Option<T>),
    Boxed(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T> LedgerFuture<T> {
    /// It is known already: nothing is allocated.
    pub const fn ready(value: T) -> Self {
        Self(Answer::Ready(Some(value)))
    }

    /// It will be known when `future` is done.
    pub fn boxed(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Answer::Boxed(Box::pin(future)))
    }

    /// Whether the answer is there already.
    pub(crate) const fn is_ready(&self) -> bool {
        matches!(self.0, Answer::Ready(_))
    }
}

impl<T: Unpin> Future for LedgerFuture<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            Answer::Ready(value) => Poll::Ready(value.take().expect("polled after completion")),
            Answer::Boxed(future) => future.as_mut().poll(cx),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for LedgerFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Answer::Ready(value) => f.debug_tuple("Ready").field(value).finish(),
            Answer::Boxed(_) => f.write_str("Boxed"),
        }
    }
}
