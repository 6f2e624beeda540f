//! What OpenAI's and Azure's errors mean.
//!
//! Sources: OpenAI's error guide and API reference, the `openai` SDK, Azure OpenAI's error and content-filter
//! pages, and the public threads named in the comments. A word is an error's `code`, `type` or inner code; the
//! first row that fits decides. `server_error` and `invalid_request_error` are not here: they say no more than the
//! status.

use backstop_core::FailureKind::{
    self, Auth, BadRequest, ContentFilter, ContextWindow, ModelNotFound, Overloaded, Permission,
    QuotaExhausted, RateLimit,
};

/// A structured word of an error, and what it means.
pub(crate) struct Row {
    pub(crate) word: &'static str,
    /// What the message must say, too: lower case, `*` stands for any text. Empty: anything.
    pub(crate) says: &'static str,
    pub(crate) kind: FailureKind,
}

pub(crate) const fn row(word: &'static str, kind: FailureKind) -> Row {
    Row {
        word,
        says: "",
        kind,
    }
}

pub(crate) const WORDS: &[Row] = &[
    row("context_length_exceeded", ContextWindow),
    // Money and monthly limits; `insufficient_quota` is also the older code.
    row("insufficient_quota", QuotaExhausted),
    row("credit_balance_exhausted", QuotaExhausted),
    row("organization_spend_limit_exceeded", QuotaExhausted),
    row("project_spend_limit_exceeded", QuotaExhausted),
    row("organization_usage_limit_exceeded", QuotaExhausted),
    row("billing_hard_limit_reached", QuotaExhausted),
    row("billing_not_active", QuotaExhausted),
    row("rate_limit_exceeded", RateLimit),
    row("slow_down", RateLimit),
    row("tokens", RateLimit),
    row("requests", RateLimit),
    row("server_is_overloaded", Overloaded),
    row("service_unavailable_error", Overloaded),
    row("invalid_api_key", Auth),
    row("account_deactivated", Auth),
    row("unsupported_country_region_territory", Permission),
    row("model_not_found", ModelNotFound),
    row("DeploymentNotFound", ModelNotFound),
    row("content_policy_violation", ContentFilter),
    row("cyber_policy", ContentFilter),
    row("content_filter", ContentFilter),
    row("ResponsibleAIPolicyViolation", ContentFilter),
    row("invalid_prompt", ContentFilter),
    // A model that may only be streamed by verified organisations: RooCodeInc/Roo-Code#6868.
    Row {
        word: "unsupported_value",
        says: "must be verified",
        kind: Permission,
    },
    row("unsupported_value", BadRequest),
    row("unsupported_parameter", BadRequest),
    row("string_above_max_length", BadRequest),
    row("invalid_encrypted_content", BadRequest),
];

/// A text that turns what the status alone says into something else.
pub(crate) struct Text {
    /// What the status alone said.
    pub(crate) was: FailureKind,
    /// Lower case, `*` stands for any text.
    pub(crate) says: &'static str,
    pub(crate) kind: FailureKind,
}

pub(crate) const fn text(was: FailureKind, says: &'static str, kind: FailureKind) -> Text {
    Text { was, says, kind }
}

pub(crate) const TEXTS: &[Text] = &[
    text(BadRequest, "violating our usage policy", ContentFilter),
    text(
        BadRequest,
        "rejected as a result of * safety system",
        ContentFilter,
    ),
    text(BadRequest, "content management policy", ContentFilter),
    text(BadRequest, "incorrect api key", Auth),
    text(RateLimit, "exceeded your current quota", QuotaExhausted),
    // Azure: shared capacity, not the caller's own limit.
    text(RateLimit, "experiencing high demand", Overloaded),
    text(RateLimit, "temporarily unable to process", Overloaded),
];

/// One request that is larger than the whole limit: waiting cannot help, another deployment may.
pub(crate) const LARGER_THAN_LIMIT: &[&str] = &["request too large for * on tokens per min"];
