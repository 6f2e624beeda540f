//! The one place that reads the wall clock. Everything that is measured uses [`tokio::time::Instant`] instead.

use std::time::SystemTime;

/// The time of day.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub fn now() -> SystemTime {
    SystemTime::now()
}
