//! From an error, wherever it was found, to a [`ProviderError`].
//!
//! In this order: the structured words of the body, its numeric code, the HTTP status, and at last a few texts in
//! the `message` alone. Bodies win over statuses: gateways wrap one in the other.

use std::sync::Arc;
use std::time::Duration;

use backstop_chat::{ProviderError, patterns};
use backstop_core::{Failure, FailureKind, hint, wall};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, StatusCode};
use serde_json::Value;

use crate::failures::{LARGER_THAN_LIMIT, Row};
use crate::{compatible, failures};

/// A wait, named only in a message, beyond which a rate limit is a quota: Azure says up to a day.
const QUOTA: Duration = Duration::from_secs(60 * 60);

/// What an answer with a status other than 2xx means.
pub(crate) fn answer(provider: &'static str, answer: &Response<Bytes>) -> ProviderError {
    let body = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
    let said = Said::find(&body).unwrap_or_default();
    let status = answer.status();
    let mut failure = said.failure(Some(status)).with_status(status);
    let headers = answer.headers();
    if let Some(after) = said.wait(headers, failure.kind()) {
        failure = failure.with_retry_after(after);
    }
    if let Some(may) = may_retry(headers) {
        failure = failure.with_may_retry_here(may);
    }
    if let Some(id) = request_id(headers) {
        failure = failure.with_request_id(id);
    }
    said.error(provider, failure)
}

/// What an error in the body of a 200 means: of a stream's event, or of a whole answer.
pub(crate) fn in_body(provider: &'static str, body: &[u8]) -> ProviderError {
    let body = serde_json::from_slice(body).unwrap_or(Value::Null);
    let said = Said::find(&body).unwrap_or_default();
    let mut failure = said.failure(None);
    if let Some(after) = said.wait(&HeaderMap::new(), failure.kind()) {
        failure = failure.with_retry_after(after);
    }
    said.error(provider, failure)
}

/// Whether the body is an error and nothing else, in any of the shapes that servers use.
pub(crate) fn is_error(body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(|body| Said::find(&body).is_some())
}

/// The headers that have it, in the order of trust.
const REQUEST_IDS: [HeaderName; 4] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("apim-request-id"),
    HeaderName::from_static("x-generation-id"),
    HeaderName::from_static("request-id"),
];

/// The server's id of the request.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<Arc<str>> {
    REQUEST_IDS
        .iter()
        .find_map(|name| headers.get(name)?.to_str().ok())
        .map(Into::into)
}

fn may_retry(headers: &HeaderMap) -> Option<bool> {
    headers.get("x-should-retry")?.to_str().ok()?.parse().ok()
}

/// What a body says of an error.
#[derive(Default)]
struct Said<'a> {
    error: Option<&'a Value>,
    message: &'a str,
}

impl<'a> Said<'a> {
    /// `{"error": {…}}`, `{"error": "…"}`, `[{"error": …}]`, `{"object": "error", …}`, FastAPI's `detail`, or the
    /// error itself.
    fn find(body: &'a Value) -> Option<Self> {
        let body = match body {
            Value::Array(all) => all.first()?,
            body => body,
        };
        let own = || body.get("message").is_some() && body.get("choices").is_none();
        let error = match body.get("error") {
            Some(Value::Null | Value::Bool(false)) | None => match body.get("detail") {
                Some(detail) => detail,
                None if own() => body,
                None => return None,
            },
            Some(error) => error,
        };
        let message = error
            .as_str()
            .or_else(|| error.get("message")?.as_str())
            .or_else(|| error.get(0)?.get("msg")?.as_str())
            .unwrap_or_default();
        Some(Self {
            error: Some(error),
            message,
        })
    }

