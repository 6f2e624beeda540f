use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::{Extensions, StatusCode};
use tokio::time::Instant;

use crate::{Deployment, Failure, FailureKind, Usage, wall};

/// What happened to one request, written by the layers that it passes and read by whoever reports it.
///
/// It travels in the request's extensions; clones share one record. Whoever is outermost opens it (the audit
/// layer, the edge, or the fallback), so the layers below may find it there or not, and work either way.
///
/// ```
/// use backstop_core::{Deployment, Failure, FailureKind, Trail};
/// use std::sync::Arc;
///
/// let trail = Trail::start();
/// let attempt = trail.attempt(&Arc::new(Deployment::new("primary")));
/// attempt.settle(Err(&Failure::new(FailureKind::ServerError)));
///
/// let record = trail.snapshot();
/// assert_eq!(record.attempts[0].result, Some(Err(FailureKind::ServerError)));
/// ```
#[derive(Clone)]
pub struct Trail(Arc<Shared>);

struct Shared {
    id: Arc<str>,
    started: Instant,
    started_at: SystemTime,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    record: Record,
    /// What the repeat that was just decided on is for, until its row opens.
    repeat: Option<(FailureKind, Duration)>,
    /// What an open row settles as when it is dropped.
    abandoned: Option<FailureKind>,
    rows_opened: u64,
}

#[derive(Clone, Default)]
struct Record {
    model: Option<Arc<str>>,
    stream: bool,
    key_id: Option<Arc<str>>,
    outcome: Option<Outcome>,
    attempts: Vec<Attempt>,
    skipped: Vec<Skipped>,
    notes: Vec<Cow<'static, str>>,
    retries: u32,
    fallbacks: u32,
}

/// One call to a provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// Identifies the row within its trail.
    row: u64,
    /// Who was asked.
    pub deployment: Arc<Deployment>,
    /// When, from the start of the request.
    pub started: Duration,
    /// From then to the first content; for an answer that is not streamed, to the whole answer.
    pub first_content: Option<Duration>,
    /// From then to the end. `None` while it is open.
    pub duration: Option<Duration>,
    /// How it ended. `None` while it is open.
    pub result: Option<Result<(), FailureKind>>,
    /// The status that the provider answered with.
    pub status: Option<StatusCode>,
    /// The provider's id of the request.
    pub request_id: Option<Arc<str>>,
    /// Why the same deployment was asked again, if this attempt is a repeat.
    pub retry_reason: Option<FailureKind>,
    /// How long the repeat was held back.
    pub delay: Option<Duration>,
    /// What was decided after it.
    pub decision: Option<Decision>,
    /// The tokens it took, as far as is known.
    pub usage: Option<Usage>,
    /// What had to be changed in the request for this deployment.
    pub notes: Vec<Cow<'static, str>>,
}

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// It answered.
    Done,
    /// The same deployment is asked again.
    Retry,
    /// The next deployment is asked.
    Fallback,
    /// The caller gets the failure.
    Surface,
}

impl Decision {
    /// The name that audit records use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry => "retry",
            Self::Fallback => "fallback",
            Self::Surface => "surface",
        }
    }
}

/// A deployment that was passed over without a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Skipped {
    /// Who.
    pub deployment: Arc<Deployment>,
    /// Why.
    pub reason: FailureKind,
    /// Why, in more words.
    pub detail: Option<Box<str>>,
    /// How long until it may be asked again, seen from when it was passed over.
    pub back_in: Option<Duration>,
    /// When it was passed over, from the start of the request.
    pub at: Duration,
}

/// How the whole request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Answered, to the last byte.
    Ok,
    /// The request was wrong.
    ClientError,
    /// A provider's failure was handed on.
    UpstreamError,
    /// Every deployment failed or was resting.
    Exhausted,
    /// A spend ceiling left no deployment.
    RejectedBudget,
    /// A residency or compliance rule left no deployment.
    RejectedRegion,
    /// The caller's own key was missing or wrong.
    RejectedAuth,
    /// The caller went away.
    Cancelled,
    /// The caller's time was over.
    Deadline,
}

