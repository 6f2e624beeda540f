use std::error::Error;
use std::fmt;

use backstop_core::{BoxError, Failure, FailureKind, Reach, failure_of};
use http::Response;

/// The sink has no place for a record, so the request was refused before anything was done for it.
///
/// Its source is a [`Failure`] with [`Reach::Refused`].
#[derive(Debug)]
pub struct AuditUnavailable {
    failure: Failure,
}

impl AuditUnavailable {
    /// A refusal.
    #[must_use]
    pub fn new() -> Self {
        Self {
            failure: Failure::new(FailureKind::ServerError).with_reach(Reach::Refused),
        }
    }
}

impl Default for AuditUnavailable {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for AuditUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request cannot be recorded, so it is not served")
    }
}

impl Error for AuditUnavailable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.failure)
    }
}

/// How a service that is audited says that it cannot record a request, and thereby which errors it has.
pub trait Refuse<B, E> {
    /// The audited service's error.
    type Error;

    /// The answer to a request that cannot be recorded.
    fn refuse(&self, why: AuditUnavailable) -> Result<Response<B>, Self::Error>;

    /// Hands on an error of the service within.
    fn error(&self, error: E) -> Self::Error;

    /// The failure in an error, for the record.
    fn failure(&self, error: &Self::Error) -> Option<Failure>;
}

/// The default: a request that cannot be recorded gets [`AuditUnavailable`] as a [`BoxError`].
#[derive(Clone, Copy, Debug, Default)]
pub struct AsError;

impl<B, E: Into<BoxError>> Refuse<B, E> for AsError {
    type Error = BoxError;

    fn refuse(&self, why: AuditUnavailable) -> Result<Response<B>, BoxError> {
        Err(why.into())
    }

    fn error(&self, error: E) -> BoxError {
        error.into()
    }

    fn failure(&self, error: &BoxError) -> Option<Failure> {
        failure_of(&**error).cloned()
    }
}

/// A request that cannot be recorded gets a response; the errors of the service within stay as they are, and are
/// not looked into. See [`AuditLayer::respond`](crate::AuditLayer::respond).
#[derive(Clone, Copy)]
pub struct Respond<F>(pub(crate) F);

impl<B, E, F: Fn(AuditUnavailable) -> Response<B>> Refuse<B, E> for Respond<F> {
    type Error = E;

    fn refuse(&self, why: AuditUnavailable) -> Result<Response<B>, E> {
        Ok((self.0)(why))
    }

    fn error(&self, error: E) -> E {
        error
    }

    fn failure(&self, _: &E) -> Option<Failure> {
        None
    }
}

impl<F> fmt::Debug for Respond<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Respond")
            .field(&std::any::type_name::<F>())
            .finish()
    }
}
