//! What Anthropic's errors mean.
//!
//! Sources: Anthropic's error page, the `anthropic` SDK (error codes in `details`), and observed messages where the
//! API has no word of its own.

use backstop_core::FailureKind::{
    self, Auth, BadRequest, ContentFilter, Ineligible, ModelNotFound, Overloaded, Permission,
    QuotaExhausted, RateLimit, ServerError, Timeout,
};
use backstop_core::Ineligible::Capability;

/// `details.error_code`, which is more exact than the type.
pub(crate) const CODES: &[(&str, FailureKind)] = &[
    ("linked_organization_spend_limit_reached", QuotaExhausted),
    ("linked_organization_billing_unavailable", QuotaExhausted),
    ("contract_spend_limit_reached", QuotaExhausted),
    ("enforced_spend_limit_reached", QuotaExhausted),
    ("ramp_limit_exceeded", RateLimit),
    ("request_body_too_large_after_decoding", BadRequest),
    ("cmek_key_unreachable", ServerError),
    ("cmek_context_unavailable", ServerError),
    ("cmek_key_disabled", Permission),
    ("organization_on_hold", Permission),
];

/// The beginnings of further codes.
pub(crate) const CODE_PREFIXES: &[(&str, FailureKind)] = &[("user_profile_", Permission)];

/// `error.type`. Two are not here: with `api_error` the status decides, with `invalid_request_error` the message.
pub(crate) const TYPES: &[(&str, FailureKind)] = &[
    ("authentication_error", Auth),
    ("billing_error", QuotaExhausted),
    ("permission_error", Permission),
    ("not_found_error", ModelNotFound),
    // 32 MB of body: bytes, not tokens.
    ("request_too_large", BadRequest),
    ("rate_limit_error", RateLimit),
    ("timeout_error", Timeout),
    ("overloaded_error", Overloaded),
];

/// What the message of an otherwise bad request says: lower case, `*` stands for any text.
pub(crate) const TEXTS: &[(&str, FailureKind)] = &[
    ("credit balance is too low", QuotaExhausted),
    ("reached your specified * usage limits", QuotaExhausted),
    ("spend limit", QuotaExhausted),
    ("output blocked by content filtering policy", ContentFilter),
    // What this model does not take, another may.
    (
        "does not support assistant message prefill",
        Ineligible(Capability),
    ),
];
