use std::fmt;

use backstop_core::{Failure, FailureKind, Reach, root_of};
use hyper_util::client::legacy;

/// No answer came.
#[derive(Debug)]
pub struct Error {
    inner: legacy::Error,
    failure: Failure,
}

impl Error {
    pub(crate) fn new(inner: legacy::Error) -> Self {
        let failure = Failure::new(FailureKind::Network);
        let root = root_of(&inner);
        let failure = if inner.is_connect() {
            failure
                .with_reach(Reach::Unsent)
                .with_detail(format!("no connection: {root}"))
        } else {
            failure.with_detail(format!("the connection broke: {root}"))
        };
        Self { inner, failure }
    }

    /// What the HTTP client itself says; it may name hosts.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn std::error::Error + 'static) {
        &self.inner
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.failure)
    }
}

/// The system has no certificate authorities that a client could trust.
#[derive(Debug)]
pub struct NoRoots(pub(crate) std::io::Error);

impl fmt::Display for NoRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no certificate authorities were found ({}): install the system's `ca-certificates`, or name a bundle in SSL_CERT_FILE",
            self.0
        )
    }
}

impl std::error::Error for NoRoots {}
