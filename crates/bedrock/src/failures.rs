//! What Bedrock's errors mean: the exception's name first, then its text, then the status.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::operation::converse::ConverseError;
use aws_sdk_bedrockruntime::operation::converse_stream::ConverseStreamError;
use aws_sdk_bedrockruntime::types::error::ConverseStreamOutputError;
use aws_smithy_runtime_api::client::result::DispatchFailure;
use aws_smithy_runtime_api::http::{Headers, Response};
use aws_smithy_types::event_stream::RawMessage;
use backstop_chat::ProviderError;
use backstop_core::{Failure, FailureKind, Ineligible, Reach, failure_of, hint, root_of, wall};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::PROVIDER;

/// An exception's name, a part of its text in lower case, and what they mean.
type Row = (&'static str, &'static str, FailureKind);

const CAPABILITY: FailureKind = FailureKind::Ineligible(Ineligible::Capability);

/// The first row that fits decides; an empty text fits any.
///
/// Sources: the API model of bedrock-runtime (botocore 1.44), AWS's pages on error codes, LiteLLM 1.109 (texts about
/// the context window), public reports.
const ROWS: &[Row] = &[
    (
        "ThrottlingException",
        "per day",
        FailureKind::QuotaExhausted,
    ),
    ("ThrottlingException", "", FailureKind::RateLimit),
    ("TooManyRequestsException", "", FailureKind::RateLimit),
    (
        "ServiceQuotaExceededException",
        "",
        FailureKind::QuotaExhausted,
    ),
    // A custom or imported model that is being loaded.
    ("ModelNotReadyException", "", FailureKind::Overloaded),
    ("ServiceUnavailableException", "", FailureKind::Overloaded),
    ("InternalServerException", "", FailureKind::ServerError),
    ("InternalFailure", "", FailureKind::ServerError),
    ("ModelTimeoutException", "", FailureKind::Timeout),
    ("AccessDeniedException", "security token", FailureKind::Auth),
    ("AccessDeniedException", "signature", FailureKind::Auth),
    ("AccessDeniedException", "api key", FailureKind::Auth),
    ("AccessDeniedException", "bearer token", FailureKind::Auth),
    ("AccessDeniedException", "", FailureKind::Permission),
    ("UnrecognizedClientException", "", FailureKind::Auth),
    ("ExpiredTokenException", "", FailureKind::Auth),
    ("ExpiredToken", "", FailureKind::Auth),
    ("InvalidSignatureException", "", FailureKind::Auth),
    ("SignatureDoesNotMatch", "", FailureKind::Auth),
    ("IncompleteSignatureException", "", FailureKind::Auth),
    ("IncompleteSignature", "", FailureKind::Auth),
    ("InvalidClientTokenId", "", FailureKind::Auth),
    ("MissingAuthenticationTokenException", "", FailureKind::Auth),
    ("MissingAuthenticationToken", "", FailureKind::Auth),
    (
        "ResourceNotFoundException",
        "access denied",
        FailureKind::Permission,
    ),
    (
        "ResourceNotFoundException",
        "use case",
        FailureKind::Permission,
    ),
    ("ResourceNotFoundException", "", FailureKind::ModelNotFound),
    (
        VALIDATION,
        "model identifier is invalid",
        FailureKind::ModelNotFound,
    ),
    (
        VALIDATION,
        "on-demand throughput isn",
        FailureKind::ModelNotFound,
    ),
    (VALIDATION, "operation not allowed", FailureKind::Permission),
    (
        VALIDATION,
        "content filtering policy",
        FailureKind::ContentFilter,
    ),
    // Rates and quotas are no matter of one prompt's length.
    (VALIDATION, "tokens per day", FailureKind::QuotaExhausted),
    (VALIDATION, "tokens per min", FailureKind::RateLimit),
    (VALIDATION, "input is too long", FailureKind::ContextWindow),
    (VALIDATION, "prompt is too long", FailureKind::ContextWindow),
    (
        VALIDATION,
        "exceed context limit",
        FailureKind::ContextWindow,
    ),
    (
        VALIDATION,
        "expected maxlength:",
        FailureKind::ContextWindow,
    ),
    (
        VALIDATION,
        "prompt: length: 1..",
        FailureKind::ContextWindow,
    ),
    (
        VALIDATION,
        "too many input tokens",
        FailureKind::ContextWindow,
    ),
    (VALIDATION, "too many tokens", FailureKind::ContextWindow),
    (
        VALIDATION,
        "exceed model maximum",
        FailureKind::ContextWindow,
    ),
    (
        VALIDATION,
        "maximum context length",
        FailureKind::ContextWindow,
    ),
    // What this model does not take, another may.
    (VALIDATION, "does not support", CAPABILITY),
    (VALIDATION, "doesn't support", CAPABILITY),
    (VALIDATION, "extra inputs are not permitted", CAPABILITY),
    (VALIDATION, "must end with a user message", CAPABILITY),
    (VALIDATION, "", FailureKind::BadRequest),
];

