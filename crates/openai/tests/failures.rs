//! What errors mean: status and body, headers, and what the caller may see.

#[path = "../../chat/tests/dialects/mod.rs"]
mod support;

use std::time::Duration;

use backstop_chat::{Dialect, ProviderError};
use backstop_core::FailureKind::{self, *};
use backstop_core::Ineligible::Capability;
use backstop_openai::OpenAi;
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
    OpenAi::new("sk-1".into()).failure(&answer)
}

fn kinds(rows: &[(u16, &str, FailureKind)]) {
    for (status, body, kind) in rows {
        assert_eq!(
            failure(*status, &[], body).failure().kind(),
            *kind,
            "{status} {body}"
        );
    }
}

#[test]
fn openai() {
    kinds(&[
        (
            429,
            r#"{"error":{"type":"insufficient_quota","code":"credit_balance_exhausted"}}"#,
            QuotaExhausted,
        ),
        (
            429,
            r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"You exceeded your current quota"}}"#,
            QuotaExhausted,
        ),
        (
            429,
            r#"{"error":{"code":"project_spend_limit_exceeded"}}"#,
            QuotaExhausted,
        ),
        (
            429,
            r#"{"error":{"code":"rate_limit_exceeded","type":"tokens"}}"#,
            RateLimit,
        ),
        (503, r#"{"error":{"code":"slow_down"}}"#, RateLimit),
        (
            503,
            r#"{"error":{"code":"server_is_overloaded"}}"#,
            Overloaded,
        ),
        (
            400,
            r#"{"error":{"code":"context_length_exceeded"}}"#,
            ContextWindow,
        ),
        (
            400,
            r#"{"error":{"code":null,"type":"invalid_request_error","message":"This model's maximum context length is 8192 tokens."}}"#,
            ContextWindow,
        ),
        (
            400,
            r#"{"error":{"code":"string_above_max_length","message":"Invalid 'user': string too long. maximum context length is"}}"#,
            BadRequest,
        ),
        (
            400,
            r#"{"error":{"code":"invalid_value","message":"max_tokens is too large: 9. This model supports at most 5 completion tokens"}}"#,
            BadRequest,
        ),
        (
            400,
            r#"{"error":{"code":"content_policy_violation"}}"#,
            ContentFilter,
        ),
        (
            400,
            r#"{"error":{"code":"invalid_prompt","message":"Invalid prompt: we've limited access for safety"}}"#,
            ContentFilter,
        ),
        (
            400,
            r#"{"error":{"message":"Your request was rejected as a result of our safety system."}}"#,
            ContentFilter,
        ),
        (
            400,
            r#"{"error":{"code":"unsupported_value","param":"stream","message":"Your organization must be verified to stream this model."}}"#,
            Permission,
        ),
        (
            400,
            r#"{"error":{"code":"unsupported_value","param":"temperature","message":"Only the default (1) value is supported."}}"#,
            BadRequest,
        ),
        (
            400,
            r#"{"error":{"code":"unsupported_parameter"}}"#,
            BadRequest,
        ),
        (
            401,
            r#"{"error":{"code":"invalid_api_key","type":"invalid_request_error"}}"#,
            Auth,
        ),
        (
            403,
            r#"{"error":{"code":"unsupported_country_region_territory"}}"#,
            Permission,
        ),
        (
            404,
            r#"{"error":{"code":"model_not_found","type":"invalid_request_error"}}"#,
            ModelNotFound,
        ),
        (
            500,
            r#"{"error":{"type":"server_error","code":null,"message":"sorry"}}"#,
            ServerError,
        ),
    ]);
}

