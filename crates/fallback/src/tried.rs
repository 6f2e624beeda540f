use std::time::Duration;

use backstop_core::{BoxError, Failure, FailureKind, Ineligible, Reach};
use tokio::time::Instant;

/// A target that had its turn, in vain.
pub(crate) struct Tried {
    pub(crate) index: usize,
    pub(crate) failure: Failure,
    pub(crate) error: BoxError,
    /// When it may be asked again, if it said so.
    back: Option<Instant>,
}

impl Tried {
    pub(crate) fn new(index: usize, failure: Failure, error: BoxError) -> Self {
        let back = failure
            .retry_after()
            .and_then(|after| Instant::now().checked_add(after));
        Self {
            index,
            failure,
            error,
            back,
        }
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.failure.reach() != Reach::Refused
    }

    pub(crate) fn is_resting(&self) -> bool {
        self.failure.kind() == FailureKind::Ineligible(Ineligible::Cooling)
    }

    /// Whether this request may not go there, however healthy it is.
    pub(crate) fn is_barred(&self) -> bool {
        use Ineligible::{Budget, Capability, Region, Window};
        matches!(
            self.failure.kind(),
            FailureKind::Ineligible(Budget | Capability | Region | Window)
        )
    }
}

/// The resting ones, the one that recovers first being first.
pub(crate) fn resting(tried: &[Tried]) -> Vec<usize> {
    let mut resting: Vec<_> = tried.iter().filter(|tried| tried.is_resting()).collect();
    resting.sort_by_key(|tried| (tried.back.is_none(), tried.back));
    resting.into_iter().map(|tried| tried.index).collect()
}

/// What it amounts to when these, and no others, had their turn.
pub(crate) fn verdict(tried: &[Tried]) -> FailureKind {
    use Ineligible::{Budget, Capability, Ledger, Region, Window};
    let any = |kind: FailureKind| tried.iter().any(|tried| tried.failure.kind() == kind);
    let eligible: Vec<_> = tried.iter().filter(|tried| !tried.is_barred()).collect();
    if any(FailureKind::Deadline) {
        FailureKind::Deadline
    } else if !eligible.is_empty() {
        [FailureKind::ContextWindow, FailureKind::Ineligible(Ledger)]
            .into_iter()
            .find(|&kind| eligible.iter().all(|tried| tried.failure.kind() == kind))
            .unwrap_or(FailureKind::Overloaded)
    } else {
        [Budget, Window, Capability]
            .map(FailureKind::Ineligible)
            .into_iter()
            .find(|&kind| any(kind))
            .unwrap_or(FailureKind::Ineligible(Region))
    }
}

/// When asking again may help against `verdict`, where that is known: at the earliest return among those that led
/// to it.
pub(crate) fn retry_after(tried: &[Tried], verdict: FailureKind) -> Option<Duration> {
    tried
        .iter()
        .filter(|tried| match verdict {
            FailureKind::Overloaded => !tried.is_barred(),
            verdict => tried.failure.kind() == verdict,
        })
        .filter_map(|tried| tried.back)
        .min()
        .map(|back| back.saturating_duration_since(Instant::now()))
}

#[cfg(test)]
mod tests;