const VALIDATION: &str = "ValidationException";

/// What an error means. `code` is the exception's name, `original` the status that the model itself gave.
fn kind(
    code: Option<&str>,
    text: &str,
    status: Option<StatusCode>,
    original: Option<StatusCode>,
) -> FailureKind {
    let text = text.to_lowercase().replace('’', "'");
    let by_name = |name: &str| {
        ROWS.iter()
            .find(|(code, part, _)| code.eq_ignore_ascii_case(name) && text.contains(part))
            .map(|(.., kind)| *kind)
    };
    let model_failed = code.is_some_and(|code| {
        code.eq_ignore_ascii_case("ModelErrorException")
            || code.eq_ignore_ascii_case("ModelStreamErrorException")
    });
    if model_failed {
        return match original {
            Some(StatusCode::TOO_MANY_REQUESTS) => FailureKind::RateLimit,
            Some(StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT) => FailureKind::Timeout,
            Some(status) if status.is_client_error() => {
                by_name(VALIDATION).unwrap_or(FailureKind::BadRequest)
            }
            _ => FailureKind::ServerError,
        };
    }
    if let Some(kind) = code.and_then(by_name) {
        return kind;
    }
    match status {
        // An error without a name is still read.
        Some(StatusCode::BAD_REQUEST) if code.is_none() => {
            by_name(VALIDATION).unwrap_or(FailureKind::BadRequest)
        }
        Some(StatusCode::UNAUTHORIZED) => FailureKind::Auth,
        Some(StatusCode::PAYMENT_REQUIRED) => FailureKind::QuotaExhausted,
        Some(StatusCode::FORBIDDEN) => FailureKind::Permission,
        Some(StatusCode::NOT_FOUND) => FailureKind::ModelNotFound,
        Some(StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT) => FailureKind::Timeout,
        Some(StatusCode::TOO_MANY_REQUESTS) => FailureKind::RateLimit,
        Some(StatusCode::FAILED_DEPENDENCY) => FailureKind::ServerError,
        Some(StatusCode::SERVICE_UNAVAILABLE) => FailureKind::Overloaded,
        Some(status) if status.as_u16() == 529 => FailureKind::Overloaded,
        Some(status) if status.is_client_error() => FailureKind::BadRequest,
        _ => FailureKind::ServerError,
    }
}

/// The status that the model behind Bedrock gave, where the exception has one.
pub(crate) trait Original {
    fn original(&self) -> Option<i32>;
}

impl Original for ConverseError {
    fn original(&self) -> Option<i32> {
        match self {
            Self::ModelErrorException(error) => error.original_status_code,
            _ => None,
        }
    }
}

impl Original for ConverseStreamError {
    fn original(&self) -> Option<i32> {
        match self {
            Self::ModelErrorException(error) => error.original_status_code,
            _ => None,
        }
    }
}

impl Original for ConverseStreamOutputError {
    fn original(&self) -> Option<i32> {
        match self {
            Self::ModelStreamErrorException(error) => error.original_status_code,
            _ => None,
        }
    }
}