#[test]
fn azure() {
    kinds(&[
        (
            400,
            r#"{"error":{"code":"content_filter","param":"prompt","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"jailbreak":{"filtered":true,"detected":true}}}}}"#,
            ContentFilter,
        ),
        (
            400,
            r#"{"error":{"code":null,"inner_error":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            ContentFilter,
        ),
        (
            400,
            r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy."}}"#,
            ContentFilter,
        ),
        (
            404,
            r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#,
            ModelNotFound,
        ),
        (
            429,
            r#"{"error":{"code":"429","message":"Requests have exceeded token rate limit. Please retry after 9 seconds."}}"#,
            RateLimit,
        ),
        (
            429,
            r#"{"error":{"code":"429","message":"Requests have exceeded call rate limit. Please retry after 86400 seconds."}}"#,
            QuotaExhausted,
        ),
        (
            429,
            r#"{"error":{"code":"429","message":"The system is experiencing high demand and cannot process your request."}}"#,
            Overloaded,
        ),
        (
            429,
            r#"{"error":{"message":"The service is temporarily unable to process your request."}}"#,
            Overloaded,
        ),
        (
            403,
            r#"{"error":{"code":"403","message":"Your resource has been temporarily blocked."}}"#,
            Permission,
        ),
    ]);
}

#[test]
fn compatible_servers() {
    kinds(&[
        // Gemini.
        (
            400,
            r#"[{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"API key not valid.","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}]"#,
            Auth,
        ),
        (
            400,
            r#"{"error":{"code":400,"status":"FAILED_PRECONDITION"}}"#,
            Permission,
        ),
        (
            400,
            r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}}"#,
            ContextWindow,
        ),
        (
            403,
            r#"{"error":{"code":403,"status":"PERMISSION_DENIED"}}"#,
            Permission,
        ),
        (
            404,
            r#"{"error":{"code":404,"status":"NOT_FOUND"}}"#,
            ModelNotFound,
        ),
        (
            429,
            r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"You exceeded your current quota, please check your plan"}}"#,
            RateLimit,
        ),
        (
            429,
            r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Resource exhausted, please try again later."}}"#,
            Overloaded,
        ),
        (
            429,
            r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Too many requests. Exceeded the Provisioned Throughput."}}"#,
            RateLimit,
        ),
        (
            429,
            r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Your prepayment credits are depleted."}}"#,
            QuotaExhausted,
        ),
        (
            499,
            r#"{"error":{"code":499,"status":"CANCELLED"}}"#,
            Network,
        ),
        (
            503,
            r#"{"error":{"code":503,"status":"UNAVAILABLE","message":"The model is overloaded."}}"#,
            Overloaded,
        ),
        (
            504,
            r#"{"error":{"code":504,"status":"DEADLINE_EXCEEDED"}}"#,
            Timeout,
        ),
        // OpenRouter.
        (
            403,
            r#"{"error":{"code":403,"message":"flagged","metadata":{"reasons":["violence"]}}}"#,
            ContentFilter,
        ),
        (
            402,
            r#"{"error":{"code":402,"message":"Insufficient credits"}}"#,
            QuotaExhausted,
        ),
        (
            402,
            r#"{"error":{"code":402,"metadata":{"limit_source":"openrouter_in_flight_budget"}}}"#,
            RateLimit,
        ),
        (
            400,
            r#"{"error":{"code":400,"metadata":{"error_type":"context_length_exceeded"}}}"#,
            ContextWindow,
        ),
        (
            400,
            r#"{"error":{"code":400,"metadata":{"error_type":"string_too_long"},"message":"prompt is too long"}}"#,
            BadRequest,
        ),
        (
            502,
            r#"{"error":{"code":502,"metadata":{"error_type":"provider_overloaded"}}}"#,
            Overloaded,
        ),
        (
            502,
            r#"{"error":{"code":429,"metadata":{"error_type":"unmapped"}}}"#,
            RateLimit,
        ),
        // Ollama.
        (
            404,
            r#"{"error":{"message":"model 'x' not found, try pulling it first","type":"not_found_error"}}"#,
            ModelNotFound,
        ),
        (
            503,
            r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#,
            Overloaded,
        ),
        (
            400,
            r#"{"error":{"message":"the input length exceeds the context length","type":"invalid_request_error"}}"#,
            ContextWindow,
        ),
        (
            500,
            r#"{"error":{"message":"model requires more system memory (9 GiB) than is available","type":"api_error"}}"#,
            ServerError,
        ),
        // vLLM, an integer code.
        (
            400,
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","param":null,"code":400}"#,
            ContextWindow,
        ),
        (
            400,
            r#"{"error":{"message":"Assistant response prefill is incompatible with enable_thinking","type":"BadRequestError","code":400}}"#,
            BadRequest,
        ),
        (
            404,
            r#"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","code":404}"#,
            ModelNotFound,
        ),
        // Claude, behind a proxy.
        (
            400,
            r#"{"error":{"message":"This model does not support assistant message prefill.","code":400}}"#,
            Ineligible(Capability),
        ),
        // llama.cpp.
        (
            400,
            r#"{"error":{"code":400,"type":"exceed_context_size_error","message":"too big"}}"#,
            ContextWindow,
        ),
        // Mistral.
        (
            422,
            r#"{"detail":[{"type":"missing","loc":["body","model"],"msg":"Field required"}]}"#,
            BadRequest,
        ),
        (
            429,
            r#"{"object":"error","message":"Service tier capacity exceeded for this model.","type":"invalid_request_error","code":null}"#,
            Overloaded,
        ),
        (
            400,
            r#"{"object":"error","message":"Prompt contains 40000 tokens, too large for model with 32768 maximum context length","type":"invalid_request_error","code":null}"#,
            ContextWindow,
        ),
        // DeepSeek.
        (
            402,
            r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
            QuotaExhausted,
        ),
        (
            503,
            r#"{"error":{"message":"The server is overloaded"}}"#,
            Overloaded,
        ),
    ]);
}

