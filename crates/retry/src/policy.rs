use std::any::type_name;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use backstop_core::{
    Again, Classify, Deadline, Failure, Failures, HasExtensions, Policy, Position, Reach, Trail,
};
use http::Extensions;
use tokio::time::Instant;

use crate::RetryBudget;
use crate::future::Pause;

const RETRIES: u32 = 2;
const BACKOFF: Duration = Duration::from_millis(80);
const PATIENCE: Duration = Duration::from_secs(1);
/// No backoff of ours grows beyond this, however much patience there is.
const MAX_BACKOFF: Duration = Duration::from_secs(20);

/// Decides whether, and when, the same service is asked again. For [`tower::retry::RetryLayer`].
///
/// See the [crate docs](crate) for an example and for the order of its decisions.
///
/// | setting | default | |
/// |---|---|---|
/// | [`retries`](Self::retries) | 2 | repeats for one request, all services together |
/// | [`backoff`](Self::backoff) | 80 ms | before the first repeat; doubles with each |
/// | [`patience`](Self::patience) | 1 s | the longest pause before a repeat |
/// | [`policy`](Self::policy) | [`Policy::default`] | which failures may be repeated here |
/// | [`classify`](Self::classify) | [`Failures`] | what is a failure |
/// | [`budget`](Self::budget) | a [`RetryBudget`] of its own | the share of repeats in all calls |
///
/// # Clone
///
/// Clones share the budget. Tower clones the policy for each request, which is a few words and a reference count.
#[derive(Clone)]
pub struct RetryPolicy<C = Failures> {
    classify: C,
    policy: Policy,
    retries: u32,
    backoff: Duration,
    patience: Duration,
    jitter: fn() -> f64,
    budget: Arc<RetryBudget>,
    /// Repeats of the call that this clone belongs to.
    here: u32,
}

/// What a decision depends on besides the failure.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Situation {
    /// When the failure came.
    pub now: Instant,
    /// Repeats made for the request so far, by every service that it came to.
    pub retries: u32,
    /// Those of them that were made of this call.
    pub here: u32,
    /// Whether there is no other deployment to go to.
    pub alone: bool,
    /// When the request's time is over.
    pub deadline: Option<Deadline>,
}

impl Situation {
    /// The situation, now, of a call that has been repeated `here` times, for a request with these extensions.
    #[must_use]
    pub fn of(extensions: &Extensions, here: u32) -> Self {
        Self {
            now: Instant::now(),
            retries: Trail::of(extensions).map_or(here, Trail::retries),
            here,
            alone: extensions
                .get::<Position>()
                .is_none_or(|position| position.is_alone()),
            deadline: extensions.get().copied(),
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl RetryPolicy {
    /// The policy with its defaults, and a budget of its own.
    #[must_use]
    pub fn new() -> Self {
        Self {
            classify: Failures,
            policy: Policy::new(),
            retries: RETRIES,
            backoff: BACKOFF,
            patience: PATIENCE,
            jitter: fastrand::f64,
            budget: Arc::new(RetryBudget::new()),
            here: 0,
        }
    }
}

impl<C> RetryPolicy<C> {
    /// Sets how often calls are repeated for one request: repeats, not attempts, all services together. 0 turns
    /// retrying off.
    #[must_use]
    pub const fn retries(mut self, repeats: u32) -> Self {
        self.retries = repeats;
        self
    }

    /// Sets the pause before the first repeat where the failure names none; it doubles with each repeat of the call.
    ///
    /// The real pause is drawn between zero and that ("full jitter"), so that callers who failed together do not come
    /// back together. It is never longer than patience, nor than 20 s.
    #[must_use]
    pub const fn backoff(mut self, base: Duration) -> Self {
        self.backoff = base;
        self
    }

    /// Sets the longest pause. A failure that asks for a longer one is passed on at once, and so is one that asks for
    /// more than a quarter of what is left of the request's deadline.
    ///
    /// Give the circuit breaker of the same deployment the same value.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets the table that says which failures may be repeated here.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets what is a failure.
    #[must_use]
    pub fn classify<T>(self, classify: T) -> RetryPolicy<T> {
        RetryPolicy {
            classify,
            policy: self.policy,
            retries: self.retries,
            backoff: self.backoff,
            patience: self.patience,
            jitter: self.jitter,
            budget: self.budget,
            here: self.here,
        }
    }

    /// Sets the budget, for several policies to share one or for one to outlive its policy.
    #[must_use]
    pub fn budget(mut self, budget: Arc<RetryBudget>) -> Self {
        self.budget = budget;
        self
    }

    /// Sets where the jitter comes from: a number from 0 to 1, by which the backoff is multiplied.
    ///
    /// For tests; the default draws from the thread's random numbers.
    #[must_use]
    pub const fn jitter(mut self, jitter: fn() -> f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// Whether a call that ended with `failure` is worth repeating, and after what delay.
    ///
    /// This is the whole decision but for the budget, which is asked last and elsewhere: nothing is counted or taken
    /// here.
    #[must_use]
    pub fn decide(&self, failure: &Failure, situation: &Situation) -> Option<Duration> {
        if failure.reach() == Reach::Refused || failure.may_retry_here() == Some(false) {
            return None;
        }
        let backs_off = match self.policy.row(failure.kind()).again {
            Again::IfUnsent if failure.reach() == Reach::Unsent && situation.here == 0 => false,
            Again::IfAlone if situation.alone => true,
            Again::AfterHint => true,
            Again::Never | Again::IfUnsent | Again::IfAlone => return None,
        };
        if situation.retries >= self.retries {
            return None;
        }
        let backoff = if backs_off {
            self.draw(situation.here)
        } else {
            Duration::ZERO
        };
        let delay = backoff.max(failure.retry_after().unwrap_or_default());
        let left = situation
            .deadline
            .map_or(Duration::MAX, |deadline| deadline.remaining(situation.now));
        let in_time = delay <= self.patience.min(left / 4) && delay < left;
        in_time.then_some(delay)
    }

    /// The pause before the next repeat of a call that has been repeated `here` times.
    fn draw(&self, here: u32) -> Duration {
        let longest = self
            .backoff
            .saturating_mul(2u32.saturating_pow(here))
            .min(self.patience)
            .min(MAX_BACKOFF);
        let part = (self.jitter)();
        // What is no number between is the nearer end; NaN, which has none, is zero.
        if part > 0.0 {
            longest.mul_f64(part.min(1.0))
        } else {
            Duration::ZERO
        }
    }
}

impl<C, Req, Res, E> tower::retry::Policy<Req, Res, E> for RetryPolicy<C>
where
    C: Classify<Res, E>,
    Req: Clone + HasExtensions,
{
    type Future = Pause;

    fn retry(&mut self, request: &mut Req, result: &mut Result<Res, E>) -> Option<Self::Future> {
        let failure = self.classify.classify(result.as_ref())?;
        let extensions = request.extensions();
        let delay = self.decide(&failure, &Situation::of(extensions, self.here))?;
        if !self.budget.withdraw() {
            return None;
        }
        self.here += 1;
        if let Some(trail) = Trail::of(extensions) {
            trail.retry(failure.kind(), delay);
        }
        Some(Pause::new(delay))
    }

    /// `None` once there is nothing left to repeat: Tower then does not ask.
    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        if self.here == 0 {
            self.budget.deposit();
        }
        (self.here < self.retries).then(|| request.clone())
    }
}

impl<C> fmt::Debug for RetryPolicy<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("classify", &format_args!("{}", type_name::<C>()))
            .field("retries", &self.retries)
            .field("backoff", &self.backoff)
            .field("patience", &self.patience)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
