use backstop_core::{Deployment, NanoUsd, Usage};

use crate::{Leg, Refused, Unavailable};

/// What budgets do, for whoever logs and counts. See [`Budgets::observed`](crate::Budgets::observed).
///
/// Told inline: an observer must not block.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A call was refused: a hard limit has no room for it.
    Refused {
        /// Who was not asked.
        deployment: &'a Deployment,
        /// Which limit, and by how much.
        refused: &'a Refused,
    },
    /// A call was refused: the ledger could not say.
    Unavailable {
        /// Who was not asked.
        deployment: &'a Deployment,
        /// Why.
        unavailable: &'a Unavailable,
    },
    /// A call is made although a soft limit, or a shadow, has no room for it.
    Exceeded {
        /// Who is asked.
        deployment: &'a Deployment,
        /// Which limit: its [mode](crate::Budget::mode) says what for.
        leg: &'a Leg,
    },
    /// The answer was given fewer tokens than were asked for, so that it fits.
    Clamped {
        /// Who is asked.
        deployment: &'a Deployment,
        /// The bound on each choice's tokens.
        output: u64,
    },
    /// A call took money, or tokens, or might have: it is paid for.
    Spent {
        /// Who was asked.
        deployment: &'a Deployment,
        /// What it took, and who counted.
        usage: &'a Usage,
        /// What it cost, where that is known.
        cost: Option<NanoUsd>,
    },
    /// More was spent than had been held: a bound was none.
    Overrun {
        /// Who was asked.
        deployment: &'a Deployment,
        /// What had been held of each currency.
        held: crate::Amounts,
        /// What was spent of each.
        spent: crate::Amounts,
    },
}
