//! What callers suffer from: one line, however many they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backstop_core::{Outcome, Trail};
use http::StatusCode;
use tokio::time::Instant;

/// How often it is said of one model.
const AGAIN: Duration = Duration::from_secs(10);

/// Tells an operator of requests that nobody could serve. Circuits tell of deployments; a caller may be fine without.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Mutex<HashMap<Option<Arc<str>>, Told>>);

#[derive(Debug)]
struct Told {
    at: Instant,
    /// How many requests have failed since.
    since: u64,
}

impl Troubles {
    /// `status` is what the caller of the request with this trail is answered.
    pub(crate) fn answered(&self, status: StatusCode, trail: &Trail) {
        if !status.is_server_error() {
            return;
        }
        let model = trail.model();
        if let Some(requests) = self.count(model.clone()) {
            tracing::error!(
                model = model.as_deref(),
                status = status.as_u16(),
                outcome = trail.snapshot().outcome.map(Outcome::as_str),
                requests,
                request_id = &**trail.id(),
                "requests fail"
            );
        }
    }

    /// How many requests for `model` to tell of now.
    fn count(&self, model: Option<Arc<str>>) -> Option<u64> {
        let now = Instant::now();
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(told) = models.get_mut(&model) else {
            models.insert(model, Told { at: now, since: 0 });
            return Some(1);
        };
        told.since += 1;
        if now.saturating_duration_since(told.at) < AGAIN {
            return None;
        }
        told.at = now;
        Some(std::mem::take(&mut told.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_model_is_told_of_once_in_a_while_and_every_request_counts() {
        let troubles = Troubles::default();
        let count = |model: &str| troubles.count(Some(model.into()));
        assert_eq!(count("smart"), Some(1));
        assert_eq!(count("smart"), None);
        assert_eq!(count("other"), Some(1));
        tokio::time::advance(AGAIN).await;
        assert_eq!(count("smart"), Some(2), "the one that was not told of, too");
        assert_eq!(count("smart"), None);
    }
}
