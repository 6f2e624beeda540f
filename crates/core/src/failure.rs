use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

/// What went wrong, in the terms that decide what happens next.
///
/// The meaning of each kind for retries, fallbacks and circuits is [`Policy`](crate::Policy)'s table.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// DNS, connect, reset, truncated stream.
    Network,
    /// No first token in time, a stalled stream, 408, 504.
    Timeout,
    /// 5xx, or an answer that is not in the provider's own format.
    ServerError,
    /// The provider says that it is short of capacity: 529, 503, a 429 about shared capacity.
    Overloaded,
    /// Too many requests or tokens in a short window: 429.
    RateLimit,
    /// The money or the daily quota is gone: waiting for seconds cannot help.
    QuotaExhausted,
    /// The provider blocked the prompt or the answer, or refused; mostly inside a 200.
    ContentFilter,
    /// The prompt is too long for this model.
    ContextWindow,
    /// The credential was rejected.
    Auth,
    /// The credential is known but may not use this model or region.
    Permission,
    /// The provider does not know the model.
    ModelNotFound,
    /// The request is wrong everywhere.
    BadRequest,
    /// Our own refusal, before anything was sent.
    Ineligible(Ineligible),
    /// The caller went away.
    Cancelled,
    /// The time that the caller gave for the whole chain is over.
    Deadline,
}

impl FailureKind {
    /// The name that audit records, metrics and headers use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::ServerError => "server_error",
            Self::Overloaded => "overloaded",
            Self::RateLimit => "rate_limit",
            Self::QuotaExhausted => "quota_exhausted",
            Self::ContentFilter => "content_filter",
            Self::ContextWindow => "context_window",
            Self::Auth => "auth",
            Self::Permission => "permission",
            Self::ModelNotFound => "model_not_found",
            Self::BadRequest => "bad_request",
            Self::Ineligible(why) => why.as_str(),
            Self::Cancelled => "cancelled",
            Self::Deadline => "deadline",
        }
    }

    const fn describe(self) -> &'static str {
        match self {
            Self::Network => "network failure",
            Self::Timeout => "timed out",
            Self::ServerError => "server error",
            Self::Overloaded => "overloaded",
            Self::RateLimit => "rate limited",
            Self::QuotaExhausted => "quota exhausted",
            Self::ContentFilter => "blocked by a content filter",
            Self::ContextWindow => "prompt does not fit the context window",
            Self::Auth => "credential rejected",
            Self::Permission => "permission denied",
            Self::ModelNotFound => "model not found",
            Self::BadRequest => "bad request",
            Self::Ineligible(why) => why.describe(),
            Self::Cancelled => "cancelled by the caller",
            Self::Deadline => "deadline exceeded",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a deployment may not be asked at all.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ineligible {
    /// Its circuit is open.
    Cooling,
    /// A spend ceiling would be broken.
    Budget,
    /// A residency or compliance rule forbids it.
    Region,
    /// It cannot do, or its wire format cannot say, what the request needs.
    Capability,
    /// The prompt does not fit its context window.
    Window,
    /// Its concurrency or rate limit is used up.
    Saturated,
    /// Whether a spend ceiling would be broken cannot be told: the ledger is not available.
    Ledger,
}

impl Ineligible {
    /// The name that audit records and metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cooling => "cooling",
            Self::Budget => "budget",
            Self::Region => "region",
            Self::Capability => "capability",
            Self::Window => "window",
            Self::Saturated => "saturated",
            Self::Ledger => "ledger",
        }
    }

    const fn describe(self) -> &'static str {
        match self {
            Self::Cooling => "resting after failures",
            Self::Budget => "over budget",
            Self::Region => "not allowed by the residency rule",
            Self::Capability => "not capable of this request",
            Self::Window => "context window too small for this request",
            Self::Saturated => "saturated",
            Self::Ledger => "ledger not available",
        }
    }
}

/// How far a call got before it failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// We refused it; no call was made. Such a failure is not an attempt.
    Refused,
    /// A call was tried, but no byte of the request left: asking again cannot repeat it.
    Unsent,
    /// The provider may have seen the request, and may bill for it.
    #[default]
    Sent,
}

