use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backstop_core::{
    Attempt, Ceiling, Deployment, Failure, FailureKind, NanoUsd, Outcome, Resume, Skipped,
    TrailSnapshot, Usage,
};
use http::StatusCode;

/// One request, as it is remembered: who asked for what, who was tried, who answered, how it ended.
///
/// It serialises to one JSON object whose names are a contract (`request_id`, `ts`, `outcome`, `latency_ms`,
/// `attempts`, …); times are milliseconds with microseconds behind the point, moments are RFC 3339 in UTC. There is
/// no field for a prompt, a completion, a key or a provider's error text.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Record {
    /// The request's id.
    pub request_id: Arc<str>,
    /// When it began; `ts` in JSON.
    pub started_at: SystemTime,
    /// The model that the caller named.
    pub requested_model: Option<Arc<str>>,
    /// Who answered; `model`, `deployment`, `provider` and `region` in JSON. `None` unless the outcome is `ok`.
    pub served: Option<Arc<Deployment>>,
    /// Whether the caller asked for a stream.
    pub stream: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// The status of the response, if there was one.
    pub http_status: Option<StatusCode>,
    /// From the request's arrival to the last byte of its answer.
    pub latency: Duration,
    /// The part of it in which no provider was working on the request.
    pub overhead: Duration,
    /// From the request's arrival to the first byte of a successful answer.
    pub ttft: Option<Duration>,
    /// Attempts repeated on the same deployment.
    pub retries: u32,
    /// Deployments left behind for another.
    pub fallbacks: u32,
    /// The tokens that all attempts took, as far as is known.
    pub usage: Option<Usage>,
    /// What all attempts cost, where that is known.
    pub cost: Option<NanoUsd>,
    /// The budgets that had no room; `budget` in JSON.
    pub ceilings: Vec<Ceiling>,
    /// The caller's key, by its id.
    pub key_id: Option<Arc<str>>,
    /// The residency rules that held for it, by name.
    pub policy: Option<Arc<str>>,
    /// The calls that were made, in order.
    pub attempts: Vec<Attempt>,
    /// The deployments that were passed over without a call, in order.
    pub skipped: Vec<Skipped>,
    /// The attempts to go on with an answer that broke off, in order.
    pub resumes: Vec<Resume>,
    /// What else there is to say.
    pub notes: Vec<Cow<'static, str>>,
    /// The failure that the request ended with, in our own words.
    pub detail: Option<Box<str>>,
}

/// What the audit layer sees of a response, beside what the trail tells.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The status of the response, if there was one.
    pub status: Option<StatusCode>,
    /// From the request's arrival to the first byte of the response's body.
    pub first_data: Option<Duration>,
    /// The failure in the service's error, in the response's extensions or in the body's error.
    pub failure: Option<Failure>,
    /// How it ended.
    pub end: End,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The last byte was handed on.
    Complete,
    /// The service returned an error instead of a response.
    Failed,
    /// The body broke off with an error after the response had begun.
    Broken,
    /// The caller went away, before the response or in the middle of it.
    Abandoned,
}

impl Record {
    /// What is to be remembered of a request that is over.
    ///
    /// The outcome is the trail's own where a layer named one, unless the caller went away ([`Outcome::Cancelled`])
    /// or the body broke off ([`Outcome::UpstreamError`]): no layer could know that beforehand. Otherwise it is
    /// told from the failure, the status, and the result of the last attempt.
    #[must_use]
    pub fn from_trail(trail: TrailSnapshot, seen: &Seen) -> Self {
        let last = trail.attempts.last();
        let last_failed = last.and_then(failed);
        let outcome = match seen.end {
            End::Abandoned => Outcome::Cancelled,
            End::Broken => Outcome::UpstreamError,
            End::Failed | End::Complete => {
                trail.outcome.unwrap_or_else(|| guess(seen, last_failed))
            }
        };
        let served = last
            .filter(|_| outcome == Outcome::Ok && last_failed.is_none())
            .map(|attempt| Arc::clone(&attempt.deployment));
        let succeeded = seen.status.is_some_and(|status| status.is_success());
        Self {
            served,
            outcome,
            http_status: seen.status,
            latency: trail.elapsed,
            overhead: trail.elapsed.saturating_sub(inside(&trail)),
            ttft: seen.first_data.filter(|_| succeeded),
            usage: (trail.attempts.iter())
                .filter_map(|attempt| attempt.usage)
                .reduce(Usage::plus),
            cost: trail.cost,
            ceilings: trail.ceilings,
            detail: seen
                .failure
                .as_ref()
                .map(|failure| failure.to_string().into()),
            request_id: trail.id,
            started_at: trail.started_at,
            requested_model: trail.model,
            stream: trail.stream,
            retries: trail.retries,
            fallbacks: trail.fallbacks,
            key_id: trail.key_id,
            policy: trail.policy,
            attempts: trail.attempts,
            skipped: trail.skipped,
            resumes: trail.resumes,
            notes: trail.notes,
        }
    }
}

/// The outcome that no layer has named.
fn guess(seen: &Seen, last_failed: Option<FailureKind>) -> Outcome {
    if let Some(failure) = &seen.failure {
        return Outcome::of(failure.kind());
    }
    match seen.status {
        None => Outcome::UpstreamError,
        Some(status) if status.is_client_error() => Outcome::ClientError,
        Some(status) if status.is_server_error() => Outcome::UpstreamError,
        // The last attempt's failure may stand in the middle of a 200.
        Some(_) => last_failed.map_or(Outcome::Ok, Outcome::of),
    }
}

/// The attempt's failure. A body that was let go before its end, under an answer that is complete, is none.
fn failed(attempt: &Attempt) -> Option<FailureKind> {
    match attempt.result {
        Some(Err(kind)) if kind != FailureKind::Cancelled => Some(kind),
        _ => None,
    }
}

/// The time within attempts, counted once where they overlap. Rows stand in the order in which they began.
fn inside(trail: &TrailSnapshot) -> Duration {
    let mut until = Duration::ZERO;
    let mut inside = Duration::ZERO;
    for attempt in &trail.attempts {
        let end = match attempt.duration {
            Some(duration) => attempt.started + duration,
            None => trail.elapsed,
        };
        inside += end.saturating_sub(until.max(attempt.started));
        until = until.max(end);
    }
    inside
}

#[cfg(test)]
mod tests;
