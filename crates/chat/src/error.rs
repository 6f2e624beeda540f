use std::error::Error;
use std::fmt;

use backstop_core::{Failure, FailureKind, Ineligible, Reach};
use http::StatusCode;

use crate::{clean, patterns};

/// How providers say that they do not go on from an assistant's message, or do not know how they were asked to.
/// Lower case; `*` stands for any text.
const NO_PREFILL: &[&str] = &[
    // Claude, on all hosts.
    "assistant message prefill",
    "must end with a user message",
    // Gemini.
    "ending with a model turn",
    // llama.cpp.
    "response prefill",
    // vLLM, SGLang.
    "continue_final_message",
    "add_generation_prompt",
    "continuing the final message",
    // DeepSeek, Mistral.
    "prefix",
];

/// A failed call to a provider: our [`Failure`], and what the provider itself said.
///
/// Its text names the provider and what we made of the failure. The provider's own words are cleaned of keys and
/// hosts as they enter, and shown only by [`message`](Self::message).
#[derive(Clone, Debug)]
pub struct ProviderError(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    provider: &'static str,
    failure: Failure,
    code: Option<Box<str>>,
    param: Option<Box<str>>,
    message: Option<Box<str>>,
}

impl ProviderError {
    /// A failed call to `provider`.
    #[must_use]
    pub fn new(provider: &'static str, failure: Failure) -> Self {
        Self(Box::new(Inner {
            provider,
            failure,
            code: None,
            param: None,
            message: None,
        }))
    }

    /// The call cannot be expressed for this provider, or this model: another deployment may do better.
    #[must_use]
    pub fn incapable(
        provider: &'static str,
        why: impl Into<std::borrow::Cow<'static, str>>,
    ) -> Self {
        Self::new(
            provider,
            Failure::ineligible(Ineligible::Capability).with_detail(why),
        )
    }

    /// The answer is not in the provider's own format.
    #[must_use]
    pub fn malformed(
        provider: &'static str,
        what: impl Into<std::borrow::Cow<'static, str>>,
    ) -> Self {
        Self::new(
            provider,
            Failure::new(FailureKind::ServerError).with_detail(what),
        )
    }

    /// The answer ended before the provider's own proof that it is complete.
    #[must_use]
    pub fn truncated(provider: &'static str) -> Self {
        Self::new(
            provider,
            Failure::new(FailureKind::Network)
                .with_detail("the answer ended before it was complete"),
        )
    }

    /// The call failed on the way.
    #[must_use]
    pub fn network(provider: &'static str, reach: Reach) -> Self {
        Self::new(
            provider,
            Failure::new(FailureKind::Network).with_reach(reach),
        )
    }

    /// Sets the status that the provider answered with, where the failure does not have it.
    #[must_use]
    pub fn answered(mut self, status: StatusCode) -> Self {
        let failure = &mut self.0.failure;
        if failure.status().is_none() {
            *failure = failure.clone().with_status(status);
        }
        self
    }

    /// Sets the provider's error code.
    #[must_use]
    pub fn with_code(mut self, code: impl AsRef<str>) -> Self {
        self.0.code = Some(clean(code.as_ref()).into());
        self
    }

    /// Sets the parameter that the provider complains about.
    #[must_use]
    pub fn with_param(mut self, param: impl AsRef<str>) -> Self {
        self.0.param = Some(clean(param.as_ref()).into());
        self
    }

    /// Sets the provider's own words, which are [`clean`]ed.
    #[must_use]
    pub fn with_message(mut self, message: impl AsRef<str>) -> Self {
        self.0.message = Some(clean(message.as_ref()).into());
        self
    }

    /// Hides `secret` wherever the provider repeated it; a dialect knows its own key better than [`clean`] can.
    /// What is shorter than eight bytes is no secret, and may stand in any word.
    #[must_use]
    pub fn hiding(mut self, secret: &str) -> Self {
        let Inner {
            code,
            param,
            message,
            ..
        } = &mut *self.0;
        for text in [code, param, message].into_iter().flatten() {
            if secret.len() >= 8 && text.contains(secret) {
                *text = text.replace(secret, "[hidden]").into();
            }
        }
        self
    }

    /// The same answer, taken for another failure.
    #[must_use]
    pub fn with_failure(mut self, failure: Failure) -> Self {
        self.0.failure = failure;
        self
    }

    /// Whether the provider says, to a request that ends with a message of the assistant, that it does not go on from
    /// there.
    #[must_use]
    pub fn refuses_prefill(&self) -> bool {
        let refused = matches!(
            self.failure().status(),
            Some(StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY)
        );
        refused
            && [self.message(), self.param()]
                .into_iter()
                .flatten()
                .any(|words| patterns::says(words, NO_PREFILL))
    }

    /// The provider's name.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.0.provider
    }

    /// What we made of it.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.0.failure
    }

    /// The provider's error code.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The parameter that the provider complains about.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    /// The provider's own words, cleaned.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.provider, self.0.failure)
    }
}

impl Error for ProviderError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0.failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefill_is_refused_by_name() {
        let said = |status: StatusCode, message: &str| {
            let failure = Failure::new(FailureKind::BadRequest).with_status(status);
            ProviderError::new("p", failure).with_message(message)
        };
        let bad = StatusCode::BAD_REQUEST;
        for message in [
            "This model does not support assistant message prefill. The conversation must end with a user message.",
            "The model returned the following errors: The conversation must end with a user message.",
            "Requests ending with a model turn are not supported.",
            "Assistant response prefill is incompatible with enable_thinking.",
            "Unrecognized request argument supplied: continue_final_message",
            "Cannot set `add_generation_prompt` to True when the last message is from the assistant.",
        ] {
            assert!(said(bad, message).refuses_prefill(), "{message}");
            let error = said(StatusCode::TOO_MANY_REQUESTS, message);
            assert!(!error.refuses_prefill());
        }
        assert!(!said(bad, "max_tokens: must be at least 1").refuses_prefill());
        let unknown = said(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Extra inputs are not permitted",
        );
        assert!(!unknown.refuses_prefill());
        let named = unknown.with_param("body.messages.1.assistant.prefix");
        assert!(named.refuses_prefill());
    }

    #[test]
    fn a_secret_that_looks_like_a_word_is_hidden_too() {
        let error = ProviderError::malformed("p", "x")
            .with_code("swordfish")
            .with_param("swordfish")
            .with_message("no such key: swordfish")
            .hiding("swordfish");
        assert!(!format!("{error} {error:?}").contains("swordfish"));
        assert_eq!(error.message(), Some("no such key: [hidden]"));
        let error = error.hiding("key");
        assert_eq!(error.message(), Some("no such key: [hidden]"));
    }
}