/// One classified failure.
///
/// It is an [`Error`], so it can be the last link of any error's source chain, and it is cheap to clone, so a
/// circuit or a record can keep it. Its text never holds what a provider said, only what we made of it.
#[derive(Clone, Debug)]
pub struct Failure {
    kind: FailureKind,
    reach: Reach,
    retry_after: Option<Duration>,
    may_retry_here: Option<bool>,
    status: Option<StatusCode>,
    request_id: Option<Arc<str>>,
    detail: Option<Cow<'static, str>>,
}

impl Failure {
    /// A failure of `kind` after the request was sent.
    #[must_use]
    pub const fn new(kind: FailureKind) -> Self {
        Self {
            kind,
            reach: Reach::Sent,
            retry_after: None,
            may_retry_here: None,
            status: None,
            request_id: None,
            detail: None,
        }
    }

    /// Our own refusal: nothing was sent.
    #[must_use]
    pub const fn ineligible(why: Ineligible) -> Self {
        let mut failure = Self::new(FailureKind::Ineligible(why));
        failure.reach = Reach::Refused;
        failure
    }

    /// Sets how long to wait before asking this deployment again.
    #[must_use]
    pub const fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Sets how far the call got.
    #[must_use]
    pub const fn with_reach(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    /// Sets the provider's own word on whether the same call is worth repeating (`x-should-retry`).
    #[must_use]
    pub const fn with_may_retry_here(mut self, may: bool) -> Self {
        self.may_retry_here = Some(may);
        self
    }

    /// Sets the HTTP status that the provider answered with.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// Sets the provider's id of the failed request.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.request_id = Some(id.into());
        self
    }

    /// Adds a short reason in our own words. It reaches logs and audit records: no provider text, no secrets.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// How far the call got.
    #[must_use]
    pub const fn reach(&self) -> Reach {
        self.reach
    }

    /// How long to wait before asking this deployment again, where that is known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The provider's own word on whether the same call is worth repeating, where it gave one.
    #[must_use]
    pub const fn may_retry_here(&self) -> Option<bool> {
        self.may_retry_here
    }

    /// The HTTP status that the provider answered with, if it answered.
    #[must_use]
    pub const fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// The provider's id of the failed request.
    #[must_use]
    pub fn request_id(&self) -> Option<&Arc<str>> {
        self.request_id.as_ref()
    }

    /// A short reason in our own words.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}

impl From<FailureKind> for Failure {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Ineligible(why) => Self::ineligible(why),
            kind => Self::new(kind),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.describe())?;
        if let Some(status) = self.status {
            write!(f, " (status {})", status.as_u16())?;
        }
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        if let Some(after) = self.retry_after {
            // Nobody reads what is below a millisecond.
            let after = Duration::from_millis(u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
            write!(f, ", back in {after:?}")?;
        }
        Ok(())
    }
}

impl Error for Failure {}

/// The [`Failure`] at the end of an error's source chain, if there is one.
#[must_use]
pub fn failure_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Failure> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(failure) = error.downcast_ref() {
            return Some(failure);
        }
        next = error.source();
    }
    None
}

/// What an error comes from in the end: the last of its source chain.
///
/// Of a connection that did not stand, this is what an operator has to know: no such host, refused, not trusted.
#[must_use]
pub fn root_of<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(Failure);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn found_anywhere_in_the_chain() {
        let error = Outer(Failure::new(FailureKind::Timeout));
        assert_eq!(
            failure_of(&error).map(Failure::kind),
            Some(FailureKind::Timeout)
        );
        assert!(failure_of(&std::io::Error::other("unknown")).is_none());
    }

    #[test]
    fn says_what_happened() {
        let failure = Failure::new(FailureKind::RateLimit)
            .with_status(StatusCode::TOO_MANY_REQUESTS)
            .with_retry_after(Duration::from_nanos(1_500_712_425));
        assert_eq!(
            failure.to_string(),
            "rate limited (status 429), back in 1.5s"
        );
    }

    #[test]
    fn a_refusal_of_our_own_was_never_sent() {
        assert_eq!(
            Failure::ineligible(Ineligible::Region).reach(),
            Reach::Refused
        );
        assert_eq!(
            Failure::from(FailureKind::Ineligible(Ineligible::Budget)).reach(),
            Reach::Refused
        );
    }
}
