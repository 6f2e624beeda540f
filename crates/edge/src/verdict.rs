//! What an error of a stack amounts to for the caller: the table of statuses and codes.

use std::error::Error;
use std::time::{Duration, SystemTime};

use backstop_chat::{InvalidChat, ProviderError};
use backstop_core::{
    Exhausted, Failure, FailureKind, Ineligible, Outcome, Reach, failure_of, wall,
};
use http::StatusCode;

use crate::error::{Rejection, millis};

pub(crate) fn of(error: &(dyn Error + 'static)) -> Rejection {
    if let Some(invalid) = cause::<InvalidChat>(error) {
        return Rejection::invalid(invalid);
    }
    match cause::<Exhausted>(error) {
        Some(exhausted) => of_plan(exhausted),
        None => of_one(error),
    }
}

/// A whole plan of deployments has failed.
fn of_plan(exhausted: &Exhausted) -> Rejection {
    let verdict = exhausted.verdict();
    let rejection = match verdict.kind() {
        kind @ FailureKind::Ineligible(Ineligible::Window | Ineligible::Capability) => {
            let rejection = of_kind(kind, None);
            match reasons(exhausted, kind) {
                reasons if reasons.is_empty() => return rejection,
                reasons => return rejection.explain(&reasons.join("; ")),
            }
        }
        FailureKind::Ineligible(Ineligible::Budget | Ineligible::Ledger | Ineligible::Region)
        | FailureKind::ContextWindow
        | FailureKind::ContentFilter
        | FailureKind::Deadline => return of_kind(verdict.kind(), verdict.retry_after()),
        _ => {
            let message = match verdict.retry_after() {
                Some(after) => format!(
                    "every deployment for this model failed or is resting; the first is back in {} ms",
                    millis(after)
                ),
                None => "every deployment for this model failed".to_owned(),
            };
            Rejection::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "all_deployments_failed",
                message,
                Outcome::Exhausted,
            )
        }
    };
    rejection.retry_after(verdict.retry_after())
}

/// What each deployment said that failed in this way, once.
fn reasons(exhausted: &Exhausted, kind: FailureKind) -> Vec<&str> {
    let mut reasons = Vec::new();
    for (_, error) in exhausted.errors() {
        let failure = failure_of(&**error).filter(|failure| failure.kind() == kind);
        if let Some(why) = failure.and_then(Failure::detail)
            && !reasons.contains(&why)
        {
            reasons.push(why);
        }
    }
    reasons
}

/// One deployment's own failure.
fn of_one(error: &(dyn Error + 'static)) -> Rejection {
    let Some(failure) = failure_of(error) else {
        return of_kind(FailureKind::Network, None);
    };
    let provider = cause::<ProviderError>(error);
    let said = provider.and_then(ProviderError::message);
    let code = provider.and_then(ProviderError::code);
    match failure.kind() {
        // The provider says that the request is wrong: in its own words.
        FailureKind::BadRequest => {
            let status = match failure.status() {
                Some(
                    status @ (StatusCode::NOT_FOUND
                    | StatusCode::PAYLOAD_TOO_LARGE
                    | StatusCode::UNPROCESSABLE_ENTITY),
                ) => status,
                _ => StatusCode::BAD_REQUEST,
            };
            let message = said
                .or(failure.detail())
                .unwrap_or("the provider says that the request is wrong");
            Rejection::new(
                status,
                code.unwrap_or("invalid_request"),
                message,
                Outcome::ClientError,
            )
            .param(provider.and_then(ProviderError::param))
        }
        FailureKind::ModelNotFound if failure.reach() == Reach::Refused => {
            let message = failure
                .detail()
                .unwrap_or("this model is not known here")
                .to_owned();
            Rejection::new(
                StatusCode::NOT_FOUND,
                "model_not_found",
                message,
                Outcome::ClientError,
            )
            .param(Some("model"))
        }
        FailureKind::Ineligible(Ineligible::Capability | Ineligible::Window) => {
            let rejection = of_kind(failure.kind(), None);
            match failure.detail() {
                Some(detail) => rejection.explain(detail),
                None => rejection,
            }
        }
        // The circuit that it opened knows when it looks again, but no time mends a key.
        FailureKind::Auth => of_kind(failure.kind(), None),
        kind => of_kind(kind, failure.retry_after()),
    }
}

/// The least that `Retry-After` can say.
const SOON: Duration = Duration::from_secs(1);

/// Whether it ends without anybody's doing, also where nobody says when.
fn passes(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::RateLimit
            | FailureKind::Overloaded
            | FailureKind::Ineligible(Ineligible::Saturated)
    )
}

