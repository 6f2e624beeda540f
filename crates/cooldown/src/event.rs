use std::time::Duration;

use backstop_core::Failure;
use tokio::time::Instant;

/// What happens to a circuit, for whoever logs and counts. See [`Circuits::observed`](crate::Circuits::observed).
///
/// Told inline, outside of any lock: an observer may ask the circuit, but must not block.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// It opened, or opened again after a probe that failed.
    Opened {
        /// The circuit's id.
        circuit: &'a str,
        /// The failure that tipped it.
        cause: &'a Failure,
        /// For how long.
        rest: Duration,
        /// Until when.
        until: Instant,
    },
    /// A probe is let through.
    Probing {
        /// The circuit's id.
        circuit: &'a str,
    },
    /// It closed: a probe was answered, or an operator reset it.
    Closed {
        /// The circuit's id.
        circuit: &'a str,
        /// What it had opened for.
        cause: &'a Failure,
    },
    /// A request was refused without a call.
    Refused {
        /// The circuit's id.
        circuit: &'a str,
        /// Until when it rests.
        until: Instant,
    },
}

impl<'a> Event<'a> {
    /// The id of the circuit that it happened to.
    #[must_use]
    pub const fn circuit(&self) -> &'a str {
        match self {
            Self::Opened { circuit, .. }
            | Self::Probing { circuit }
            | Self::Closed { circuit, .. }
            | Self::Refused { circuit, .. } => circuit,
        }
    }
}
