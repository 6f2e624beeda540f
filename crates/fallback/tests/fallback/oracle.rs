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
    act: Act,
    last: Act,
}

#[derive(Debug, PartialEq)]
enum End {
    /// The target's own response.
    Response(usize),
    /// The target's own error.
    Error(usize),
    /// The failure of a target whose response was let go.
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
    /// Who was called, and whether as a last resort.
    calls: Vec<(usize, bool)>,
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
    calls: Vec<(usize, bool)>,
    skipped: Vec<(usize, FailureKind)>,
    fallbacks: u32,
    failed: Vec<(usize, Failure)>,
    /// Passed over for their windows.
    too_small: Vec<usize>,
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
            if why != Ineligible::Cooling && why != Ineligible::Saturated)
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
            self.calls.push((index, told));
        }
        let own = match act {
            Act::Fail(_) | Act::Break(_) => End::Error(index),
            _ => End::Response(index),
        };
        let Some(failure) = failure_in(act) else {
            return Some(own);
        };
        if failure.reach() == Reach::Refused && !(again && Self::is_cooling(failure)) {
            self.skipped.push((index, failure.kind()));
        }
        if chain.len() == 1 || Policy::default().row(failure.kind()).next == Next::Surface {
            return Some(own);
        }
        self.failed.retain(|(other, _)| *other != index);
        self.failed.push((index, failure.clone()));
        None
    }

    fn whole(&mut self, chain: &[Spec]) -> End {
        let mut order: Vec<usize> = (0..chain.len()).collect();
        order.sort_by_key(|&index| (chain[index].order, index));

        let mut too_small = None;
        for (turn, &index) in order.iter().enumerate() {
            self.fallbacks += u32::from(turn > 0);
            let window = chain[index].window;
            if let (Some(window), Some(too_small)) = (window, too_small)
                && window <= too_small
            {
                let kind = FailureKind::Ineligible(Ineligible::Window);
                self.skipped.push((index, kind));
                self.failed.push((index, kind.into()));
                self.too_small.push(index);
                continue;
            }
            let others_barred = !self.was_asked()
                && !self
                    .failed
                    .iter()
                    .any(|(_, failure)| Self::is_cooling(failure));
            let told = turn + 1 == order.len() && others_barred;
            if let Some(end) = self.ask(chain, index, told, false) {
                return end;
            }
            let (_, failure) = self.failed.last().expect("it failed");
            if failure.kind() == FailureKind::ContextWindow {
                too_small = too_small.max(window);
            }
        }

        let last = *order.last().expect("not empty");
        let told_already = self.calls.last() == Some(&(last, true));
        if !self.was_asked() && !told_already {
            let mut resting: Vec<_> = self
                .failed
                .iter()
                .filter(|(_, failure)| Self::is_cooling(failure))
                .map(|(index, failure)| (failure.retry_after().unwrap_or(Duration::MAX), *index))
                .collect();
            resting.sort_by_key(|(after, _)| *after);
            for (_, index) in resting {
                if let Some(end) = self.ask(chain, index, true, true) {
                    return end;
                }
                if self.was_asked() {
                    break;
                }
            }
        }
        // The last that said something itself.
        if let Some((index, _)) = self
            .failed
            .iter()
            .rfind(|(index, _)| !self.too_small.contains(index))
            && let Act::Refuse(_) = chain[*index].does(self.calls.contains(&(*index, true)))
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
            let told = self.calls.contains(&(*index, true));
            return match chain[*index].does(told) {
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
            let windows_only = eligible
                .iter()
                .all(|(_, failure)| failure.kind() == FailureKind::ContextWindow);
            if windows_only {
                FailureKind::ContextWindow
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
        target_at(&log, deployment, spec.act.clone(), spec.last.clone()).with_order(spec.order)
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
                let id = call.split(' ').next().expect("an id");
                (number(id), call.ends_with("last"))
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
    let refused = prop::sample::select(vec![
        Ineligible::Budget,
        Ineligible::Capability,
        Ineligible::Cooling,
        Ineligible::Cooling,
        Ineligible::Cooling,
        Ineligible::Region,
        Ineligible::Saturated,
        Ineligible::Window,
    ])
    .prop_map(Failure::ineligible);
    let hint = prop::option::of(0_u64..9);
    (prop_oneof![1 => asked, 2 => refused], hint).prop_map(|(failure, hint)| match hint {
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
    let window = prop::option::of(1_u64..4);
    (0_u32..3, window, act(), act()).prop_map(|(order, window, act, last)| Spec {
        order,
        window,
        act,
        last,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_chain_does_what_the_rules_say(chain in prop::collection::vec(spec(), 1..7)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        prop_assert_eq!(runtime.block_on(live(&chain)), read(&chain));
    }
}
