//! What the errors of compatible servers mean, where they differ from OpenAI's.
//!
//! Sources: OpenRouter's error reference (`metadata.error_type`), Google's error model (`google.rpc`, which Gemini's
//! compatible endpoint passes on), Ollama's, vLLM's and llama.cpp's server sources, Mistral's and DeepSeek's error
//! pages. The first row that fits decides; these come behind OpenAI's own.

use backstop_core::FailureKind::{
    self, Auth, BadRequest, ContentFilter, ContextWindow, Ineligible, ModelNotFound, Network,
    Overloaded, Permission, QuotaExhausted, RateLimit, ServerError, Timeout,
};
use backstop_core::Ineligible::Capability;

use crate::failures::{Row, Text, row, text};

pub(crate) const WORDS: &[Row] = &[
    // llama.cpp.
    row("exceed_context_size_error", ContextWindow),
    // Proxies that keep Anthropic's words.
    row("overloaded_error", Overloaded),
    row("rate_limit_error", RateLimit),
    row("authentication_error", Auth),
    row("permission_error", Permission),
    row("not_found_error", ModelNotFound),
    row("timeout_error", Timeout),
    // vLLM.
    row("NotFoundError", ModelNotFound),
    // Google, `error.details[].reason` and `error.status`.
    row("API_KEY_INVALID", Auth),
    row("API_KEY_SERVICE_BLOCKED", Permission),
    row("SERVICE_DISABLED", Permission),
    row("UNAUTHENTICATED", Auth),
    row("PERMISSION_DENIED", Permission),
    row("FAILED_PRECONDITION", Permission),
    row("NOT_FOUND", ModelNotFound),
    Row {
        word: "RESOURCE_EXHAUSTED",
        says: "credits are depleted",
        kind: QuotaExhausted,
    },
    // Vertex: the pool that all callers without provisioned throughput share.
    Row {
        word: "RESOURCE_EXHAUSTED",
        says: "resource exhausted, please try again later",
        kind: Overloaded,
    },
    row("RESOURCE_EXHAUSTED", RateLimit),
    row("CANCELLED", Network),
    row("INTERNAL", ServerError),
    row("UNAVAILABLE", Overloaded),
    row("DEADLINE_EXCEEDED", Timeout),
];

/// OpenRouter's `error.metadata.error_type`, which decides before anything else.
pub(crate) const OPENROUTER: &[(&str, FailureKind)] = &[
    ("context_length_exceeded", ContextWindow),
    ("token_limit_exceeded", ContextWindow),
    // The bound on the answer, not the prompt.
    ("max_tokens_exceeded", BadRequest),
    ("authentication", Auth),
    ("permission_denied", Permission),
    ("payment_required", QuotaExhausted),
    ("rate_limit_exceeded", RateLimit),
    ("provider_overloaded", Overloaded),
    ("provider_unavailable", ServerError),
    ("content_policy_violation", ContentFilter),
    ("refusal", ContentFilter),
    ("invalid_prompt", BadRequest),
    ("invalid_request", BadRequest),
    ("string_too_long", BadRequest),
    ("not_found", ModelNotFound),
    ("server", ServerError),
    ("timeout", Timeout),
];

pub(crate) const TEXTS: &[Text] = &[
    text(BadRequest, "api key not valid", Auth),
    // Mistral.
    text(RateLimit, "service tier capacity exceeded", Overloaded),
    text(RateLimit, "credits are depleted", QuotaExhausted),
    text(RateLimit, "insufficient balance", QuotaExhausted),
    text(BadRequest, "insufficient balance", QuotaExhausted),
    // Claude, behind OpenRouter and other proxies: what this model does not take, another may.
    text(
        BadRequest,
        "does not support assistant message prefill",
        Ineligible(Capability),
    ),
];
