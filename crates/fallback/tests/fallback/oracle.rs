//! Random chains, against a naive reading of the rules.

use std::time::Duration;

use backstop_core::{
    BoxError, Deployment, Exhausted, Failure, FailureKind, Ineligible, Next, Policy, Reach,
};
use backstop_fallback::Fallback;
use http::Response;
use proptest::prelude::*;
use tower::ServiceExt;

use crate::support::{Act, Log, Scripted, target_at, trailed};

#[derive(Clone, Debug)]
struct Spec {
    order: u32,
    window: Option<u64>,
    only_after: &'static [FailureKind],
    /// Why its check refuses every request, if it does.
    refusal: Option<Failure>,
    act: Act,
    last: Act,
}

#[derive(Debug, PartialEq)]
struct Call {
    who: usize,
    /// `index/of`.
    position: String,
    as_last_resort: bool,
}

#[derive(Debug, PartialEq)]
enum End {
    /// The target's own response.
    Response(usize),
    /// The target's own error.
    Error(usize),
    /// The failure of a target whose response was let go, or that was refused.
    Failure(FailureKind),
    Exhausted {
        who: Vec<usize>,
        verdict: FailureKind,
        retry_after: Option<Duration>,
    },
}

#[derive(Debug, PartialEq)]
struct Story {
    end: End,
    calls: Vec<Call>,
    skipped: Vec<(usize, FailureKind)>,
    fallbacks: u32,
}

impl Spec {
    /// What it does when it has its turn. Readiness is lost before the request is seen.
    fn does(&self, last_resort: bool) -> &Act {
        match (&self.act, last_resort) {
            (Act::Break(_), _) | (_, false) => &self.act,
            (_, true) => &self.last,
        }
    }
}

fn failure_in(act: &Act) -> Option<&Failure> {
    match act {
        Act::Answer | Act::Wait | Act::Hang => None,
        Act::Refuse(failure) | Act::Fail(failure) | Act::Break(failure) => Some(failure),
    }
}

/// The rules, read as prose: no state machine, nothing moved, no time passes.
#[derive(Default)]
struct Reading {
    calls: Vec<Call>,
    skipped: Vec<(usize, FailureKind)>,
    fallbacks: u32,
    had_turn: Vec<usize>,
    failed: Vec<(usize, Failure)>,
    /// Every failure there was, of whomever.
    seen: Vec<FailureKind>,
    /// The largest window that the provider called too small.
    outgrown: Option<u64>,
    /// Passed over for their windows.
    too_small: Vec<usize>,
    /// Told in its turn that it is the last resort.
    told: Option<usize>,
}

impl Reading {
    fn was_asked(&self) -> bool {
        self.failed
            .iter()
            .any(|(_, failure)| failure.reach() != Reach::Refused)
    }

    fn is_cooling(failure: &Failure) -> bool {
        failure.kind() == FailureKind::Ineligible(Ineligible::Cooling)
    }

    fn is_barred(failure: &Failure) -> bool {
        matches!(failure.kind(), FailureKind::Ineligible(why)
            if !matches!(why, Ineligible::Cooling | Ineligible::Saturated | Ineligible::Ledger))
    }

    /// Asks one; `Some` if that ends it.
    fn ask(&mut self, chain: &[Spec], index: usize, told: bool, again: bool) -> Option<End> {
        let spec = &chain[index];
        let act = spec.does(told);
        // Readiness is lost before the request is seen.
        let act = if let Act::Break(_) = spec.act {
            &spec.act
        } else {
            act
        };
        if !matches!(act, Act::Break(_)) || !matches!(spec.act, Act::Break(_)) {
            let admitted = |indices: &mut dyn Iterator<Item = usize>| {
                indices.filter(|&it| chain[it].refusal.is_none()).count()
            };
            let of = admitted(&mut (0..chain.len()).filter(|&it| self.is_open(chain, it)));
            let had_turn = admitted(&mut self.had_turn.iter().copied());
            let nth = if again { of } else { had_turn };
            self.calls.push(Call {
                who: index,
                position: format!("{}/{of}", nth - 1),
                as_last_resort: told,
            });
        }
        let own = match act {
            Act::Fail(_) | Act::Break(_) => End::Error(index),
            _ => End::Response(index),
        };
        let Some(failure) = failure_in(act) else {
            return Some(own);
        };
        self.fail(chain, index, failure, own, again)
    }

