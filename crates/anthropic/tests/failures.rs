//! What errors mean: status and body, headers, and what the caller may see.

#[path = "../../chat/tests/dialects/mod.rs"]
mod support;

use std::time::Duration;

use backstop_anthropic::Anthropic;
use backstop_chat::{Dialect, ProviderError};
use backstop_core::FailureKind::{self, *};
use backstop_core::Ineligible::Capability;
use bytes::Bytes;
use http::Response;

fn failure(status: u16, headers: &[(&str, &str)], body: &str) -> ProviderError {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    let answer = answer
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .expect("a response");
    Anthropic::new("key-of-mine".into()).failure(&answer)
}

fn error(kind: &str, message: &str, code: &str) -> String {
    let details = serde_json::json!({"error_code": code});
    serde_json::json!({"type": "error", "error": {"type": kind, "message": message, "details": details}, "request_id": "req_1"})
        .to_string()
}

#[test]
fn every_row_of_the_table() {
    for (status, kind, message, code, expected) in [
        (401, "authentication_error", "invalid x-api-key", "", Auth),
        (402, "billing_error", "", "", QuotaExhausted),
        (
            402,
            "billing_error",
            "",
            "linked_organization_spend_limit_reached",
            QuotaExhausted,
        ),
        (
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API.",
            "",
            QuotaExhausted,
        ),
        (
            400,
            "invalid_request_error",
            "You have reached your specified API usage limits. You will regain access on 2026-12-01",
            "",
            QuotaExhausted,
        ),
        (
            400,
            "invalid_request_error",
            "You have reached your specified workspace API usage limits.",
            "",
            QuotaExhausted,
        ),
        (403, "permission_error", "", "", Permission),
        (
            403,
            "permission_error",
            "",
            "user_profile_incomplete",
            Permission,
        ),
        (
            404,
            "not_found_error",
            "model: claude-nope",
            "",
            ModelNotFound,
        ),
        (
            413,
            "request_too_large",
            "prompt is too long",
            "",
            BadRequest,
        ),
        (
            413,
            "invalid_request_error",
            "prompt is too long",
            "request_body_too_large_after_decoding",
            BadRequest,
        ),
        (
            429,
            "rate_limit_error",
            "prompt is too long, slow down",
            "",
            RateLimit,
        ),
        (
            429,
            "rate_limit_error",
            "",
            "ramp_limit_exceeded",
            RateLimit,
        ),
        (
            429,
            "rate_limit_error",
            "",
            "enforced_spend_limit_reached",
            QuotaExhausted,
        ),
        (
            429,
            "rate_limit_error",
            "",
            "contract_spend_limit_reached",
            QuotaExhausted,
        ),
        (500, "api_error", "", "", ServerError),
        (503, "api_error", "", "cmek_key_unreachable", ServerError),
        (503, "api_error", "", "", Overloaded),
        (504, "timeout_error", "", "", Timeout),
        (529, "overloaded_error", "Overloaded", "", Overloaded),
        // The body wins over the status.
        (500, "overloaded_error", "Overloaded", "", Overloaded),
        (
            400,
            "invalid_request_error",
            "",
            "organization_on_hold",
            Permission,
        ),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 210000 tokens > 200000 maximum",
            "",
            ContextWindow,
        ),
        (
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length",
            "",
            ContextWindow,
        ),
        (
            400,
            "invalid_request_error",
            "Output blocked by content filtering policy",
            "",
            ContentFilter,
        ),
        (
            400,
            "invalid_request_error",
            "This model does not support assistant message prefill.",
            "",
            Ineligible(Capability),
        ),
        (
            400,
            "invalid_request_error",
            "max_tokens: 200000 > 64000, which is the maximum allowed",
            "",
            BadRequest,
        ),
        (400, "something_new", "", "", BadRequest),
        (500, "something_new", "", "", ServerError),
    ] {
        let error = failure(status, &[], &error(kind, message, code));
        assert_eq!(
            error.failure().kind(),
            expected,
            "{status} {kind} {message} {code}"
        );
        assert_eq!(
            error.failure().status().map(|status| status.as_u16()),
            Some(status)
        );
    }
}

#[test]
fn the_status_alone() {
    for (status, kind) in [
        (302, ServerError),
        (400, BadRequest),
        (401, Auth),
        (402, QuotaExhausted),
        (403, Permission),
        (404, ModelNotFound),
        (408, Timeout),
        (405, ServerError),
        (407, ServerError),
        (409, ServerError),
        (413, BadRequest),
        (422, BadRequest),
        (429, RateLimit),
        (500, ServerError),
        (502, ServerError),
        (503, Overloaded),
        (504, Timeout),
        (529, Overloaded),
    ] {
        for body in [
            "",
            "<html>",
            "{}",
            "null",
            "{\"error\":",
            r#"{"error":null}"#,
            r#"{"error":"x"}"#,
        ] {
            assert_eq!(
                failure(status, &[], body).failure().kind(),
                kind,
                "{status} {body:?}"
            );
        }
    }
}

#[test]
fn hints() {
    let body = error("rate_limit_error", "slow down", "");
    let hint = |headers: &[(&str, &str)]| failure(429, headers, &body).failure().retry_after();
    assert_eq!(hint(&[("retry-after", "2")]), Some(Duration::from_secs(2)));
    assert_eq!(hint(&[("retry-after", "0")]), None);
    assert_eq!(hint(&[]), None);

    let (soon, later) = ("2999-01-01T00:00:00Z", "2999-01-01T01:00:00Z");
    let used_up = hint(&[
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-requests-reset", soon),
        ("anthropic-ratelimit-input-tokens-remaining", "0"),
        ("anthropic-ratelimit-input-tokens-reset", later),
        ("anthropic-ratelimit-output-tokens-remaining", "7"),
        (
            "anthropic-ratelimit-output-tokens-reset",
            "2999-01-02T00:00:00Z",
        ),
    ])
    .expect("a hint");
    let only_soon = hint(&[
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-requests-reset", soon),
    ])
    .expect("a hint");
    let apart = used_up.saturating_sub(only_soon).as_secs();
    assert!((3590..=3600).contains(&apart), "{apart}");
    for reset in ["1999-01-01T00:00:00Z", "soon", ""] {
        let headers = [
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", reset),
        ];
        assert_eq!(hint(&headers), None, "{reset}");
    }
    let given = [
        ("retry-after", "2"),
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-requests-reset", soon),
    ];
    assert_eq!(hint(&given), Some(Duration::from_secs(2)));
}

#[test]
fn words_and_ids_are_kept() {
    let said = error(
        "rate_limit_error",
        "key sk-ant-abcdef is over its limit",
        "ramp_limit_exceeded",
    );
    let error = failure(
        429,
        &[("request-id", "req-1"), ("x-should-retry", "false")],
        &said,
    );
    assert_eq!(error.code(), Some("ramp_limit_exceeded"));
    assert_eq!(error.message(), Some("key [hidden] is over its limit"));
    assert_eq!(error.failure().request_id().map(|id| &**id), Some("req-1"));
    assert_eq!(error.failure().may_retry_here(), Some(false));
}

proptest::proptest! {
    #[test]
    fn no_body_makes_it_panic(status in 300_u16..600, body in ".{0,200}") {
        let kind = failure(status, &[], &body).failure().kind();
        proptest::prop_assert!(!matches!(kind, FailureKind::Ineligible(_)));
    }
}