#[test]
fn the_status_alone() {
    for (status, kind) in [
        (301, ServerError),
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
        (415, BadRequest),
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
            "[]",
            "null",
            "{\"error\":",
            r#"{"error":{}}"#,
            r#"{"error":null}"#,
        ] {
            let error = failure(status, &[], body);
            assert_eq!(error.failure().kind(), kind, "{status} {body:?}");
            assert_eq!(
                error.failure().status().map(|status| status.as_u16()),
                Some(status)
            );
        }
    }
}

#[test]
fn what_is_no_full_window() {
    kinds(&[
        (
            429,
            r#"{"error":{"message":"maximum context length is 5"}}"#,
            RateLimit,
        ),
        (
            413,
            r#"{"error":{"message":"prompt is too long"}}"#,
            BadRequest,
        ),
        (401, r#"{"error":{"message":"prompt is too long"}}"#, Auth),
        (
            400,
            r#"{"error":{"message":"Invalid 'user': string too long"}}"#,
            BadRequest,
        ),
        (
            400,
            r#"{"error":{"message":"max_tokens is too large"}}"#,
            BadRequest,
        ),
        // Only the message counts, not what it quotes elsewhere.
        (
            400,
            r#"{"error":{"message":"bad"},"request":"prompt is too long"}"#,
            BadRequest,
        ),
    ]);
}

#[test]
fn hints() {
    let body = r#"{"error":{"code":"rate_limit_exceeded"}}"#;
    let ms = |n| Some(Duration::from_millis(n));
    for (headers, expected) in [
        (
            &[("retry-after-ms", "1500"), ("retry-after", "2")][..],
            ms(1500),
        ),
        (&[("retry-after", "600")], ms(600_000)),
        (&[("retry-after", "-1")], None),
        (&[], None),
        // The last of those that are used up; a reset of what is left says nothing.
        (
            &[
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "6m0s"),
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "12ms"),
            ],
            ms(360_000),
        ),
        (
            &[
                ("x-ratelimit-remaining-tokens", "5"),
                ("x-ratelimit-reset-tokens", "1s"),
            ],
            None,
        ),
        (&[("x-ratelimit-reset-tokens", "1s")], None),
        (
            &[
                ("retry-after", "1"),
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "1h0m0s"),
            ],
            ms(1000),
        ),
        // Azure.
        (
            &[
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "30"),
            ],
            ms(30_000),
        ),
        (
            &[
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "-1"),
            ],
            None,
        ),
        (
            &[
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "0"),
            ],
            None,
        ),
    ] {
        let error = failure(429, headers, body);
        assert_eq!(error.failure().kind(), RateLimit);
        assert_eq!(error.failure().retry_after(), expected, "{headers:?}");
    }
}

