//! What the layer answers in place of a call.

use std::error::Error;
use std::fmt;

use backstop_core::{Failure, Ineligible, wall};

use crate::Refused;

/// A limit has no room for this call here: it was refused, and nothing was sent.
///
/// Its source is the [`Failure`] ([`Ineligible::Budget`]) that says when there may be room again.
#[derive(Debug)]
pub struct OverBudget {
    refused: Box<Refused>,
    verdict: Failure,
}

impl OverBudget {
    pub(crate) fn new(refused: Box<Refused>) -> Self {
        let mut verdict = Failure::ineligible(Ineligible::Budget).with_detail(refused.whose());
        let wait = refused
            .until()
            .map(|until| until.duration_since(wall::now()).unwrap_or_default());
        if let Some(wait) = wait {
            verdict = verdict.with_retry_after(wait);
        }
        Self { refused, verdict }
    }

    /// Which limit, and by how much.
    #[must_use]
    pub fn refused(&self) -> &Refused {
        &self.refused
    }
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.refused, f)
    }
}

impl Error for OverBudget {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.verdict)
    }
}
