use std::error::Error;
use std::fmt;

/// What is wrong in a catalogue file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCatalog {
    file: String,
    line: usize,
    column: usize,
    message: String,
}

impl InvalidCatalog {
    pub(crate) fn new(file: &str, line: usize, column: usize, message: String) -> Self {
        Self {
            file: file.to_owned(),
            line,
            column,
            message,
        }
    }

    /// The line, from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// The column, in bytes from 1.
    #[must_use]
    pub const fn column(&self) -> usize {
        self.column
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for InvalidCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
        } = self;
        write!(f, "{file}:{line}:{column}: {message}")
    }
}

impl Error for InvalidCatalog {}
