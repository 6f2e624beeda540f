//! What a caller is told when something fails.

use std::time::Duration;

use backstop_chat::InvalidChat;
use backstop_core::{BoxError, FailureKind, Outcome, Trail};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::answer;
use crate::layer::Options;
use crate::verdict;

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
struct ErrorBody<'a> {
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

    pub(crate) fn retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    pub(crate) fn param(mut self, param: Option<&str>) -> Self {
        self.param = param.map(Into::into);
        self
    }

    pub(crate) fn explain(mut self, why: &str) -> Self {
        self.message = format!("{}: {why}", self.message).into();
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

    pub(crate) fn encoded() -> Self {
        let message = "a compressed body is not understood; send it without `content-encoding`";
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_content_encoding",
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
        verdict::of(&**error)
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
                let seconds = after
                    .as_secs()
                    .saturating_add(u64::from(after.subsec_nanos() > 0));
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

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