/// What a failed call means.
pub(crate) fn of_call<E>(error: &SdkError<E, Response>) -> ProviderError
where
    E: ProvideErrorMetadata + Original + Error + 'static,
{
    match error {
        SdkError::ServiceError(answer) => {
            let raw = answer.raw();
            let status = status_of(raw);
            let hint = hint::retry_after(&headers(raw.headers()), wall::now());
            of_answer(answer.err(), answer.err().code(), status, |mut failure| {
                if let Some(status) = status {
                    failure = failure.with_status(status);
                }
                if let Some(after) = hint {
                    failure = failure.with_retry_after(after);
                }
                identified(failure, raw.headers().get("x-amzn-requestid"))
            })
        }
        SdkError::ConstructionFailure(_) => failed(
            Failure::ineligible(Ineligible::Capability)
                .with_detail("the SDK cannot build the request"),
        ),
        SdkError::TimeoutError(_) => failed(Failure::new(FailureKind::Timeout)),
        SdkError::DispatchFailure(dispatch) => failed(of_dispatch(dispatch)),
        error => {
            let seen: Option<&(dyn Error + 'static)> = error.source();
            let failed = failed(seen.and_then(failure_of).cloned().unwrap_or_else(|| {
                Failure::new(FailureKind::Network).with_detail("the answer broke off")
            }));
            match error.raw_response().and_then(status_of) {
                Some(status) => failed.answered(status),
                None => failed,
            }
        }
    }
}

/// What an error inside a stream means.
pub(crate) fn of_stream(
    error: &SdkError<ConverseStreamOutputError, RawMessage>,
    request_id: Option<&str>,
) -> ProviderError {
    let failure = |kind| identified(Failure::new(kind), request_id);
    match error {
        SdkError::ServiceError(exception) => {
            // An exception that the API model does not know has no other name than this header.
            let name = match exception.raw() {
                RawMessage::Decoded(message) => message
                    .headers()
                    .iter()
                    .find(|header| header.name().as_str() == ":exception-type")
                    .and_then(|header| header.value().as_string().ok())
                    .map(|name| name.as_str()),
                _ => None,
            };
            let error = exception.err();
            of_answer(error, name.or_else(|| error.code()), None, |failure| {
                identified(failure, request_id)
            })
        }
        SdkError::ResponseError(response) => failed(match response.raw() {
            // What is left of a frame when the body ends.
            RawMessage::Invalid(Some(_)) => {
                failure(FailureKind::Network).with_detail("the answer ended inside a frame")
            }
            _ => failure(FailureKind::ServerError)
                .with_detail("a frame that is no event of this API"),
        }),
        SdkError::TimeoutError(_) => failed(failure(FailureKind::Timeout)),
        SdkError::DispatchFailure(dispatch) if dispatch.is_timeout() => {
            failed(failure(FailureKind::Timeout))
        }
        _ => failed(failure(FailureKind::Network)),
    }
}

fn of_answer<E: ProvideErrorMetadata + Original>(
    error: &E,
    code: Option<&str>,
    status: Option<StatusCode>,
    complete: impl FnOnce(Failure) -> Failure,
) -> ProviderError {
    let original = error
        .original()
        .and_then(|status| u16::try_from(status).ok())
        .and_then(|status| StatusCode::from_u16(status).ok());
    let text = error.message().unwrap_or_default();
    let failure = if status.is_some_and(|status| status.is_success()) {
        Failure::new(FailureKind::ServerError).with_detail("an answer that is not of this API")
    } else {
        Failure::new(kind(code, text, status, original))
    };
    let mut answer = failed(complete(failure));
    if let Some(code) = code {
        answer = answer.with_code(code);
    }
    if !text.is_empty() {
        answer = answer.with_message(text);
    }
    answer
}

fn identified(failure: Failure, request_id: Option<&str>) -> Failure {
    match request_id {
        Some(id) => failure.with_request_id(id),
        None => failure,
    }
}

fn of_dispatch(dispatch: &DispatchFailure) -> Failure {
    let error = dispatch.as_connector_error();
    let error: Option<&(dyn Error + 'static)> = error.map(|error| error as _);
    let mut next = error;
    let mut connecting = false;
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<CredentialsError>() {
            return of_credentials(error);
        }
        // The SDK keeps this type to itself.
        if error
            .to_string()
            .starts_with("failed to select an auth scheme")
        {
            return no_credentials();
        }
        if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            connecting |= error.is_connect();
        }
        next = error.source();
    }
    let kind = if dispatch.is_timeout() {
        FailureKind::Timeout
    } else {
        FailureKind::Network
    };
    let (reach, what) = if connecting {
        (Reach::Unsent, "no connection")
    } else {
        (Reach::Sent, "the connection broke")
    };
    let failure = Failure::new(kind).with_reach(reach);
    match error {
        Some(error) if kind == FailureKind::Network => {
            failure.with_detail(format!("{what}: {}", root_of(error)))
        }
        _ => failure,
    }
}

fn of_credentials(error: &CredentialsError) -> Failure {
    match error {
        // The source of credentials was slow or out of reach; they themselves may be sound.
        CredentialsError::ProviderTimedOut(_) => Failure::new(FailureKind::Timeout)
            .with_reach(Reach::Unsent)
            .with_detail("the source of AWS credentials did not answer in time"),
        CredentialsError::CredentialsNotLoaded(_) => no_credentials(),
        _ => Failure::new(FailureKind::Auth)
            .with_reach(Reach::Unsent)
            .with_detail("AWS credentials could not be loaded"),
    }
}

fn no_credentials() -> Failure {
    Failure::new(FailureKind::Auth)
        .with_reach(Reach::Unsent)
        .with_detail("no AWS credentials found")
}

fn failed(failure: Failure) -> ProviderError {
    ProviderError::new(PROVIDER, failure)
}

fn status_of(answer: &Response) -> Option<StatusCode> {
    StatusCode::from_u16(answer.status().as_u16()).ok()
}

fn headers(headers: &Headers) -> HeaderMap {
    headers
        .iter()
        .filter_map(|(name, value)| {
            Some((
                HeaderName::try_from(name).ok()?,
                HeaderValue::try_from(value).ok()?,
            ))
        })
        .collect()
}