impl Outcome {
    /// The name that audit records and metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::UpstreamError => "upstream_error",
            Self::Exhausted => "exhausted",
            Self::RejectedBudget => "rejected_budget",
            Self::RejectedRegion => "rejected_region",
            Self::RejectedAuth => "rejected_auth",
            Self::Cancelled => "cancelled",
            Self::Deadline => "deadline",
        }
    }

    /// The outcome of a request that ends with `kind`, where nobody knows better.
    #[must_use]
    pub const fn of(kind: FailureKind) -> Self {
        use crate::Ineligible::{Budget, Capability, Region, Window};
        match kind {
            FailureKind::Cancelled => Self::Cancelled,
            FailureKind::Deadline => Self::Deadline,
            FailureKind::BadRequest
            | FailureKind::ContextWindow
            | FailureKind::Ineligible(Capability | Window) => Self::ClientError,
            FailureKind::Ineligible(Budget) => Self::RejectedBudget,
            FailureKind::Ineligible(Region) => Self::RejectedRegion,
            FailureKind::Ineligible(_) => Self::Exhausted,
            _ => Self::UpstreamError,
        }
    }
}

/// A [`Trail`] as it stood at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TrailSnapshot {
    /// The request's id.
    pub id: Arc<str>,
    /// When it began, by the wall clock.
    pub started_at: SystemTime,
    /// How long ago that was.
    pub elapsed: Duration,
    /// The model that the caller named.
    pub model: Option<Arc<str>>,
    /// Whether the caller asked for a stream.
    pub stream: bool,
    /// The caller's key, by its id.
    pub key_id: Option<Arc<str>>,
    /// How it ended, if a layer knew.
    pub outcome: Option<Outcome>,
    /// The calls that were made, in order.
    pub attempts: Vec<Attempt>,
    /// The deployments that were passed over, in order.
    pub skipped: Vec<Skipped>,
    /// What else there is to say.
    pub notes: Vec<Cow<'static, str>>,
    /// Attempts repeated on the same deployment.
    pub retries: u32,
    /// Deployments left behind before the one that was asked last.
    pub fallbacks: u32,
}

impl Trail {
    /// A trail that begins now, with a fresh id (a version 7 UUID: ids sort by time, and are no secret).
    #[must_use]
    pub fn start() -> Self {
        let since_1970 = wall::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let millis = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        let mut random = [0; 10];
        fastrand::fill(&mut random);
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        Self::with_id(&*id.simple().encode_lower(&mut uuid::Uuid::encode_buffer()))
    }

    /// A trail that begins now, for a request that has an id already.
    #[must_use]
    pub fn with_id(id: impl Into<Arc<str>>) -> Self {
        Self(Arc::new(Shared {
            id: id.into(),
            started: Instant::now(),
            started_at: wall::now(),
            state: Mutex::default(),
        }))
    }

    /// The trail in these extensions.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// The trail in these extensions; a new one is put there if there is none.
    pub fn of_or_start(extensions: &mut Extensions) -> Self {
        extensions.get_or_insert_with(Self::start).clone()
    }