    fn was_called(&self, index: usize, as_last_resort: bool) -> bool {
        self.calls
            .iter()
            .any(|call| call.who == index && call.as_last_resort == as_last_resort)
    }

    /// It fails so; `Some` if that ends it.
    fn fail(
        &mut self,
        chain: &[Spec],
        index: usize,
        failure: &Failure,
        own: End,
        again: bool,
    ) -> Option<End> {
        if failure.reach() == Reach::Refused && !(again && Self::is_cooling(failure)) {
            self.skipped.push((index, failure.kind()));
        }
        if Policy::default().row(failure.kind()).next == Next::Surface {
            return Some(own);
        }
        self.seen.push(failure.kind());
        if (0..chain.len())
            .filter(|&it| self.is_open(chain, it))
            .count()
            == 1
        {
            return Some(own);
        }
        self.failed.retain(|(other, _)| *other != index);
        self.failed.push((index, failure.clone()));
        None
    }

    fn is_open(&self, chain: &[Spec], index: usize) -> bool {
        let only_after = chain[index].only_after;
        only_after.is_empty() || only_after.iter().any(|kind| self.seen.contains(kind))
    }

    /// Who has the next turn: by tier, those that a failure has opened before all others.
    fn next(&self, chain: &[Spec]) -> Option<usize> {
        (0..chain.len())
            .filter(|index| !self.had_turn.contains(index) && self.is_open(chain, *index))
            .min_by_key(|&index| {
                let spec = &chain[index];
                (spec.only_after.is_empty(), spec.order, index)
            })
    }

    /// Each that is open has its turn; `Some` if one of them ends it.
    fn turns(&mut self, chain: &[Spec]) -> Option<End> {
        while let Some(index) = self.next(chain) {
            self.fallbacks += u32::from(!self.had_turn.is_empty());
            self.had_turn.push(index);
            let window = chain[index].window;
            if window.is_some() && window <= self.outgrown {
                let kind = FailureKind::Ineligible(Ineligible::Window);
                self.skipped.push((index, kind));
                self.seen.push(kind);
                self.failed.push((index, kind.into()));
                self.too_small.push(index);
                continue;
            }
            if let Some(failure) = &chain[index].refusal {
                let own = End::Failure(failure.kind());
                if let Some(end) = self.fail(chain, index, failure, own, false) {
                    return Some(end);
                }
                continue;
            }
            let others_barred = !self.was_asked()
                && !self
                    .failed
                    .iter()
                    .any(|(_, failure)| Self::is_cooling(failure));
            let told = self.next(chain).is_none() && others_barred;
            if told {
                self.told = Some(index);
            }
            if let Some(end) = self.ask(chain, index, told, false) {
                return Some(end);
            }
            self.outgrow(chain, index);
        }
        None
    }

    fn outgrow(&mut self, chain: &[Spec], index: usize) {
        let (_, failure) = self.failed.last().expect("it failed");
        if failure.kind() == FailureKind::ContextWindow {
            self.outgrown = self.outgrown.max(chain[index].window);
        }
    }