#[test]
fn hints_in_bodies() {
    let delay = |quota: &str| {
        format!(
            r#"{{"error":{{"code":429,"status":"RESOURCE_EXHAUSTED","message":"You exceeded your current quota. Please retry in 9s.",
               "details":[{{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{{"quotaId":"{quota}"}}]}},
               {{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"36s"}}]}}}}"#
        )
    };
    for (body, kind, seconds) in [
        (
            delay("GenerateRequestsPerMinutePerProjectPerModel"),
            RateLimit,
            36.0,
        ),
        (
            delay("GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
            QuotaExhausted,
            36.0,
        ),
        (
            r#"{"error":{"message":"Please retry in 36.4s."}}"#.to_owned(),
            RateLimit,
            36.4,
        ),
        (
            r#"{"error":{"message":"Please retry after 9 seconds."}}"#.to_owned(),
            RateLimit,
            9.0,
        ),
    ] {
        let error = failure(429, &[], &body);
        assert_eq!(error.failure().kind(), kind, "{body}");
        let wait = error.failure().retry_after().map(|wait| wait.as_secs_f64());
        assert_eq!(wait, Some(seconds), "{body}");
    }
}

#[test]
fn a_request_larger_than_the_limit_is_not_worth_repeating_here() {
    let body = r#"{"error":{"code":"rate_limit_exceeded","type":"tokens","message":"Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 90000."}}"#;
    let error = failure(429, &[], body);
    assert_eq!(error.failure().kind(), RateLimit);
    assert_eq!(error.failure().may_retry_here(), Some(false));
}

#[test]
fn the_servers_own_word_on_repeating() {
    for (value, expected) in [
        ("true", Some(true)),
        ("false", Some(false)),
        ("maybe", None),
    ] {
        let error = failure(500, &[("x-should-retry", value)], "");
        assert_eq!(error.failure().may_retry_here(), expected);
    }
}

#[test]
fn words_and_ids_are_kept() {
    let error = failure(
        400,
        &[("x-request-id", "req-1")],
        r#"{"error":{"code":"unsupported_value","param":"temperature","message":"sk-abcdefgh is no temperature"}}"#,
    );
    assert_eq!(error.code(), Some("unsupported_value"));
    assert_eq!(error.param(), Some("temperature"));
    assert_eq!(error.message(), Some("[hidden] is no temperature"));
    assert_eq!(error.failure().request_id().map(|id| &**id), Some("req-1"));
    assert_eq!(
        failure(400, &[], r#"{"error":{"code":1234}}"#).code(),
        Some("1234")
    );
    assert_eq!(
        failure(429, &[("apim-request-id", "a")], "")
            .failure()
            .request_id()
            .map(|id| &**id),
        Some("a")
    );
}

#[test]
fn a_refused_prefill_is_known_by_the_servers_own_words() {
    for (status, body, refused) in [
        // Mistral, FastAPI in front of it.
        (
            422,
            r#"{"detail":[{"type":"extra_forbidden","loc":["body","messages",1,"assistant","prefix"],"msg":"Extra inputs are not permitted"}]}"#,
            true,
        ),
        (
            422,
            r#"{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are not permitted"}]}"#,
            false,
        ),
        // vLLM, of a template that leaves something out of the message.
        (
            400,
            r#"{"object":"error","message":"continue_final_message is set but the final message does not appear in the chat after applying the chat template!","type":"BadRequestError","param":null,"code":400}"#,
            true,
        ),
        // OpenAI.
        (
            400,
            r#"{"error":{"message":"Unrecognized request arguments supplied: add_generation_prompt, continue_final_message","type":"invalid_request_error","param":null,"code":null}}"#,
            true,
        ),
        (
            400,
            r#"{"error":{"message":"This model does not support assistant message prefill. The conversation must end with a user message.","code":400}}"#,
            true,
        ),
        (429, r#"{"error":{"message":"no prefill for now"}}"#, false),
    ] {
        assert_eq!(
            failure(status, &[], body).refuses_prefill(),
            refused,
            "{body}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_body_makes_it_panic(status in 300_u16..600, body in ".{0,200}") {
        let _ = failure(status, &[("retry-after", &body.replace(|c: char| !c.is_ascii_graphic(), ""))], &body);
    }
}