    /// The request's id.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.0.id
    }

    /// When the request began.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.0.started
    }

    /// Says what was asked for.
    pub fn asked(&self, model: impl Into<Arc<str>>, stream: bool) {
        let mut state = self.state();
        state.record.model = Some(model.into());
        state.record.stream = stream;
    }

    /// Says who asked: the id of a key, never the key.
    pub fn asked_by(&self, key_id: impl Into<Arc<str>>) {
        self.state().record.key_id = Some(key_id.into());
    }

    /// Opens a row for a call to `deployment`.
    #[must_use = "a handle that is dropped unsettled records a cancelled attempt"]
    pub fn attempt(&self, deployment: &Arc<Deployment>) -> AttemptHandle {
        let started = Instant::now();
        let mut state = self.state();
        let row = state.rows_opened;
        state.rows_opened += 1;
        let repeat = state.repeat.take();
        state.record.attempts.push(Attempt {
            row,
            deployment: Arc::clone(deployment),
            started: started.saturating_duration_since(self.0.started),
            first_content: None,
            duration: None,
            result: None,
            status: None,
            request_id: None,
            retry_reason: repeat.map(|(reason, _)| reason),
            delay: repeat.map(|(_, delay)| delay),
            decision: None,
            usage: None,
            notes: Vec::new(),
        });
        drop(state);
        AttemptHandle {
            trail: self.clone(),
            row,
            started,
            open: true,
        }
    }

    /// Records that `deployment` was passed over because of `failure`, without a call.
    pub fn skip(&self, deployment: &Arc<Deployment>, failure: &Failure) {
        let at = Instant::now().saturating_duration_since(self.0.started);
        self.state().record.skipped.push(Skipped {
            deployment: Arc::clone(deployment),
            reason: failure.kind(),
            detail: failure.detail().map(Box::from),
            back_in: failure.retry_after(),
            at,
        });
    }

    /// Adds a remark to the attempt that was opened last, or to the request if there is none.
    pub fn note(&self, note: impl Into<Cow<'static, str>>) {
        let mut state = self.state();
        let record = &mut state.record;
        match record.attempts.last_mut() {
            Some(attempt) => attempt.notes.push(note.into()),
            None => record.notes.push(note.into()),
        }
    }

    /// Records that the last attempt will be repeated after `delay`, because of `reason`.
    pub fn retry(&self, reason: FailureKind, delay: Duration) {
        let mut state = self.state();
        state.record.retries += 1;
        state.repeat = Some((reason, delay));
        state.decide(Decision::Retry);
    }

    /// Records that the deployment that was just asked, or passed over, is left behind for the next one.
    ///
    /// `asked` says whether a call was made to it.
    pub fn fallback(&self, asked: bool) {
        let mut state = self.state();
        state.record.fallbacks += 1;
        if asked {
            state.decide(Decision::Fallback);
        }
    }

    /// Records that the caller gets the last attempt's failure.
    pub fn surface(&self) {
        self.state().decide(Decision::Surface);
    }

    /// Says how the request ended. The first to say so knows best.
    pub fn end(&self, outcome: Outcome) {
        self.state().record.outcome.get_or_insert(outcome);
    }

    /// From now on an attempt that is dropped while open was not cancelled by the caller, but ended by `kind`.
    pub fn abandon(&self, kind: FailureKind) {
        self.state().abandoned = Some(kind);
    }

    /// The model that the caller named, once that is known.
    #[must_use]
    pub fn model(&self) -> Option<Arc<str>> {
        self.state().record.model.clone()
    }

    /// Attempts repeated on the same deployment, so far.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.state().record.retries
    }

    /// Deployments left behind, so far.
    #[must_use]
    pub fn fallbacks(&self) -> u32 {
        self.state().record.fallbacks
    }

    /// Calls made, so far.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.state().record.attempts.len()
    }

    /// The deployment that was asked last: the one that served, once there is an answer.
    #[must_use]
    pub fn last_asked(&self) -> Option<Arc<Deployment>> {
        self.state()
            .record
            .attempts
            .last()
            .map(|attempt| Arc::clone(&attempt.deployment))
    }

    /// Everything, as it stands now.
    #[must_use]
    pub fn snapshot(&self) -> TrailSnapshot {
        let record = self.state().record.clone();
        let Shared {
            id,
            started,
            started_at,
            ..
        } = &*self.0;
        record.into_snapshot(Arc::clone(id), *started, *started_at)
    }

    /// The same, when the request is over: nothing is copied if this is the last handle.
    #[must_use]
    pub fn into_snapshot(self) -> TrailSnapshot {
        match Arc::try_unwrap(self.0) {
            Ok(Shared {
                id,
                started,
                started_at,
                state,
            }) => {
                let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
                state.record.into_snapshot(id, started, started_at)
            }
            Err(shared) => Self(shared).snapshot(),
        }
    }

    /// Nothing that runs under the lock can panic half-way, so a poisoned lock still guards a whole record.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn into_snapshot(
        self,
        id: Arc<str>,
        started: Instant,
        started_at: SystemTime,
    ) -> TrailSnapshot {
        let Self {
            model,
            stream,
            key_id,
            outcome,
            attempts,
            skipped,
            notes,
            retries,
            fallbacks,
        } = self;
        TrailSnapshot {
            id,
            started_at,
            elapsed: Instant::now().saturating_duration_since(started),
            model,
            stream,
            key_id,
            outcome,
            attempts,
            skipped,
            notes,
            retries,
            fallbacks,
        }
    }
}

