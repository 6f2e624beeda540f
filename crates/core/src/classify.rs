use http::{Response, StatusCode};

use crate::{BoxError, Failure, FailureKind, HasExtensions, failure_of, hint, wall};

/// Says whether the outcome of a call is a failure, and which.
///
/// Any `Fn(Result<&Res, &E>) -> Option<Failure>` is one.
pub trait Classify<Res, E = BoxError> {
    /// `None` means success.
    fn classify(&self, outcome: Result<&Res, &E>) -> Option<Failure>;
}

impl<Res, E, F> Classify<Res, E> for F
where
    F: Fn(Result<&Res, &E>) -> Option<Failure>,
{
    fn classify(&self, outcome: Result<&Res, &E>) -> Option<Failure> {
        self(outcome)
    }
}

/// The default: an error is the [`Failure`] in its source chain, a response the one in its extensions.
///
/// An error that nobody classified is [`FailureKind::Network`], never the caller's fault.
#[derive(Clone, Copy, Debug, Default)]
pub struct Failures;

impl<Res: HasExtensions> Classify<Res, BoxError> for Failures {
    fn classify(&self, outcome: Result<&Res, &BoxError>) -> Option<Failure> {
        match outcome {
            Ok(response) => response.extensions().get::<Failure>().cloned(),
            Err(error) => Some(of_error(error)),
        }
    }
}

/// Classifies plain HTTP answers by their status, for services that have nothing to do with LLMs.
///
/// `429` is a rate limit, `408` and `504` are timeouts, `401` is auth, `403` permission, `503` is overload, other
/// `4xx` are the request's own fault, other `5xx` are server errors; `retry-after` is read as seconds or a date.
/// Errors are classified as [`Failures`] does.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByStatus;

impl<B> Classify<Response<B>, BoxError> for ByStatus {
    fn classify(&self, outcome: Result<&Response<B>, &BoxError>) -> Option<Failure> {
        let response = match outcome {
            Ok(response) => response,
            Err(error) => return Some(of_error(error)),
        };
        let status = response.status();
        let kind = match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => FailureKind::Timeout,
            StatusCode::TOO_MANY_REQUESTS => FailureKind::RateLimit,
            StatusCode::UNAUTHORIZED => FailureKind::Auth,
            StatusCode::FORBIDDEN => FailureKind::Permission,
            StatusCode::SERVICE_UNAVAILABLE => FailureKind::Overloaded,
            status if status.is_server_error() => FailureKind::ServerError,
            status if status.is_client_error() => FailureKind::BadRequest,
            _ => return None,
        };
        let mut failure = Failure::new(kind).with_status(status);
        if let Some(after) = hint::retry_after(response.headers(), wall::now()) {
            failure = failure.with_retry_after(after);
        }
        Some(failure)
    }
}

fn of_error(error: &BoxError) -> Failure {
    failure_of(&**error)
        .cloned()
        .unwrap_or_else(|| Failure::new(FailureKind::Network))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_unknown_error_is_never_the_callers_fault() {
        let error: BoxError = "who knows".into();
        let failure = Classify::<Response<()>>::classify(&Failures, Err(&error));
        assert_eq!(failure.map(|f| f.kind()), Some(FailureKind::Network));
    }

    #[test]
    fn a_refusal_inside_a_200_is_found_in_the_extensions() {
        let mut response = Response::new(());
        assert!(Failures.classify(Ok(&response)).is_none());
        response
            .extensions_mut()
            .insert(Failure::new(FailureKind::ContentFilter));
        assert_eq!(
            Failures.classify(Ok(&response)).map(|f| f.kind()),
            Some(FailureKind::ContentFilter)
        );
    }

    #[test]
    fn a_status_is_read_with_its_hint() {
        let response = Response::builder()
            .status(429)
            .header("retry-after", "3")
            .body(())
            .expect("valid");
        let failure = ByStatus.classify(Ok(&response)).expect("a failure");
        assert_eq!(failure.kind(), FailureKind::RateLimit);
        assert_eq!(failure.retry_after(), Some(Duration::from_secs(3)));
        assert!(ByStatus.classify(Ok(&Response::new(()))).is_none());
    }
}
