use std::error::Error;
use std::fmt;

use super::{nearest, normal};

/// A name that is no region, country or jurisdiction that we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRegion {
    name: Box<str>,
    nearest: Option<&'static str>,
}

impl UnknownRegion {
    pub(super) fn new(name: &str, known: impl Iterator<Item = &'static str>) -> Self {
        Self {
            name: name.into(),
            nearest: nearest(&normal(name), known),
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The known name that looks most like it, if one does.
    #[must_use]
    pub const fn nearest(&self) -> Option<&'static str> {
        self.nearest
    }
}

impl fmt::Display for UnknownRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown region `{}`", self.name)?;
        match self.nearest {
            Some(nearest) => write!(f, ": did you mean `{nearest}`?"),
            None => Ok(()),
        }
    }
}

impl Error for UnknownRegion {}
