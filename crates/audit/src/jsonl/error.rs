use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// No record can be written to that directory.
#[derive(Debug)]
pub struct Unwritable {
    pub(super) directory: PathBuf,
    pub(super) source: io::Error,
}

impl Unwritable {
    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot write audit records to {}: let this user write there, or name another directory",
            self.directory.display()
        )
    }
}

impl Error for Unwritable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Not everything was recorded when the sink was shut down.
#[derive(Debug)]
pub struct Unfinished {
    pub(super) running: usize,
    pub(super) lost: u64,
}

impl Unfinished {
    /// Requests that had not handed over a record that is durable when the time was up.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running
    }

    /// Records that were handed over and could not be written.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "audit shut down before its work was done: {} requests without a durable record, {} records lost",
            self.running, self.lost
        )
    }
}

impl Error for Unfinished {}
