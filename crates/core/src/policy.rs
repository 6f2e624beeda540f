use crate::FailureKind;

/// May the same deployment be asked again?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// No.
    Never,
    /// Once, if no byte of the request was sent.
    IfUnsent,
    /// Only if the plan has no other deployment.
    IfAlone,
    /// After the hint (or a backoff where there is none), if that fits patience and deadline.
    AfterHint,
}

/// May another deployment be asked?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// No: the caller gets this failure.
    Surface,
    /// Yes, at once.
    Ask,
    /// Only one with a larger context window.
    AskLarger,
}

/// What does the failure say about the deployment's health?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Nothing.
    None,
    /// It counts, and a hint that it carries opens the circuit for that long.
    Counts,
    /// It counts toward the ratio only; a hint longer than patience opens the circuit for that long.
    Limit,
    /// It opens the circuit for long: an operator has to mend something.
    Broken,
}

/// What one kind of failure leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The same deployment once more?
    pub again: Again,
    /// The next deployment?
    pub next: Next,
    /// The circuit?
    pub blame: Blame,
}

const fn row(again: Again, next: Next, blame: Blame) -> Row {
    Row { again, next, blame }
}

const KINDS: usize = 15;

/// The table that says what each [`FailureKind`] leads to; retry, fallback and cooldown all read this one.
///
/// | kind | again here | next deployment | health |
/// |---|---|---|---|
/// | `Network` | once, if nothing was sent | yes | counts |
/// | `Timeout` | no | yes | counts |
/// | `ServerError` | if alone in the plan | yes | counts |
/// | `Overloaded` | if alone in the plan | yes | counts; opens for the hint |
/// | `RateLimit` | after the hint, if it fits patience | yes | ratio only; opens for a long hint |
/// | `QuotaExhausted` | no | yes | opens long |
/// | `ContentFilter` | no | yes | – |
/// | `ContextWindow` | no | only a larger window | – |
/// | `Auth` | no | no | opens long |
/// | `Permission`, `ModelNotFound` | no | yes | opens long |
/// | `BadRequest` | no | no | – |
/// | `Ineligible` | no | yes | – |
/// | `Cancelled`, `Deadline` | no | no | – |
///
/// ```
/// use backstop_core::{FailureKind, Next, Policy};
///
/// // The rejected key is the operator's own, which the caller cannot mend: let a healthy deployment answer.
/// let policy = Policy::default().next(FailureKind::Auth, Next::Ask);
/// assert!(policy.moves_on(FailureKind::Auth));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    rows: [Row; KINDS],
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy {
    /// The default table.
    #[must_use]
    pub const fn new() -> Self {
        use Again::{AfterHint, IfAlone, IfUnsent, Never};
        use Next::{Ask, AskLarger, Surface};
        Self {
            rows: [
                row(IfUnsent, Ask, Blame::Counts),  // Network
                row(Never, Ask, Blame::Counts),     // Timeout
                row(IfAlone, Ask, Blame::Counts),   // ServerError
                row(IfAlone, Ask, Blame::Counts),   // Overloaded
                row(AfterHint, Ask, Blame::Limit),  // RateLimit
                row(Never, Ask, Blame::Broken),     // QuotaExhausted
                row(Never, Ask, Blame::None),       // ContentFilter
                row(Never, AskLarger, Blame::None), // ContextWindow
                row(Never, Surface, Blame::Broken), // Auth
                row(Never, Ask, Blame::Broken),     // Permission
                row(Never, Ask, Blame::Broken),     // ModelNotFound
                row(Never, Surface, Blame::None),   // BadRequest
                row(Never, Ask, Blame::None),       // Ineligible
                row(Never, Surface, Blame::None),   // Cancelled
                row(Never, Surface, Blame::None),   // Deadline
            ],
        }
    }

    const fn index(kind: FailureKind) -> usize {
        match kind {
            FailureKind::Network => 0,
            FailureKind::Timeout => 1,
            FailureKind::ServerError => 2,
            FailureKind::Overloaded => 3,
            FailureKind::RateLimit => 4,
            FailureKind::QuotaExhausted => 5,
            FailureKind::ContentFilter => 6,
            FailureKind::ContextWindow => 7,
            FailureKind::Auth => 8,
            FailureKind::Permission => 9,
            FailureKind::ModelNotFound => 10,
            FailureKind::BadRequest => 11,
            FailureKind::Ineligible(_) => 12,
            FailureKind::Cancelled => 13,
            FailureKind::Deadline => 14,
        }
    }

    /// What `kind` leads to.
    #[must_use]
    pub const fn row(&self, kind: FailureKind) -> Row {
        self.rows[Self::index(kind)]
    }

    /// Whether another deployment may be asked after `kind`.
    #[must_use]
    pub const fn moves_on(&self, kind: FailureKind) -> bool {
        !matches!(self.row(kind).next, Next::Surface)
    }

    /// Sets whether the same deployment may be asked again after `kind`.
    #[must_use]
    pub const fn again(mut self, kind: FailureKind, again: Again) -> Self {
        self.rows[Self::index(kind)].again = again;
        self
    }

    /// Sets whether another deployment may be asked after `kind`.
    #[must_use]
    pub const fn next(mut self, kind: FailureKind, next: Next) -> Self {
        self.rows[Self::index(kind)].next = next;
        self
    }

    /// Sets what `kind` says about the deployment's health.
    #[must_use]
    pub const fn blame(mut self, kind: FailureKind, blame: Blame) -> Self {
        self.rows[Self::index(kind)].blame = blame;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ineligible;

    #[test]
    fn an_edit_changes_one_cell() {
        let edited = Policy::default().next(FailureKind::ServerError, Next::Surface);
        assert!(!edited.moves_on(FailureKind::ServerError));
        assert_eq!(edited.row(FailureKind::ServerError).again, Again::IfAlone);
        assert!(edited.moves_on(FailureKind::Overloaded));
    }

    #[test]
    fn only_the_callers_own_mistakes_are_surfaced() {
        let policy = Policy::default();
        for kind in [
            FailureKind::BadRequest,
            FailureKind::Auth,
            FailureKind::Cancelled,
            FailureKind::Deadline,
        ] {
            assert!(!policy.moves_on(kind), "{kind} is surfaced");
        }
        for kind in [
            FailureKind::Network,
            FailureKind::Timeout,
            FailureKind::ServerError,
            FailureKind::Overloaded,
            FailureKind::RateLimit,
            FailureKind::QuotaExhausted,
            FailureKind::ContentFilter,
            FailureKind::ContextWindow,
            FailureKind::Permission,
            FailureKind::ModelNotFound,
            FailureKind::Ineligible(Ineligible::Region),
        ] {
            assert!(policy.moves_on(kind), "{kind} moves on");
        }
    }
}
