use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backstop_core::{Blame, Failure, Observe};
use tokio::time::Instant;

use crate::config::Rest;
use crate::error::Resting;
use crate::window::{Failures, Samples};
use crate::word::{Claim, Stamp, Word};
use crate::{CooldownConfig, Event, State, Ticket};

pub(crate) type Observer = Arc<dyn for<'a> Observe<Event<'a>> + Send + Sync>;

/// Between two requests that a circuit lets through early, and until a refused one may hope for a probe's verdict.
const SECOND: Duration = Duration::from_secs(1);

/// One circuit breaker: what is known of the health of one deployment, credential or endpoint.
///
/// Clones share it. It lives as long as somebody holds it, apart from the stacks that use it: see
/// [`Circuits`](crate::Circuits).
///
/// - **Closed**: everything passes; outcomes are counted.
/// - **Open**: nothing passes until its time; the first request after it is the probe.
/// - **Probing**: nothing else passes. A probe that is answered closes the circuit, one that fails opens it for
///   longer; one that is dropped, or fails for reasons that say nothing about health, gives its place to the next
///   request.
///
/// A refusal of the request itself (a bad request, a content filter, a prompt that is too long) is an answer: it
/// closes the circuit as a probe, and counts for nothing otherwise.
///
/// What a request that was admitted before a change finds out after it is ignored.
///
/// The state is one atomic word; admitting and settling in a closed circuit neither locks nor allocates.
///
/// ```
/// use backstop_cooldown::{Circuit, CooldownConfig, State};
/// use backstop_core::{Failure, FailureKind};
///
/// let circuit = Circuit::new("primary", CooldownConfig::new().allowed_fails(0));
/// let ticket = circuit.admit(false).expect("closed");
/// ticket.fail(&Failure::new(FailureKind::ServerError));
///
/// assert_eq!(circuit.state(), State::Open);
/// let refused = circuit.admit(false).expect_err("resting");
/// assert_eq!(refused.cause(), FailureKind::ServerError);
/// ```
#[derive(Clone)]
pub struct Circuit(Arc<Shared>);

struct Shared {
    id: Arc<str>,
    start: Instant,
    /// Decides. It changes with the lock held, except when a dropped probe gives its place back.
    word: Word,
    samples: Samples,
    details: Mutex<Details>,
    observer: Option<Observer>,
}

struct Details {
    config: CooldownConfig,
    failures: Failures,
    /// `Some` exactly while the word is not closed.
    opened: Option<Opened>,
}

struct Opened {
    cause: Failure,
    rest: Rest,
    until: u64,
    /// How many probes failed in a row.
    failed_probes: u32,
    /// From when on a last resort may pass early.
    early_from: u64,
}

