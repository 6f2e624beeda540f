//! Why a request was not sent.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use backstop_core::{Failure, FailureKind, Reach};

use crate::Refusal;
use crate::guard::refused;

/// The request may not go to this deployment. Nothing was sent.
///
/// Its source is a [`Failure`], [`Ineligible::Region`](backstop_core::Ineligible::Region), whose detail says why.
#[derive(Clone, Debug)]
pub struct Refused {
    refusal: Option<Refusal>,
    verdict: Failure,
}

impl Refused {
    pub(crate) fn by(refusal: Refusal) -> Box<Self> {
        Box::new(Self {
            verdict: refused(refusal.to_string()),
            refusal: Some(refusal),
        })
    }

    pub(crate) fn undecided() -> Box<Self> {
        Self::because("no residency was decided for this request")
    }

    pub(crate) fn unpermitted() -> Box<Self> {
        Self::because("the request carries no permit for this deployment")
    }

    pub(crate) fn because(why: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self {
            refusal: None,
            verdict: refused(why),
        })
    }

    pub(crate) fn into_failure(self) -> Failure {
        self.verdict
    }

    /// The rule, and what the deployment lacks; `None` if the request did not come the way it should have.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused for residency")
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.verdict)
    }
}

/// What the caller says about where their request may go cannot be understood, so it goes nowhere.
///
/// Its source is a [`Failure`], [`FailureKind::BadRequest`], whose detail says which header is wrong and why.
#[derive(Clone, Debug)]
pub struct Unreadable {
    verdict: Failure,
}

impl Unreadable {
    pub(crate) fn new(header: &str, why: impl fmt::Display) -> Self {
        Self {
            verdict: Failure::new(FailureKind::BadRequest)
                .with_reach(Reach::Refused)
                .with_detail(format!("{header}: {why}")),
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("residency header not understood")
    }
}

impl Error for Unreadable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.verdict)
    }
}