    fn at(&self, path: &[&str]) -> Option<&'a Value> {
        path.iter()
            .try_fold(self.error?, |value, name| value.get(*name))
    }

    fn word(&self, path: &[&str]) -> Option<&'a str> {
        self.at(path)?.as_str().filter(|word| !word.is_empty())
    }

    /// Where the mistake is, as FastAPI says it.
    fn place(&self) -> Option<String> {
        let names = self.error?.get(0)?.get("loc")?.as_array()?;
        let names = names.iter().map(|name| match name.as_str() {
            Some(name) => name.to_owned(),
            None => name.to_string(),
        });
        Some(names.collect::<Vec<_>>().join("."))
    }

    /// The status in the body: OpenRouter's and vLLM's numeric code.
    fn status(&self) -> Option<StatusCode> {
        let code = self.at(&["code"])?;
        let code = code
            .as_u64()
            .or_else(|| code.as_str()?.parse().ok())
            .and_then(|code| u16::try_from(code).ok())?;
        StatusCode::from_u16(code)
            .ok()
            .filter(|status| *status >= StatusCode::BAD_REQUEST)
    }

    fn failure(&self, status: Option<StatusCode>) -> Failure {
        let kind = self.structured().unwrap_or_else(|| {
            let status = self.status().or(status);
            self.refined(status.map_or(FailureKind::ServerError, by_status), status)
        });
        let mut failure = Failure::new(kind);
        if kind == FailureKind::RateLimit {
            if patterns::says(self.message, LARGER_THAN_LIMIT) {
                failure = failure
                    .with_may_retry_here(false)
                    .with_detail("the request is larger than the whole limit");
            } else if patterns::retry_after(self.message).is_some_and(|wait| wait > QUOTA) {
                return Failure::new(FailureKind::QuotaExhausted);
            }
        }
        failure
    }

    /// By the structured words alone.
    fn structured(&self) -> Option<FailureKind> {
        if let Some(kind) = self.word(&["metadata", "error_type"]).and_then(|word| {
            let row = compatible::OPENROUTER.iter().find(|row| row.0 == word)?;
            Some(row.1)
        }) {
            return Some(kind);
        }
        // OpenRouter: moderation is a 403 with its reasons; a budget for requests in flight is a 402.
        if self.at(&["metadata", "reasons"]).is_some() {
            return Some(FailureKind::ContentFilter);
        }
        if self.word(&["metadata", "limit_source"]) == Some("openrouter_in_flight_budget") {
            return Some(FailureKind::RateLimit);
        }
        if let Some(kind) = self.google() {
            return Some(kind);
        }
        let words: [&[&str]; 5] = [
            &["innererror", "code"],
            &["inner_error", "code"],
            &["code"],
            &["type"],
            &["status"],
        ];
        words.iter().find_map(|path| {
            let word = self.word(path)?;
            failures::WORDS
                .iter()
                .chain(compatible::WORDS)
                .find(|row| self.fits(row, word))
                .map(|row| row.kind)
        })
    }

    /// By `details`, as Google's APIs give them.
    fn google(&self) -> Option<FailureKind> {
        let details = self.at(&["details"])?.as_array()?;
        let mut daily = None;
        for detail in details {
            if let Some(reason) = detail.get("reason").and_then(Value::as_str)
                && let Some(row) = compatible::WORDS.iter().find(|row| self.fits(row, reason))
            {
                return Some(row.kind);
            }
            for violation in detail
                .get("violations")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                // The same text, and the same delay, stand for both.
                match violation.get("quotaId").and_then(Value::as_str) {
                    Some(id) if id.contains("PerDay") => daily = Some(FailureKind::QuotaExhausted),
                    Some(id) if id.contains("PerMinute") => {
                        daily.get_or_insert(FailureKind::RateLimit);
                    }
                    _ => {}
                }
            }
        }
        daily
    }

    fn fits(&self, row: &Row, word: &str) -> bool {
        row.word == word && (row.says.is_empty() || patterns::says(self.message, &[row.says]))
    }

    /// By the status, and by texts where the status leaves it open.
    fn refined(&self, kind: FailureKind, status: Option<StatusCode>) -> FailureKind {
        if let Some(text) = failures::TEXTS
            .iter()
            .chain(compatible::TEXTS)
            .find(|text| text.was == kind && patterns::says(self.message, &[text.says]))
        {
            return text.kind;
        }
        let open = matches!(kind, FailureKind::BadRequest | FailureKind::ServerError)
            && status != Some(StatusCode::PAYLOAD_TOO_LARGE);
        if open && patterns::is_too_long(self.message) {
            return FailureKind::ContextWindow;
        }
        kind
    }

    /// How long to wait: the headers' word, the body's, the moment a used-up limit fills again, the message's.
    fn wait(&self, headers: &HeaderMap, kind: FailureKind) -> Option<Duration> {
        let limited = kind == FailureKind::RateLimit;
        hint::retry_after(headers, wall::now())
            .or_else(|| {
                self.at(&["details"])?
                    .as_array()?
                    .iter()
                    .find_map(|detail| hint::proto_duration(detail.get("retryDelay")?.as_str()?))
            })
            .or_else(|| reset(headers).filter(|_| limited))
            .or_else(|| patterns::retry_after(self.message))
    }

    fn error(&self, provider: &'static str, failure: Failure) -> ProviderError {
        let mut error = ProviderError::new(provider, failure);
        if let Some(code) = self
            .word(&["code"])
            .or_else(|| self.word(&["type"]))
            .or_else(|| self.word(&["status"]))
        {
            error = error.with_code(code);
        } else if let Some(code) = self.at(&["code"]).and_then(Value::as_u64) {
            error = error.with_code(code.to_string());
        }
        if let Some(param) = self.word(&["param"]) {
            error = error.with_param(param);
        } else if let Some(place) = self.place() {
            error = error.with_param(place);
        }
        if !self.message.is_empty() {
            error = error.with_message(self.message);
        }
        error
    }
}

/// When the last of the limits that are used up fills again: Go durations at OpenAI, seconds at Azure and others.
fn reset(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    [
        (
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
        ),
        ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ]
    .into_iter()
    .filter_map(|(remaining, reset)| {
        let used_up = text(remaining)?.trim().parse() == Ok(0_u64);
        let reset = text(reset).filter(|_| used_up)?;
        hint::go_duration(reset).or_else(|| hint::seconds(reset))
    })
    .max()
}

fn by_status(status: StatusCode) -> FailureKind {
    match status.as_u16() {
        401 => FailureKind::Auth,
        402 => FailureKind::QuotaExhausted,
        403 => FailureKind::Permission,
        404 => FailureKind::ModelNotFound,
        408 | 504 => FailureKind::Timeout,
        // A wrong address, a proxy, another protocol, a lock conflict, which the SDK repeats, too: no other request
        // would mend it.
        405 | 407 | 409 | 421 | 425 | 426 => FailureKind::ServerError,
        429 => FailureKind::RateLimit,
        // Google's CANCELLED.
        499 => FailureKind::Network,
        503 | 529 => FailureKind::Overloaded,
        400..=499 => FailureKind::BadRequest,
        _ => FailureKind::ServerError,
    }
}