impl Circuit {
    /// A closed circuit.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>, config: CooldownConfig) -> Self {
        Self::build(id.into(), config, None)
    }

    pub(crate) fn build(id: Arc<str>, config: CooldownConfig, observer: Option<Observer>) -> Self {
        Self(Arc::new(Shared {
            id,
            start: Instant::now(),
            word: Word::new(),
            samples: Samples::new(),
            details: Mutex::new(Details {
                config,
                failures: Failures::default(),
                opened: None,
            }),
            observer,
        }))
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.0.id
    }

    /// Asks to make one call.
    ///
    /// `last_resort` says that no other deployment is left for reasons of health: then a circuit that statistics
    /// opened admits before its time, one call at a time and one a second. If that call is answered the circuit
    /// closes; if it fails, the rest goes on as if it had not been made. A rest that a provider named, or that
    /// somebody has to end, is never relaxed.
    ///
    /// # Errors
    ///
    /// [`Resting`] if the circuit is open, or has its probe already.
    pub fn admit(&self, last_resort: bool) -> Result<Ticket, Resting> {
        let stamp = self.0.word.load();
        if stamp.state() == State::Closed {
            let claim = Claim { stamp, until: 0 };
            return Ok(Ticket::new(self.clone(), claim));
        }
        self.probe(last_resort)
    }

    #[cold]
    fn probe(&self, last_resort: bool) -> Result<Ticket, Resting> {
        let shared = &*self.0;
        let mut details = shared.details();
        let now = shared.now();
        let lease = micros(details.config.probe_lease);
        let early = last_resort
            && details.opened.as_ref().is_some_and(|opened| {
                matches!(opened.rest, Rest::Guess(_)) && opened.early_from <= now
            });
        let result = match shared.word.claim(now, lease, early) {
            Ok(claim) => {
                if let Some(opened) = &mut details.opened
                    && claim.until > now
                {
                    opened.early_from = now + micros(SECOND);
                }
                Ok(Ticket::new(self.clone(), claim))
            }
            Err(seen) => {
                let opened = details
                    .opened
                    .as_ref()
                    .expect("a circuit that is not closed knows why");
                let until = if seen.state() == State::Open {
                    seen.deadline()
                } else {
                    opened.until.max(now + micros(SECOND))
                };
                let left = Duration::from_micros(until.saturating_sub(now));
                Err(Resting::new(&opened.cause, shared.instant(until), left))
            }
        };
        drop(details);
        match &result {
            Ok(ticket) if ticket.is_probe() => shared.tell(Event::Probing {
                circuit: &shared.id,
            }),
            Ok(_) => {}
            Err(resting) => shared.tell(Event::Refused {
                circuit: &shared.id,
                until: resting.until(),
            }),
        }
        result
    }

    /// What it does with requests. An open circuit whose time has come stays open until somebody probes it.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.word.load().state()
    }

    /// Until when an open circuit rests; `None` in the other states.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        let stamp = self.0.word.load();
        (stamp.state() == State::Open).then(|| self.0.instant(stamp.deadline()))
    }

    /// What it opened for; `None` if it is closed.
    #[must_use]
    pub fn cause(&self) -> Option<Failure> {
        let details = self.0.details();
        details.opened.as_ref().map(|opened| opened.cause.clone())
    }

    /// Whether it refuses an ordinary request now.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        let stamp = self.0.word.load();
        stamp.state() != State::Closed && stamp.deadline() > self.0.now()
    }

    /// Closes it and forgets what it knew: the key was changed, or an operator knows better.
    ///
    /// What calls that are under way find out does not count any more.
    pub fn reset(&self) {
        let shared = &*self.0;
        let mut details = shared.details();
        // Only a probe that gives its place back can come between.
        while shared.close(&mut details, shared.word.load()).is_none() {}
        let opened = details.opened.take();
        drop(details);
        shared.tell_closed(opened);
    }

    /// Replaces its settings. What it knows stays; if the new settings turn it off, it closes.
    pub fn configure(&self, config: CooldownConfig) {
        let disabled = config.is_disabled();
        self.0.details().config = config;
        if disabled {
            self.reset();
        }
    }

    /// A call that was admitted by `claim` is answered: a probe closes the circuit, and goes on as an ordinary
    /// call under the claim that is returned.
    pub(crate) fn answered(&self, claim: Claim) -> Option<Claim> {
        let shared = &*self.0;
        let mut details = shared.details();
        let stamp = shared.close(&mut details, claim.stamp)?;
        let opened = details.opened.take();
        drop(details);
        shared.tell_closed(opened);
        Some(Claim { stamp, until: 0 })
    }

    /// Counts a success at `now`.
    pub(crate) fn succeeded(&self, stamp: Stamp, now: Instant) {
        let shared = &*self.0;
        if shared.word.load() == stamp {
            shared.samples.add(shared.age(now), false);
        }
    }

    /// Counts a failure, and opens the circuit if that is what it takes. False if it says nothing about health.
    pub(crate) fn failed(&self, claim: Claim, failure: &Failure) -> bool {
        let shared = &*self.0;
        let mut details = shared.details();
        if details.config.blame(failure.kind()) == Blame::None {
            return false;
        }
        // Taken with the lock held, so that it never goes back from one failure to the next.
        let now = shared.now();
        let is_current = shared.word.load() == claim.stamp && !details.config.is_disabled();
        let tips = is_current
            && (claim.stamp.state() == State::Probing || shared.tips(&mut details, failure, now));
        if tips && let Some(until) = shared.open(&mut details, claim, failure, now) {
            drop(details);
            shared.tell(Event::Opened {
                circuit: &shared.id,
                cause: failure,
                rest: Duration::from_micros(until - now),
                until: shared.instant(until),
            });
        }
        true
    }

    /// A probe ends without a verdict.
    pub(crate) fn give_back(&self, claim: Claim) {
        // In vain if the probe was settled, or has outlived its lease.
        let _ = self.0.word.advance(claim.stamp, State::Open, claim.until);
    }
}

