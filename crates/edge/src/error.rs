//! What a caller is told when something fails.

use std::error::Error;
use std::time::Duration;

use backstop_chat::{InvalidChat, ProviderError};
use backstop_core::{
    BoxError, Exhausted, FailureKind, Ineligible, Outcome, Reach, Trail, failure_of,
};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::answer;
use crate::layer::Options;

const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// An error as a caller sees it: a status, a code, a message, and when asking again may help.
///
/// It says nothing about the infrastructure unless the edge is told to.
#[derive(Clone, Debug)]
pub struct Rejection {
    status: StatusCode,
    code: Box<str>,
    message: Box<str>,
    param: Option<Box<str>>,
    retry_after: Option<Duration>,
    outcome: Outcome,
}

/// OpenAI's error format, with what is ours under `backstop`.
#[derive(Debug, Serialize)]
pub struct ErrorBody<'a> {
    error: ErrorFields<'a>,
}

#[derive(Debug, Serialize)]
struct ErrorFields<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'a str>,
    code: &'a str,
    backstop: Ours<'a>,
}

#[derive(Debug, Serialize)]
struct Ours<'a> {
    request_id: &'a str,
    retryable: bool,
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<AttemptFields>>,
}

#[derive(Debug, Serialize)]
struct AttemptFields {
    deployment: String,
    provider: String,
    failure: Option<&'static str>,
    status: Option<u16>,
}

impl Rejection {
    /// A refusal of one's own, for what stands before or beside the edge: authentication, routing.
    #[must_use]
    pub fn new(
        status: StatusCode,
        code: &str,
        message: impl Into<Box<str>>,
        outcome: Outcome,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            param: None,
            retry_after: None,
            outcome,
        }
    }

    fn retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    fn param(mut self, param: Option<&str>) -> Self {
        self.param = param.map(Into::into);
        self
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "chat completions are asked for with POST";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            message,
            Outcome::ClientError,
        )
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!("the request's body is larger than {limit} bytes");
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            message,
            Outcome::ClientError,
        )
    }

    pub(crate) fn unreadable() -> Self {
        let message = "the request's body broke off";
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            message,
            Outcome::ClientError,
        )
    }

    pub(crate) fn invalid(invalid: &InvalidChat) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            invalid.message(),
            Outcome::ClientError,
        )
        .param(invalid.param())
    }

    /// What an error of a stack amounts to for the caller.
    #[must_use]
    pub fn of(error: &BoxError) -> Self {
        let error: &(dyn Error + 'static) = &**error;
        if let Some(invalid) = cause::<InvalidChat>(error) {
            return Self::invalid(invalid);
        }
        if let Some(exhausted) = cause::<Exhausted>(error) {
            return of_plan(exhausted);
        }
        of_one(error)
    }

    /// How the request ended, for its record.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The whole response, for the request of `trail`.
    #[must_use]
    pub fn respond(self, trail: &Trail) -> Response<Bytes> {
        let options = Options {
            body_limit: 0,
            expose_attempts: false,
            expose_served_by: false,
        };
        trail.end(self.outcome);
        self.into_response(&options, trail)
    }

    pub(crate) fn into_response(self, options: &Options, trail: &Trail) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        match self.retry_after {
            Some(after) => {
                // Whole seconds, rounded up: asking earlier would be in vain.
                let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
                headers.insert(RETRY_AFTER_MS, HeaderValue::from(millis(after)));
            }
            // Clients that retry by themselves would repeat what we have tried already.
            None => drop(headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"))),
        }
        answer::counts(headers, trail);
        *response.body_mut() = self.into_json(options, trail);
        response
    }

    pub(crate) fn into_json(self, options: &Options, trail: &Trail) -> Bytes {
        let attempts = options.expose_attempts.then(|| {
            let attempts = trail.snapshot().attempts;
            attempts
                .iter()
                .map(|attempt| AttemptFields {
                    deployment: attempt.deployment.id().to_string(),
                    provider: attempt.deployment.provider().to_string(),
                    failure: attempt
                        .result
                        .and_then(Result::err)
                        .map(FailureKind::as_str),
                    status: attempt.status.map(|status| status.as_u16()),
                })
                .collect()
        });
        let body = ErrorBody {
            error: ErrorFields {
                message: &self.message,
                kind: kind(self.status),
                param: self.param.as_deref(),
                code: &self.code,
                backstop: Ours {
                    request_id: trail.id(),
                    retryable: self.retry_after.is_some(),
                    retry_after_ms: self.retry_after.map(millis),
                    attempts,
                },
            },
        };
        serde_json::to_vec(&body).expect("an error is JSON").into()
    }
}

/// A whole plan of deployments has failed.
fn of_plan(exhausted: &Exhausted) -> Rejection {
    let verdict = exhausted.verdict();
    let rejection = match verdict.kind() {
        FailureKind::Ineligible(
            Ineligible::Budget | Ineligible::Region | Ineligible::Window | Ineligible::Capability,
        )
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
        FailureKind::Ineligible(Ineligible::Capability) => {
            let rejection = of_kind(failure.kind(), None);
            match failure.detail() {
                Some(detail) => Rejection {
                    message: format!("{}: {detail}", rejection.message).into(),
                    ..rejection
                },
                None => rejection,
            }
        }
        kind => of_kind(kind, failure.retry_after()),
    }
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
    Rejection::new(status, code, message, Outcome::of(kind)).retry_after(retry_after)
}

/// OpenAI's `type` for a status.
fn kind(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::PAYMENT_REQUIRED => "insufficient_quota",
        status if status.is_client_error() => "invalid_request_error",
        _ => "server_error",
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
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