/// The table of statuses and codes.
fn of_kind(kind: FailureKind, retry_after: Option<Duration>) -> Rejection {
    const BAD_REQUEST: StatusCode = StatusCode::BAD_REQUEST;
    const BAD_GATEWAY: StatusCode = StatusCode::BAD_GATEWAY;
    let (status, code, message) = match kind {
        FailureKind::Network | FailureKind::ServerError => {
            (BAD_GATEWAY, "upstream_error", "the provider failed")
        }
        FailureKind::Timeout => (
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_timeout",
            "the provider did not answer in time",
        ),
        FailureKind::Overloaded => (
            StatusCode::SERVICE_UNAVAILABLE,
            "upstream_overloaded",
            "the provider is overloaded",
        ),
        FailureKind::Ineligible(Ineligible::Cooling) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "upstream_overloaded",
            "the deployment is resting after failures",
        ),
        FailureKind::Ineligible(Ineligible::Saturated) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "upstream_overloaded",
            "the deployment takes no more requests now",
        ),
        FailureKind::Ineligible(Ineligible::Ledger) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "ledger_unavailable",
            "it cannot be told now whether a spend ceiling leaves room for this request",
        ),
        FailureKind::RateLimit => (
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit_exceeded",
            "the provider's rate limit is reached",
        ),
        FailureKind::QuotaExhausted => (
            StatusCode::TOO_MANY_REQUESTS,
            "upstream_quota_exhausted",
            "the quota at the provider is used up",
        ),
        FailureKind::Auth => (
            BAD_GATEWAY,
            "upstream_auth_failed",
            "the provider rejected this gateway's credential",
        ),
        FailureKind::Permission => (
            BAD_GATEWAY,
            "upstream_permission_denied",
            "the provider denies this gateway the model",
        ),
        FailureKind::ModelNotFound => (
            StatusCode::NOT_FOUND,
            "upstream_model_not_found",
            "the provider does not know the model",
        ),
        FailureKind::ContentFilter => {
            (BAD_REQUEST, "content_filter", "blocked by a content filter")
        }
        FailureKind::ContextWindow | FailureKind::Ineligible(Ineligible::Window) => (
            BAD_REQUEST,
            "context_length_exceeded",
            "the prompt fits the context window of no deployment for this model",
        ),
        FailureKind::Ineligible(Ineligible::Capability) => (
            BAD_REQUEST,
            "no_capable_deployment",
            "no deployment for this model can do what the request needs",
        ),
        FailureKind::Ineligible(Ineligible::Budget) => (
            StatusCode::PAYMENT_REQUIRED,
            "budget_exceeded",
            "a spend ceiling leaves no deployment for this request",
        ),
        FailureKind::Ineligible(Ineligible::Region) => (
            StatusCode::FORBIDDEN,
            "no_compliant_deployment",
            "the residency rule of this request allows no deployment for this model",
        ),
        FailureKind::Deadline => (
            StatusCode::GATEWAY_TIMEOUT,
            "deadline_exceeded",
            "the time for the whole request is over",
        ),
        // Nobody is left to read it; the number is the one that access logs use.
        FailureKind::Cancelled => (
            StatusCode::from_u16(499).unwrap_or(BAD_REQUEST),
            "cancelled",
            "the caller went away",
        ),
        _ => (BAD_REQUEST, "invalid_request", "the request is wrong"),
    };
    let retry_after = retry_after.or_else(|| passes(kind).then_some(SOON));
    let rejection = Rejection::new(status, code, message, Outcome::of(kind));
    let rejection = match retry_after.and_then(moment) {
        Some(moment) if kind == FailureKind::Ineligible(Ineligible::Budget) => {
            rejection.explain(&format!("there may be room again from {moment}"))
        }
        _ => rejection,
    };
    rejection.retry_after(retry_after)
}

/// When that is, to the nearest second: it was a moment ago that it was so far away. `None` in the years that nobody
/// plans for.
fn moment(after: Duration) -> Option<String> {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    const HALF_A_SECOND: Duration = Duration::from_millis(500);
    let then = (after < CENTURY).then(|| wall::now() + after + HALF_A_SECOND)?;
    // The clock may be set to before 1970, for which there is no such date.
    then.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(httpdate::fmt_http_date(then))
}

fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