    fn whole(&mut self, chain: &[Spec]) -> End {
        if let Some(end) = self.turns(chain) {
            return end;
        }
        let mut resting: Vec<_> = self
            .failed
            .iter()
            .filter(|(index, failure)| {
                Self::is_cooling(failure)
                    && self.told != Some(*index)
                    && chain[*index].refusal.is_none()
            })
            .map(|(index, failure)| (failure.retry_after().unwrap_or(Duration::MAX), *index))
            .collect();
        resting.sort_by_key(|(after, _)| *after);
        for (_, index) in resting {
            if self.was_asked() {
                break;
            }
            if let Some(end) = self.ask(chain, index, true, true) {
                return end;
            }
            self.outgrow(chain, index);
            if let Some(end) = self.turns(chain) {
                return end;
            }
        }
        // The last that said something itself.
        if let Some((index, _)) = self
            .failed
            .iter()
            .rfind(|(index, _)| !self.too_small.contains(index))
            && chain[*index].refusal.is_none()
            && let Act::Refuse(_) = chain[*index].does(self.was_called(*index, true))
        {
            return End::Response(*index);
        }

        let eligible: Vec<_> = self
            .failed
            .iter()
            .filter(|(_, failure)| !Self::is_barred(failure))
            .collect();
        if let Some((index, failure)) = eligible.last()
            && failure.kind() == FailureKind::ContentFilter
        {
            let spec = &chain[*index];
            return match spec.does(self.was_called(*index, true)) {
                Act::Refuse(_) => End::Failure(FailureKind::ContentFilter),
                _ => End::Error(*index),
            };
        }
        let has = |why| {
            let kind = FailureKind::Ineligible(why);
            self.failed
                .iter()
                .any(|(_, failure)| failure.kind() == kind)
        };
        let verdict = if !eligible.is_empty() {
            let only = |kind| eligible.iter().all(|(_, failure)| failure.kind() == kind);
            let ledger = FailureKind::Ineligible(Ineligible::Ledger);
            if only(FailureKind::ContextWindow) {
                FailureKind::ContextWindow
            } else if only(ledger) {
                ledger
            } else {
                FailureKind::Overloaded
            }
        } else if has(Ineligible::Budget) {
            FailureKind::Ineligible(Ineligible::Budget)
        } else if has(Ineligible::Window) {
            FailureKind::Ineligible(Ineligible::Window)
        } else if has(Ineligible::Capability) {
            FailureKind::Ineligible(Ineligible::Capability)
        } else {
            FailureKind::Ineligible(Ineligible::Region)
        };
        let retry_after = self
            .failed
            .iter()
            .filter(|(_, failure)| {
                if verdict == FailureKind::Overloaded {
                    !Self::is_barred(failure)
                } else {
                    failure.kind() == verdict
                }
            })
            .filter_map(|(_, failure)| failure.retry_after())
            .min();
        End::Exhausted {
            who: self.failed.iter().map(|(index, _)| *index).collect(),
            verdict,
            retry_after,
        }
    }
}

fn read(chain: &[Spec]) -> Story {
    let mut reading = Reading::default();
    let end = reading.whole(chain);
    Story {
        end,
        calls: reading.calls,
        skipped: reading.skipped,
        fallbacks: reading.fallbacks,
    }
}

async fn live(chain: &[Spec]) -> Story {
    let log = Log::default();
    let targets = chain.iter().enumerate().map(|(index, spec)| {
        let deployment = Deployment::new(index.to_string());
        let deployment = match spec.window {
            Some(window) => deployment.with_window(window),
            None => deployment,
        };
        let target = target_at(&log, deployment, spec.act.clone(), spec.last.clone())
            .with_order(spec.order)
            .only_after(spec.only_after);
        match spec.refusal.clone() {
            Some(refusal) => target.admitting(move |_| Err(refusal.clone())),
            None => target,
        }
    });
    let fallback = Fallback::new(targets).expect("not empty");
    let (request, trail) = trailed(&log);
    let outcome = fallback.oneshot(request).await;
    let record = trail.snapshot();
    Story {
        end: end(outcome),
        calls: log
            .calls()
            .iter()
            .map(|call| {
                let mut words = call.split(' ');
                let mut word = || words.next().unwrap_or_default();
                Call {
                    who: number(word()),
                    position: word().to_owned(),
                    as_last_resort: word() == "last",
                }
            })
            .collect(),
        skipped: record
            .skipped
            .iter()
            .map(|skipped| (number(skipped.deployment.id()), skipped.reason))
            .collect(),
        fallbacks: record.fallbacks,
    }
}

