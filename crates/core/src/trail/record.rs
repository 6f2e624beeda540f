//! What a trail holds, in plain data.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use tokio::time::Instant;

use crate::{Deployment, FailureKind, NanoUsd, Usage};

/// One call to a provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// Identifies the row within its trail.
    pub(super) row: u64,
    /// Who was asked.
    pub deployment: Arc<Deployment>,
    /// When, from the start of the request.
    pub started: Duration,
    /// From then to the first content; for an answer that is not streamed, to the whole answer.
    pub first_content: Option<Duration>,
    /// From then to the end. `None` while it is open.
    pub duration: Option<Duration>,
    /// How it ended. `None` while it is open.
    pub result: Option<Result<(), FailureKind>>,
    /// The status that the provider answered with.
    pub status: Option<StatusCode>,
    /// The provider's id of the request.
    pub request_id: Option<Arc<str>>,
    /// Why the same deployment was asked again, if this attempt is a repeat.
    pub retry_reason: Option<FailureKind>,
    /// How long the repeat was held back.
    pub delay: Option<Duration>,
    /// What was decided after it.
    pub decision: Option<Decision>,
    /// The tokens it took, as far as is known.
    pub usage: Option<Usage>,
    /// What it cost, where that is known.
    pub cost: Option<NanoUsd>,
    /// What had to be changed in the request for this deployment.
    pub notes: Vec<Cow<'static, str>>,
}

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// It answered.
    Done,
    /// The same deployment is asked again.
    Retry,
    /// The next deployment is asked.
    Fallback,
    /// The caller gets the failure.
    Surface,
    /// The answer broke off, and its rest is asked for.
    Resume,
}

impl Decision {
    /// The name that audit records use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry => "retry",
            Self::Fallback => "fallback",
            Self::Surface => "surface",
            Self::Resume => "resume",
        }
    }
}

/// A deployment that was passed over without a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Skipped {
    /// Who.
    pub deployment: Arc<Deployment>,
    /// Why.
    pub reason: FailureKind,
    /// Why, in more words.
    pub detail: Option<Box<str>>,
    /// How long until it may be asked again, seen from when it was passed over.
    pub back_in: Option<Duration>,
    /// When it was passed over, from the start of the request.
    pub at: Duration,
}

/// An attempt to go on with an answer that broke off.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Resume {
    /// When it was begun, from the start of the request.
    pub at: Duration,
    /// How many characters the caller had by then.
    pub delivered: usize,
    /// Who went on, once somebody did.
    pub deployment: Option<Arc<Deployment>>,
    /// How: `prefill`, `replay`, `prompted`.
    pub mode: Option<&'static str>,
    /// Where the two texts met: so many bytes of the second were there already.
    pub cut: Option<usize>,
    /// Why nobody did, or it could not be placed.
    pub refused: Option<Cow<'static, str>>,
}

/// A budget that had no room for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ceiling {
    /// The budget's name.
    pub budget: Arc<str>,
    /// Whose account of it.
    pub id: Arc<str>,
    /// What came of that: `refused`, or `soft` or `shadow` for a call that was made all the same.
    pub effect: &'static str,
}

/// How the whole request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Answered, to the last byte.
    Ok,
    /// The request was wrong.
    ClientError,
    /// A provider's failure was handed on.
    UpstreamError,
    /// Every deployment failed or was resting.
    Exhausted,
    /// A spend ceiling left no deployment.
    RejectedBudget,
    /// A residency or compliance rule left no deployment.
    RejectedRegion,
    /// The caller's own key was missing or wrong.
    RejectedAuth,
    /// The caller went away.
    Cancelled,
    /// The caller's time was over.
    Deadline,
}

impl Outcome {
    /// The name that audit records and metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::UpstreamError => "upstream_error",
            Self::Exhausted => "exhausted",
            Self::RejectedBudget => "rejected_budget",
            Self::RejectedRegion => "rejected_region",
            Self::RejectedAuth => "rejected_auth",
            Self::Cancelled => "cancelled",
            Self::Deadline => "deadline",
        }
    }

    /// The outcome of a request that ends with `kind`, where nobody knows better.
    #[must_use]
    pub const fn of(kind: FailureKind) -> Self {
        use crate::Ineligible::{Budget, Capability, Region, Window};
        match kind {
            FailureKind::Cancelled => Self::Cancelled,
            FailureKind::Deadline => Self::Deadline,
            FailureKind::BadRequest
            | FailureKind::ContextWindow
            | FailureKind::Ineligible(Capability | Window) => Self::ClientError,
            FailureKind::Ineligible(Budget) => Self::RejectedBudget,
            FailureKind::Ineligible(Region) => Self::RejectedRegion,
            FailureKind::Ineligible(_) => Self::Exhausted,
            _ => Self::UpstreamError,
        }
    }
}

/// A [`Trail`](super::Trail) as it stood at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TrailSnapshot {
    /// The request's id.
    pub id: Arc<str>,
    /// When it began, by the wall clock.
    pub started_at: SystemTime,
    /// How long ago that was.
    pub elapsed: Duration,
    /// The model that the caller named.
    pub model: Option<Arc<str>>,
    /// Whether the caller asked for a stream.
    pub stream: bool,
    /// The caller's key, by its id.
    pub key_id: Option<Arc<str>>,
    /// The residency rules that hold for it, by name.
    pub policy: Option<Arc<str>>,
    /// How it ended, if a layer knew.
    pub outcome: Option<Outcome>,
    /// The calls that were made, in order.
    pub attempts: Vec<Attempt>,
    /// The deployments that were passed over, in order.
    pub skipped: Vec<Skipped>,
    /// The attempts to go on with an answer that broke off, in order.
    pub resumes: Vec<Resume>,
    /// What the attempts cost together, where that is known of any.
    pub cost: Option<NanoUsd>,
    /// The budgets that had no room, in the order in which that was found.
    pub ceilings: Vec<Ceiling>,
    /// What else there is to say.
    pub notes: Vec<Cow<'static, str>>,
    /// Attempts repeated on the same deployment.
    pub retries: u32,
    /// Deployments left behind before the one that was asked last.
    pub fallbacks: u32,
}

impl TrailSnapshot {
    /// The record of a request of which nothing is known yet.
    pub(super) fn begun(id: Arc<str>, started_at: SystemTime) -> Self {
        Self {
            id,
            started_at,
            elapsed: Duration::ZERO,
            model: None,
            stream: false,
            key_id: None,
            policy: None,
            outcome: None,
            attempts: Vec::new(),
            skipped: Vec::new(),
            resumes: Vec::new(),
            cost: None,
            ceilings: Vec::new(),
            notes: Vec::new(),
            retries: 0,
            fallbacks: 0,
        }
    }

    /// The record as it stands now, of a request that began at `started`.
    pub(super) fn taken(self, started: Instant) -> Self {
        Self {
            elapsed: Instant::now().saturating_duration_since(started),
            ..self
        }
    }
}
