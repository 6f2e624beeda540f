use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backstop_core::Continuing;

use crate::Candidate;
use crate::turns::Turns;

/// Picks who is asked next, among the targets of one tier that have not had their turn.
///
/// It is asked again after each failure, with those that are left, so that every target of a tier has its turn
/// before the next tier begins.
///
/// ```
/// use backstop_fallback::{Candidate, Candidates, Strategy};
///
/// /// The caller's own region first.
/// #[derive(Clone, Debug)]
/// struct Near;
///
/// impl<B> Strategy<http::Request<B>> for Near {
///     fn pick<'a>(&self, request: &http::Request<B>, candidates: Candidates<'a>) -> Option<&'a Candidate> {
///         let here = request.headers().get("x-region")?.to_str().ok()?;
///         candidates.iter().find(|candidate| candidate.deployment().region().is_some_and(|region| &**region == here))
///     }
/// }
/// ```
pub trait Strategy<Req> {
    /// One of `candidates`; `None` means the first.
    fn pick<'a>(&self, request: &Req, candidates: Candidates<'a>) -> Option<&'a Candidate>;
}

/// So that a strategy can be chosen at run time: `Arc<dyn Strategy<Req> + Send + Sync>`.
impl<Req, P: Strategy<Req> + ?Sized> Strategy<Req> for Arc<P> {
    fn pick<'a>(&self, request: &Req, candidates: Candidates<'a>) -> Option<&'a Candidate> {
        (**self).pick(request, candidates)
    }
}

/// The targets of one tier that may still have their turn; there is at least one.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    all: &'a [Candidate],
    turns: &'a Turns,
    first: &'a Candidate,
}

impl<'a> Candidates<'a> {
    /// Those of the first tier that has any left. Those that a failure has opened come first in the chain.
    pub(crate) fn left(all: &'a [Candidate], turns: &'a Turns) -> Option<Self> {
        let first = all.iter().find(|candidate| turns.is_left(candidate))?;
        Some(Self { all, turns, first })
    }

    /// The one that comes first in the chain.
    #[must_use]
    pub fn first(self) -> &'a Candidate {
        self.first
    }

    /// All of them, in the order of the chain.
    pub fn iter(self) -> impl Iterator<Item = &'a Candidate> + Clone {
        let Self { all, turns, first } = self;
        let tier = |candidate: &Candidate| (candidate.waits(), candidate.order());
        all[first.index()..]
            .iter()
            .take_while(move |candidate| tier(candidate) == tier(first))
            .filter(|candidate| turns.is_left(candidate))
    }

    /// Who is to go on with an answer, of all tiers: one that a failure has opened, then the one that does so most
    /// exactly, then one of the same model, then the next in the chain; those that broke come last.
    pub(crate) fn fittest(self, continuing: &Continuing) -> &'a Candidate {
        let rank = |candidate: &Candidate| {
            let deployment = candidate.deployment();
            (
                continuing.is_broken(deployment.id()),
                !candidate.waits(),
                !deployment.prefill(),
                !is_same_model(deployment.model(), continuing.model()),
            )
        };
        let left = self
            .all
            .iter()
            .filter(|candidate| self.turns.is_left(candidate));
        left.min_by_key(|candidate| rank(candidate))
            .unwrap_or(self.first)
    }

    /// Whether this is the first pick for its request.
    #[must_use]
    pub fn is_first_pick(self) -> bool {
        self.turns.taken() == 0
    }
}

/// Whether two providers' names mean one model.
fn is_same_model(one: &str, other: &str) -> bool {
    !one.is_empty() && bare(one) == bare(other)
}

/// A model's name without what Bedrock puts around it (`us.anthropic.` and `-v1:0`) and without its date.
fn bare(model: &str) -> &str {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let name = model
        .rsplit_once("anthropic.")
        .map_or(model, |(_, name)| name);
    let name = match name.rsplit_once("-v") {
        Some((name, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => name,
        _ => name,
    };
    match name.rsplit_once('-') {
        Some((name, date)) if date.len() == 8 && digits(date) => name,
        _ => name,
    }
}

/// In the order of the chain.
#[derive(Clone, Copy, Debug, Default)]
pub struct InOrder;

impl<Req> Strategy<Req> for InOrder {
    fn pick<'a>(&self, _: &Req, candidates: Candidates<'a>) -> Option<&'a Candidate> {
        Some(candidates.first())
    }
}

/// At random, each by its [`Deployment::weight`](backstop_core::Deployment::weight).
///
/// A target of weight 3 is three times as often picked as one of weight 1. Those of weight 0 come after all
/// others, in the order of the chain.
#[derive(Clone, Copy)]
pub struct Weighted<R = fn(u64) -> u64> {
    random: R,
}

impl Weighted {
    /// With the thread's own random numbers.
    #[must_use]
    pub fn new() -> Self {
        Self::with_random(|below| fastrand::u64(..below))
    }
}

impl<R> Weighted<R> {
    /// With `random`, which is given a number, never 0, and returns one below that, each with the same chance.
    pub const fn with_random(random: R) -> Self {
        Self { random }
    }
}

impl Default for Weighted {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> fmt::Debug for Weighted<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weighted").finish_non_exhaustive()
    }
}

impl<Req, R: Fn(u64) -> u64> Strategy<Req> for Weighted<R> {
    fn pick<'a>(&self, _: &Req, candidates: Candidates<'a>) -> Option<&'a Candidate> {
        let weight = |candidate: &Candidate| u64::from(candidate.deployment().weight());
        let total: u64 = candidates.iter().map(weight).sum();
        if total == 0 {
            return None;
        }
        let mut at = (self.random)(total);
        candidates.iter().find(|candidate| {
            let weight = weight(candidate);
            let hit = at < weight;
            at = at.saturating_sub(weight);
            hit
        })
    }
}

/// The one with the fewest requests in flight; among equals, each in turn.
///
/// What is in flight is counted by a [`LoadLayer`](crate::LoadLayer) in each target's service. Clones take turns
/// together.
#[derive(Clone, Debug, Default)]
pub struct LeastBusy {
    turn: Arc<AtomicUsize>,
}

impl LeastBusy {
    /// With a turn of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<Req> Strategy<Req> for LeastBusy {
    fn pick<'a>(&self, _: &Req, candidates: Candidates<'a>) -> Option<&'a Candidate> {
        // One turn per request, however many picks it needs: were each pick a turn, requests that need two would
        // begin with the same one of two targets forever. Only the count matters, so no ordering does.
        let turn = if candidates.is_first_pick() {
            self.turn.fetch_add(1, Ordering::Relaxed)
        } else {
            self.turn.load(Ordering::Relaxed)
        };
        let start = turn % candidates.iter().count();
        let rotated = candidates
            .iter()
            .skip(start)
            .chain(candidates.iter().take(start));
        rotated.min_by_key(|candidate| candidate.load().in_flight())
    }
}

#[cfg(test)]
mod tests;
