use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{BoxError, Deployment, Failure};

/// Every deployment of a plan failed or may not be asked.
///
/// It keeps each error, in the order in which the deployments were tried. Its source is the [`Failure`] that the
/// whole amounts to, with the earliest time at which asking again may help.
#[derive(Debug)]
pub struct Exhausted {
    errors: Vec<(Arc<Deployment>, BoxError)>,
    verdict: Failure,
}

impl Exhausted {
    /// What the plan's errors amount to.
    #[must_use]
    pub fn new(errors: Vec<(Arc<Deployment>, BoxError)>, verdict: Failure) -> Self {
        Self { errors, verdict }
    }

    /// Each deployment with its error, in order.
    #[must_use]
    pub fn errors(&self) -> &[(Arc<Deployment>, BoxError)] {
        &self.errors
    }

    /// What it all amounts to.
    #[must_use]
    pub fn verdict(&self) -> &Failure {
        &self.verdict
    }

    /// When the first of them may be asked again, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.verdict.retry_after()
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no deployment answered")?;
        for (index, (deployment, error)) in self.errors.iter().enumerate() {
            write!(
                f,
                "{} {}: {error}",
                if index == 0 { ":" } else { ";" },
                deployment.id()
            )?;
        }
        Ok(())
    }
}

impl Error for Exhausted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.verdict)
    }
}