impl Shared {
    /// Counts `failure`, and says whether the closed circuit has had enough.
    fn tips(&self, details: &mut Details, failure: &Failure, now: u64) -> bool {
        let config = &details.config;
        let blame = config.blame(failure.kind());
        if config.opens_at_once(failure) {
            return true;
        }
        self.samples.add(now, true);
        if blame == Blame::Counts && details.failures.add(now) > config.allowed_fails as usize {
            return true;
        }
        let (samples, failed) = self.samples.sum(now);
        samples >= u64::from(config.min_samples) && failed as f64 >= config.ratio * samples as f64
    }

    /// From closed or probing to open. Says until when, if that is news.
    fn open(
        &self,
        details: &mut Details,
        claim: Claim,
        failure: &Failure,
        now: u64,
    ) -> Option<u64> {
        let mends = details.config.blame(failure.kind()) == Blame::Broken;
        let failed_probes = match &details.opened {
            Some(opened) if matches!(opened.rest, Rest::Mend(_)) == mends => {
                opened.failed_probes.saturating_add(1)
            }
            _ => 0,
        };
        let rest = details.config.rest(failure, failed_probes);
        let until = now + micros(rest.duration());
        let early_from = now + micros(SECOND);
        if let Some(opened) = &mut details.opened
            && claim.until > now
        {
            // A last resort has failed: the rest that it interrupted goes on as if it had not been asked, unless
            // the failure asks for a longer one, or for somebody to mend something.
            let next = match rest {
                Rest::Guess(_) => Some(early_from),
                Rest::Hint(_) if until <= claim.until => Some(until.max(early_from)),
                Rest::Hint(_) | Rest::Mend(_) => None,
            };
            if let Some(next) = next {
                opened.early_from = next;
                self.word.advance(claim.stamp, State::Open, claim.until)?;
                return None;
            }
        }
        let until = until.max(claim.until);
        self.word.advance(claim.stamp, State::Open, until)?;
        details.opened = Some(Opened {
            cause: failure.clone(),
            rest,
            until,
            failed_probes,
            // The first last resort after a trip need not wait.
            early_from: if details.opened.is_some() {
                early_from
            } else {
                now
            },
        });
        Some(until)
    }

    /// From `stamp` to closed, with nothing counted.
    fn close(&self, details: &mut Details, stamp: Stamp) -> Option<Stamp> {
        if self.word.load() != stamp {
            return None;
        }
        details.failures.clear();
        // Before the word changes: from then on samples of the new epoch come in.
        self.samples.clear();
        self.word.advance(stamp, State::Closed, 0)
    }

    fn now(&self) -> u64 {
        self.age(Instant::now())
    }

    fn age(&self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.start);
        age.as_secs() * 1_000_000 + u64::from(age.subsec_micros())
    }

    fn instant(&self, at: u64) -> Instant {
        self.start + Duration::from_micros(at)
    }

    /// Nothing that runs under the lock leaves it half-changed, so a poisoned lock still guards a whole state.
    fn details(&self) -> MutexGuard<'_, Details> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_closed(&self, opened: Option<Opened>) {
        if let Some(Opened { cause, .. }) = opened {
            self.tell(Event::Closed {
                circuit: &self.id,
                cause: &cause,
            });
        }
    }

    fn tell(&self, event: Event<'_>) {
        if let Some(observer) = &self.observer {
            observer.observe(&event);
        }
    }
}

/// Rounded up: a rest is never shorter than it was asked to be.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit")
            .field("id", &self.0.id)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
