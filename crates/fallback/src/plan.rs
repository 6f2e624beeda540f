use std::sync::Arc;
use std::vec;

use backstop_core::{
    BoxError, Classify, Continuing, Deadline, Deployment, Exhausted, Failure, FailureKind,
    HasExtensions, Ineligible, LastResort, Next, Observe, Outcome, Position, Reach, Trail,
};
use tokio::time::Instant;
use tower_service::Service;

use crate::strategy::Candidates;
use crate::tried::{self, Tried};
use crate::turns::Turns;
use crate::{Event, Fallback, Strategy};

/// One request's way through the chain: who had a turn, what came of it, what follows.
pub(crate) struct Plan<S, P, C, O, Req> {
    fallback: Fallback<S, P, C, O>,
    /// There until its last possible use, which takes it.
    request: Option<Req>,
    trail: Trail,
    deadline: Option<Deadline>,
    /// Whether this is the rest of an answer, and who could not give it.
    continuing: Option<Continuing>,
    turns: Turns,
    /// Whose turn it is.
    current: usize,
    /// The largest context window that proved too small.
    outgrown: Option<u64>,
    tried: Vec<Tried>,
    /// Once every target had its turn: the resting ones that are still to be asked as a last resort.
    resting: Option<vec::IntoIter<usize>>,
    /// Whether the current turn is one of those.
    again: bool,
    /// Who was told in its first turn already that it is the last resort.
    told: Option<usize>,
}

/// What follows.
pub(crate) enum Step<Res> {
    /// This target is asked.
    Ask(usize),
    /// The caller gets this.
    End(Result<Res, BoxError>),
}

impl<S, P, C, O, Req: HasExtensions> Plan<S, P, C, O, Req> {
    pub(crate) fn new(fallback: Fallback<S, P, C, O>, mut request: Req) -> Self {
        let extensions = request.extensions_mut();
        // Said by a fallback above about this whole chain. Whether one target of it is the last resort, this one
        // finds out by itself.
        extensions.remove::<LastResort>();
        Self {
            trail: Trail::of_or_start(extensions),
            deadline: extensions.get().copied(),
            continuing: extensions.get().cloned(),
            turns: Turns::new(&fallback.chain.candidates, extensions),
            fallback,
            request: Some(request),
            current: 0,
            outgrown: None,
            tried: Vec::new(),
            resting: None,
            again: false,
            told: None,
        }
    }
}

