//! From an error of Anthropic's to a [`ProviderError`]: its code, its type, the status, and at last its text.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backstop_chat::{ProviderError, patterns};
use backstop_core::{Failure, FailureKind, hint, wall};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use serde_json::Value;

use crate::PROVIDER;
use crate::failures::{CODE_PREFIXES, CODES, TEXTS, TYPES};

/// What an answer with a status other than 2xx means.
pub(crate) fn answer(answer: &Response<Bytes>) -> ProviderError {
    let body = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
    let status = answer.status();
    let headers = answer.headers();
    let kind = kind(&body, Some(status));
    let mut failure = Failure::new(kind).with_status(status);
    let wait = hint::retry_after(headers, wall::now())
        .or_else(|| reset(headers, wall::now()).filter(|_| kind == FailureKind::RateLimit));
    if let Some(after) = wait {
        failure = failure.with_retry_after(after);
    }
    if let Some(may) = text(headers, "x-should-retry").and_then(|may| may.parse().ok()) {
        failure = failure.with_may_retry_here(may);
    }
    if let Some(id) = request_id(headers) {
        failure = failure.with_request_id(id);
    }
    with_words(&body, ProviderError::new(PROVIDER, failure))
}

/// What an error in the body of a 200 means: an `error` event, or a whole answer that is one.
pub(crate) fn in_body(body: &[u8]) -> ProviderError {
    let body = serde_json::from_slice(body).unwrap_or(Value::Null);
    let failure = Failure::new(kind(&body, None));
    with_words(&body, ProviderError::new(PROVIDER, failure))
}

pub(crate) fn request_id(headers: &HeaderMap) -> Option<Arc<str>> {
    text(headers, "request-id")
        .or_else(|| text(headers, "x-request-id"))
        .map(Into::into)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn word<'a>(body: &'a Value, path: &str) -> Option<&'a str> {
    body.pointer(path)?.as_str()
}

fn kind(body: &Value, status: Option<StatusCode>) -> FailureKind {
    let of = |rows: &[(&str, FailureKind)], word: &str| {
        let row = rows.iter().find(|(name, _)| *name == word)?;
        Some(row.1)
    };
    let code = [
        "/error/details/error_code",
        "/error/error_code",
        "/details/error_code",
    ]
    .iter()
    .find_map(|path| word(body, path));
    if let Some(kind) = code.and_then(|code| {
        of(CODES, code).or_else(|| {
            let row = CODE_PREFIXES
                .iter()
                .find(|(prefix, _)| code.starts_with(prefix))?;
            Some(row.1)
        })
    }) {
        return kind;
    }
    if let Some(kind) = word(body, "/error/type").and_then(|word| of(TYPES, word)) {
        return kind;
    }
    let kind = status.map_or(FailureKind::ServerError, by_status);
    // The one type without a meaning of its own, wherever it stands.
    let open = kind == FailureKind::BadRequest
        || word(body, "/error/type") == Some("invalid_request_error");
    let message = word(body, "/error/message").unwrap_or_default();
    if !open {
        return kind;
    }
    if let Some((_, kind)) = TEXTS
        .iter()
        .find(|(says, _)| patterns::says(message, &[says]))
    {
        return *kind;
    }
    if status != Some(StatusCode::PAYLOAD_TOO_LARGE) && patterns::is_too_long(message) {
        return FailureKind::ContextWindow;
    }
    if status.is_none() {
        FailureKind::BadRequest
    } else {
        kind
    }
}

fn with_words(body: &Value, mut error: ProviderError) -> ProviderError {
    let code = word(body, "/error/details/error_code").or_else(|| word(body, "/error/type"));
    if let Some(code) = code {
        error = error.with_code(code);
    }
    if let Some(message) = word(body, "/error/message") {
        error = error.with_message(message);
    }
    error
}

/// When the last of the limits that are used up fills again.
fn reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    ["requests", "tokens", "input-tokens", "output-tokens"]
        .iter()
        .filter_map(|limit| {
            let header = |what| text(headers, &format!("anthropic-ratelimit-{limit}-{what}"));
            let used_up = header("remaining")?.trim().parse() == Ok(0_u64);
            let reset: jiff::Timestamp =
                header("reset").filter(|_| used_up)?.trim().parse().ok()?;
            let wait = SystemTime::from(reset).duration_since(now).ok()?;
            (!wait.is_zero()).then_some(wait)
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
        // A wrong address, a proxy, another protocol, a conflict: no other request would mend it.
        405 | 407 | 409 | 421 | 425 | 426 => FailureKind::ServerError,
        429 => FailureKind::RateLimit,
        503 | 529 => FailureKind::Overloaded,
        400..=499 => FailureKind::BadRequest,
        _ => FailureKind::ServerError,
    }
}