fn end(outcome: Result<Response<String>, BoxError>) -> End {
    let error = match outcome {
        Ok(response) => return End::Response(number(response.body())),
        Err(error) => error,
    };
    if let Some(Scripted(id, _)) = error.downcast_ref() {
        return End::Error(number(id));
    }
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return End::Failure(failure.kind());
    }
    let all = error.downcast_ref::<Exhausted>().expect("nothing else");
    End::Exhausted {
        who: all
            .errors()
            .iter()
            .map(|(deployment, _)| number(deployment.id()))
            .collect(),
        verdict: all.verdict().kind(),
        retry_after: all.retry_after(),
    }
}

fn number(id: &str) -> usize {
    id.parse().expect("a number")
}

fn failure() -> impl Strategy<Value = Failure> {
    use FailureKind::{
        Auth, ContentFilter, ContextWindow, Network, Overloaded, RateLimit, ServerError,
    };
    let asked = prop::sample::select(vec![
        Auth,
        ContentFilter,
        ContentFilter,
        ContextWindow,
        ContextWindow,
        Network,
        Overloaded,
        RateLimit,
        ServerError,
    ])
    .prop_map(Failure::new);
    hinted(prop_oneof![1 => asked, 2 => ineligible()])
}

fn ineligible() -> impl Strategy<Value = Failure> {
    prop::sample::select(vec![
        Ineligible::Budget,
        Ineligible::Capability,
        Ineligible::Cooling,
        Ineligible::Cooling,
        Ineligible::Cooling,
        Ineligible::Ledger,
        Ineligible::Ledger,
        Ineligible::Region,
        Ineligible::Saturated,
        Ineligible::Window,
    ])
    .prop_map(Failure::ineligible)
}

fn hinted(failure: impl Strategy<Value = Failure>) -> impl Strategy<Value = Failure> {
    (failure, prop::option::of(0_u64..9)).prop_map(|(failure, hint)| match hint {
        Some(secs) => failure.with_retry_after(Duration::from_secs(secs)),
        None => failure,
    })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => Just(Act::Answer),
        2 => failure().prop_map(Act::Refuse),
        8 => failure().prop_map(Act::Fail),
        1 => failure().prop_map(Act::Break),
    ]
}

fn spec() -> impl Strategy<Value = Spec> {
    const WINDOW: &[FailureKind] = &[
        FailureKind::ContextWindow,
        FailureKind::Ineligible(Ineligible::Window),
    ];
    const FILTER: &[FailureKind] = &[FailureKind::ContentFilter];
    const OPEN: &[FailureKind] = &[];
    let window = prop::option::of(1_u64..4);
    let only_after = prop::sample::select(vec![OPEN, OPEN, OPEN, WINDOW, FILTER]);
    let refusal = prop::option::weighted(0.2, hinted(ineligible()));
    (0_u32..3, window, only_after, refusal, act(), act()).prop_map(
        |(order, window, only_after, refusal, act, last)| Spec {
            order,
            window,
            only_after,
            refusal,
            act,
            last,
        },
    )
}

/// One that is open from the start, and others.
fn chain() -> impl Strategy<Value = Vec<Spec>> {
    (
        prop::collection::vec(spec(), 1..7),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(mut chain, open)| {
            let open = open.index(chain.len());
            chain[open].only_after = &[];
            chain
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_chain_does_what_the_rules_say(chain in chain()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        prop_assert_eq!(runtime.block_on(live(&chain)), read(&chain));
    }
}