impl<S, P, C, O, Req> Plan<S, P, C, O, Req>
where
    S: Service<Req> + Clone,
    P: Strategy<Req>,
    C: Classify<S::Response>,
    O: for<'a> Observe<Event<'a>>,
    Req: Clone + HasExtensions,
{
    /// The first step.
    pub(crate) fn begin(&mut self) -> Step<S::Response> {
        self.go_on(None)
    }

    /// What to call for the target at `index`: a service that is not ready yet, and its request.
    pub(crate) fn attempt(&mut self, index: usize) -> (S, Req) {
        let all = &self.fallback.chain.candidates;
        let of = self.turns.admissible(all);
        let position = if self.again {
            of
        } else {
            self.turns.admitted()
        } - 1;
        let (last_use, last_resort) = match &self.resting {
            Some(resting) if self.again => (resting.len() == 0, true),
            _ if self.turns.taken() < self.turns.open(all) => (false, false),
            _ => {
                let asked = self.tried.iter().any(Tried::is_asked);
                let resting = self.tried.iter().any(Tried::is_resting);
                // If nobody was asked, and nobody but this target can be resting, then it alone would be asked
                // again as a last resort: it is told so right away.
                (asked || !resting, !asked && !resting)
            }
        };
        if last_resort {
            self.told = Some(index);
        }
        let mut request = if last_use && !self.turns.may_open(all) {
            self.request.take()
        } else {
            self.request.clone()
        }
        .expect("only the last use takes the request");
        let extensions = request.extensions_mut();
        extensions.insert(Position::new(position, of));
        if last_resort {
            extensions.insert(LastResort);
        }
        (self.fallback.chain.services[index].clone(), request)
    }

    /// The step that follows the outcome of the target whose turn it is.
    pub(crate) fn judge(&mut self, outcome: Result<S::Response, BoxError>) -> Step<S::Response> {
        let Some(failure) = self.fallback.classify.classify(outcome.as_ref()) else {
            return Step::End(outcome);
        };
        if self.ends_with(&failure) {
            return Step::End(outcome);
        }
        let (answer, error) = match outcome {
            Ok(response) => (Some((response, failure.clone())), failure.clone().into()),
            Err(error) => (None, error),
        };
        self.remember(failure, error);
        self.go_on(answer)
    }

    /// Whether the target whose turn it is has the last word with this failure.
    fn ends_with(&mut self, failure: &Failure) -> bool {
        self.report(failure);
        let next = self.fallback.policy.row(failure.kind()).next;
        let all = &self.fallback.chain.candidates;
        if next != Next::Surface {
            self.turns.fail(all, failure.kind());
        }
        if next == Next::Surface || self.turns.open(all) == 1 {
            self.hand_on(failure);
            return true;
        }
        if next == Next::AskLarger {
            self.outgrown = self.outgrown.max(self.deployment(self.current).window());
        }
        if failure.reach() != Reach::Refused && self.resting.is_some() {
            // This outcome decides: no other one is asked as a last resort.
            self.resting = Some(Vec::new().into_iter());
        }
        false
    }

    /// Gives the next target its turn. `answer` is the failed response that is left behind then.
    fn go_on(&mut self, mut answer: Option<(S::Response, Failure)>) -> Step<S::Response> {
        loop {
            let Some(index) = self.next_turn() else {
                return self.finish(answer);
            };
            if self
                .deadline
                .is_some_and(|deadline| deadline.instant() <= Instant::now())
            {
                return Step::End(Err(self.exhausted(FailureKind::Deadline)));
            }
            if self.again {
                self.tell(&Event::LastResort {
                    deployment: self.deployment(index),
                });
            } else if let Some(last) = self.tried.last() {
                self.trail.fallback(last.is_asked());
                self.tell(&Event::MovedOn {
                    from: self.deployment(last.index),
                    to: self.deployment(index),
                    failure: &last.failure,
                });
            }
            self.current = index;
            let window = self.deployment(index).window();
            if window.is_some() && window <= self.outgrown {
                let failure = Failure::ineligible(Ineligible::Window)
                    .with_detail("not larger than the one that was too small");
                self.report(&failure);
                self.turns
                    .fail(&self.fallback.chain.candidates, failure.kind());
                self.remember(failure.clone(), failure.into());
            } else if let Some(failure) = self.turns.refusal(index).cloned() {
                if self.ends_with(&failure) {
                    return Step::End(Err(failure.into()));
                }
                self.remember(failure.clone(), failure.into());
                answer = None;
            } else {
                return Step::Ask(index);
            }
        }
    }

    fn next_turn(&mut self) -> Option<usize> {
        self.again = false;
        if let Some(candidates) = Candidates::left(&self.fallback.chain.candidates, &self.turns) {
            let request = self
                .request
                .as_ref()
                .expect("only the last turn takes the request");
            let picked = match &self.continuing {
                Some(continuing) => Some(candidates.fittest(continuing)),
                None => self.fallback.strategy.pick(request, candidates),
            };
            let index = picked.unwrap_or(candidates.first()).index();
            self.turns.take(&self.fallback.chain.candidates, index);
            return Some(index);
        }
        self.again = true;
        let resting = self.resting.get_or_insert_with(|| {
            let mut resting = Vec::new();
            if !self.tried.iter().any(Tried::is_asked) {
                resting = tried::resting(&self.tried);
                resting.retain(|&index| {
                    self.told != Some(index) && self.turns.refusal(index).is_none()
                });
            }
            resting.into_iter()
        });
        resting.next()
    }

    /// Everyone had a turn, and nobody answered.
    fn finish(&mut self, answer: Option<(S::Response, Failure)>) -> Step<S::Response> {
        if let Some((response, failure)) = answer {
            self.hand_on(&failure);
            return Step::End(Ok(response));
        }
        if let Some(last) = self.tried.iter().rposition(|tried| !tried.is_barred())
            && self.tried[last].failure.kind() == FailureKind::ContentFilter
        {
            let Tried { failure, error, .. } = self.tried.swap_remove(last);
            self.hand_on(&failure);
            return Step::End(Err(error));
        }
        Step::End(Err(self.exhausted(tried::verdict(&self.tried))))
    }

    fn exhausted(&mut self, kind: FailureKind) -> BoxError {
        let tried = std::mem::take(&mut self.tried);
        let mut verdict = Failure::from(kind);
        if let Some(after) = tried::retry_after(&tried, kind) {
            verdict = verdict.with_retry_after(after);
        }
        if !tried.iter().any(Tried::is_asked) {
            verdict = verdict.with_reach(Reach::Refused);
        }
        if tried.last().is_some_and(Tried::is_asked) {
            self.trail.surface();
        }
        self.trail.end(match kind {
            FailureKind::Overloaded => Outcome::Exhausted,
            kind => Outcome::of(kind),
        });
        self.tell(&Event::Exhausted { verdict: &verdict });
        let errors = tried
            .into_iter()
            .map(|tried| (Arc::clone(self.deployment(tried.index)), tried.error))
            .collect();
        Exhausted::new(errors, verdict).into()
    }

    /// The caller gets what the target that failed so said.
    fn hand_on(&self, failure: &Failure) {
        if failure.reach() != Reach::Refused {
            self.trail.surface();
        }
        self.trail.end(Outcome::of(failure.kind()));
    }

    fn report(&self, failure: &Failure) {
        let deployment = self.deployment(self.current);
        if failure.reach() != Reach::Refused {
            self.tell(&Event::Failed {
                deployment,
                failure,
            });
            return;
        }
        // A target that rests on when asked as a last resort was reported as resting before.
        let known = self.again && failure.kind() == FailureKind::Ineligible(Ineligible::Cooling);
        if !known {
            self.trail.skip(deployment, failure);
            self.tell(&Event::Skipped {
                deployment,
                failure,
            });
        }
    }

    fn remember(&mut self, failure: Failure, error: BoxError) {
        let index = self.current;
        if self.again {
            self.tried.retain(|tried| tried.index != index);
        }
        self.tried.push(Tried::new(index, failure, error));
    }

    fn deployment(&self, index: usize) -> &Arc<Deployment> {
        self.fallback.chain.deployment(index)
    }

    fn tell(&self, event: &Event<'_>) {
        self.fallback.observe.observe(event);
    }
}
