mod attempt;
mod record;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::Extensions;
use tokio::time::Instant;

pub use self::attempt::AttemptHandle;
pub use self::record::{Attempt, Ceiling, Decision, Outcome, Resume, Skipped, TrailSnapshot};
use crate::{Deployment, Failure, FailureKind, NanoUsd, Usage, UsageSource, wall};

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

/// Which row of a [`Trail`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowId(u64);

struct Shared {
    id: Arc<str>,
    started: Instant,
    state: Mutex<State>,
}

struct State {
    /// All but the time it took, which is known when somebody asks.
    record: TrailSnapshot,
    /// What the repeat that was just decided on is for, until its row opens.
    repeat: Option<(FailureKind, Duration)>,
    /// What an open row settles as when it is dropped.
    abandoned: Option<FailureKind>,
    rows_opened: u64,
}

impl Trail {
    /// A trail that begins now, with a fresh id (a version 7 UUID: ids sort by time, and are no secret).
    #[must_use]
    pub fn start() -> Self {
        let started_at = wall::now();
        let since_1970 = started_at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let millis = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        let mut random = [0; 10];
        fastrand::fill(&mut random);
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        let mut text = uuid::Uuid::encode_buffer();
        let id: &str = id.simple().encode_lower(&mut text);
        Self::begun(id.into(), started_at)
    }

    /// A trail that begins now, for a request that has an id already.
    #[must_use]
    pub fn with_id(id: impl Into<Arc<str>>) -> Self {
        Self::begun(id.into(), wall::now())
    }

    fn begun(id: Arc<str>, started_at: SystemTime) -> Self {
        Self(Arc::new(Shared {
            id: Arc::clone(&id),
            started: Instant::now(),
            state: Mutex::new(State {
                record: TrailSnapshot::begun(id, started_at),
                repeat: None,
                abandoned: None,
                rows_opened: 0,
            }),
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

    /// Says which residency rules hold for it, by name.
    pub fn governed_by(&self, policy: impl Into<Arc<str>>) {
        self.state().record.policy = Some(policy.into());
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
            cost: None,
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

    /// Adds a remark to the attempt that was opened last, or to the request if there is none. What is said twice is
    /// noted once.
    pub fn note(&self, note: impl Into<Cow<'static, str>>) {
        let note = note.into();
        let mut state = self.state();
        let record = &mut state.record;
        let notes = match record.attempts.last_mut() {
            Some(attempt) => &mut attempt.notes,
            None => &mut record.notes,
        };
        if !notes.contains(&note) {
            notes.push(note);
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

    /// Records that the answer broke off after so many characters, and that its rest is asked for.
    ///
    /// How the request ends is open again: a layer below may have said already that it failed.
    pub fn resume(&self, delivered: usize) {
        let at = Instant::now().saturating_duration_since(self.0.started);
        let mut state = self.state();
        state.decide(Decision::Resume);
        state.record.outcome = None;
        state.record.resumes.push(Resume {
            at,
            delivered,
            deployment: None,
            mode: None,
            cut: None,
            refused: None,
        });
    }

    /// Records who goes on with the answer, how, and where the texts meet.
    pub fn resumed(&self, mode: &'static str, cut: usize) {
        let mut state = self.state();
        state.record.outcome = None;
        let deployment = state.record.attempts.last();
        let deployment = deployment.map(|attempt| Arc::clone(&attempt.deployment));
        if let Some(resume) = state.record.resumes.last_mut() {
            resume.deployment = deployment;
            resume.mode = Some(mode);
            resume.cut = Some(cut);
        }
    }

    /// Records why the answer does not go on. How the request ends is for whoever tells the caller.
    pub fn not_resumed(&self, why: impl Into<Cow<'static, str>>) {
        let mut state = self.state();
        state.record.outcome = None;
        if let Some(resume) = state.record.resumes.last_mut() {
            resume.refused = Some(why.into());
        }
    }

    /// Says what the last attempt took at least, where its provider has not said all of it.
    pub fn estimated(&self, usage: Usage) {
        if let Some(attempt) = self.state().record.attempts.last_mut() {
            let known = attempt.usage.get_or_insert(usage);
            if known.source != UsageSource::Provider {
                known.output = known.output.max(usage.output);
            }
        }
    }

    /// The row that was opened last, for whoever has something to say of it later.
    #[must_use]
    pub fn last_row(&self) -> Option<RowId> {
        self.state()
            .record
            .attempts
            .last()
            .map(|attempt| RowId(attempt.row))
    }

    /// Says what an attempt took and cost. `row` is its row, if it has one; the sum grows either way.
    ///
    /// The tokens stand: what is reported of that attempt from now on was not paid for.
    pub fn spent(&self, row: Option<RowId>, usage: Usage, cost: NanoUsd) {
        let mut state = self.state();
        let record = &mut state.record;
        let sum = record.cost.unwrap_or_default().saturating_add(cost);
        record.cost = Some(sum);
        let attempts = &mut record.attempts;
        if let Some(RowId(row)) = row
            && let Some(attempt) = attempts.iter_mut().rfind(|attempt| attempt.row == row)
        {
            attempt.usage = Some(usage);
            attempt.cost = Some(cost);
        }
    }

    /// Says that a budget had no room. What is said twice is noted once.
    pub fn ceiling(&self, budget: impl Into<Arc<str>>, id: Arc<str>, effect: &'static str) {
        let ceiling = Ceiling {
            budget: budget.into(),
            id,
            effect,
        };
        let ceilings = &mut self.state().record.ceilings;
        if !ceilings.contains(&ceiling) {
            ceilings.push(ceiling);
        }
    }

    /// What the attempts have cost so far, where that is known of any.
    #[must_use]
    pub fn cost(&self) -> Option<NanoUsd> {
        self.state().record.cost
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
        record.taken(self.0.started)
    }

    /// The same, when the request is over: nothing is copied if this is the last handle.
    #[must_use]
    pub fn into_snapshot(self) -> TrailSnapshot {
        match Arc::try_unwrap(self.0) {
            Ok(Shared { started, state, .. }) => {
                let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
                state.record.taken(started)
            }
            Err(shared) => Self(shared).snapshot(),
        }
    }

    /// Nothing that runs under the lock can panic half-way, so a poisoned lock still guards a whole record.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests;