impl State {
    fn decide(&mut self, decision: Decision) {
        if let Some(attempt) = self.record.attempts.last_mut() {
            attempt.decision = Some(decision);
        }
    }
}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Trail")
            .field("id", &self.0.id)
            .field("attempts", &state.record.attempts.len())
            .field("skipped", &state.record.skipped.len())
            .finish_non_exhaustive()
    }
}

/// An open row of a [`Trail`]. It settles exactly once; dropped unsettled, it records that the caller went away.
#[derive(Debug)]
#[must_use = "a handle that is dropped unsettled records a cancelled attempt"]
pub struct AttemptHandle {
    trail: Trail,
    row: u64,
    started: Instant,
    open: bool,
}

impl AttemptHandle {
    /// The answer has begun, with this status, under this id of the provider's.
    pub fn answered(&mut self, status: Option<StatusCode>, request_id: Option<Arc<str>>) {
        let first = self.age();
        self.change(|attempt| {
            attempt.first_content.get_or_insert(first);
            attempt.status = status;
            attempt.request_id = request_id;
        });
    }

    /// The provider reported usage. A later report replaces an earlier one: reports are running totals.
    pub fn used(&mut self, usage: Usage) {
        self.change(|attempt| attempt.usage = Some(usage));
    }

    /// The attempt is over.
    pub fn settle(mut self, result: Result<(), &Failure>) {
        self.close(result.map_err(Failure::kind), result.err());
    }

    /// It was no attempt after all: a layer below refused it before any call.
    pub fn discard(mut self) {
        self.open = false;
        let mut state = self.trail.state();
        let row = self.row;
        if let Some(index) = state
            .record
            .attempts
            .iter()
            .rposition(|attempt| attempt.row == row)
        {
            let attempt = state.record.attempts.remove(index);
            // The repeat that this row was opened for is still to come, if at all.
            state.repeat = attempt.retry_reason.zip(attempt.delay);
        }
    }

    fn close(&mut self, result: Result<(), FailureKind>, failure: Option<&Failure>) {
        self.open = false;
        let duration = self.age();
        self.change(|attempt| {
            attempt.duration = Some(duration);
            attempt.result = Some(result);
            if result.is_ok() {
                attempt.decision = Some(Decision::Done);
            }
            if let Some(failure) = failure {
                attempt.status = failure.status().or(attempt.status);
                attempt.request_id = failure.request_id().cloned().or(attempt.request_id.take());
            }
        });
    }

    fn age(&self) -> Duration {
        Instant::now().saturating_duration_since(self.started)
    }

    fn change(&self, change: impl FnOnce(&mut Attempt)) {
        let mut state = self.trail.state();
        if let Some(attempt) = state
            .record
            .attempts
            .iter_mut()
            .rfind(|attempt| attempt.row == self.row)
        {
            change(attempt);
        }
    }
}

impl Drop for AttemptHandle {
    fn drop(&mut self) {
        if self.open {
            let kind = self
                .trail
                .state()
                .abandoned
                .unwrap_or(FailureKind::Cancelled);
            self.close(Err(kind), None);
        }
    }
}

#[cfg(test)]
mod tests;
