//! Where the configuration comes from.

use std::path::PathBuf;

use backstop_config::{Config, Environment};
use backstop_core::BoxError;

/// Where the configuration in force comes from.
pub(crate) enum Source {
    /// A file, and its text when it was read: it may hold secrets, so this is never shown.
    File { path: PathBuf, text: String },
    /// The variables that the providers' own tools read.
    Environment,
}

impl Source {
    /// Reads the configuration.
    pub(crate) fn open(path: Option<PathBuf>) -> Result<(Self, Config), BoxError> {
        let source = match path {
            Some(path) => {
                let text = Config::read(&path)?;
                Self::File { path, text }
            }
            None => Self::Environment,
        };
        let config = source.resolve()?;
        Ok((source, config))
    }

    /// Reads it again from where it came from.
    pub(crate) fn reopen(&self) -> Result<(Self, Config), BoxError> {
        Self::open(match self {
            Self::File { path, .. } => Some(path.clone()),
            Self::Environment => None,
        })
    }

    /// Reads only what the text refers to: a key that is rotated does not publish half an edit.
    pub(crate) fn resolve(&self) -> Result<Config, BoxError> {
        let environment = Environment::process();
        Ok(match self {
            Self::File { path, text } => {
                Config::parse(&path.display().to_string(), text, &environment)?
            }
            Self::Environment => Config::from_environment(&environment)?,
        })
    }
}
