use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use backstop_core::{Failure, FailureKind, Reach};

/// A request that is not a chat request, and where it goes wrong.
#[derive(Debug)]
pub struct InvalidChat {
    message: Cow<'static, str>,
    param: Option<String>,
    failure: Failure,
}

impl InvalidChat {
    pub(crate) fn new(message: impl Into<Cow<'static, str>>, param: Option<String>) -> Self {
        Self {
            message: message.into(),
            param,
            failure: Failure::new(FailureKind::BadRequest).with_reach(Reach::Refused),
        }
    }

    pub(crate) fn json(error: &serde_json::Error) -> Self {
        Self::new(error.to_string(), None)
    }

    /// What is wrong, for the caller.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The path of the mistake, such as `messages[3].content`.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }
}

impl fmt::Display for InvalidChat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.param {
            Some(param) => write!(f, "invalid request at {param}: {}", self.message),
            None => write!(f, "invalid request: {}", self.message),
        }
    }
}

impl Error for InvalidChat {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.failure)
    }
}
