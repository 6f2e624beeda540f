use std::collections::HashMap;

use backstop_core::Deployment;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::target::Chain;
use crate::{Load, Target};

/// One tier of targets with these weights.
fn weighing(weights: &[u32]) -> Vec<Candidate> {
    chain(
        weights
            .iter()
            .map(|&weight| Target::new(Deployment::new("d").with_weight(weight), ())),
    )
}

fn chain(targets: impl IntoIterator<Item = Target<()>>) -> Vec<Candidate> {
    Chain::new(targets.into_iter().collect())
        .candidates
        .into_vec()
}

/// The whole order that a strategy leads to when nobody answers.
fn order<P: Strategy<()>>(strategy: &P, all: &[Candidate]) -> Vec<usize> {
    let mut turns = Turns::default();
    let mut order = Vec::new();
    while let Some(candidates) = Candidates::left(all, &turns) {
        let picked = strategy.pick(&(), candidates);
        let index = picked.unwrap_or(candidates.first()).index();
        order.push(index);
        turns.take(all, index);
    }
    order
}

fn first<P: Strategy<()>>(strategy: &P, all: &[Candidate]) -> usize {
    let turns = Turns::default();
    let candidates = Candidates::left(all, &turns).expect("not empty");
    strategy.pick(&(), candidates).expect("picks").index()
}

#[test]
fn in_order_is_by_tier_then_as_given() {
    let all = chain(
        [2, 0, 1, 0]
            .map(|tier| Target::new(Deployment::new(format!("tier {tier}")), ()).with_order(tier)),
    );
    assert_eq!(order(&InOrder, &all), [0, 1, 2, 3]);
    let tiers: Vec<_> = all.iter().map(Candidate::order).collect();
    assert_eq!(tiers, [0, 0, 1, 2]);
}

proptest! {
    /// The naive model is an urn that holds as many balls of each colour as it has weight: over every number that
    /// can be drawn, each target is picked exactly as often as its colour is in the urn. It holds for the targets
    /// that are left after any failures too.
    #[test]
    fn weighted_draws_from_an_urn(
        targets in proptest::collection::vec((0_u32..9, any::<bool>()), 1..9),
    ) {
        let weights: Vec<_> = targets.iter().map(|&(weight, _)| weight).collect();
        let all = weighing(&weights);
        let mut turns = Turns::default();
        for (index, _) in targets.iter().enumerate().filter(|(_, (_, gone))| *gone) {
            turns.take(&all, index);
        }
        let mut urn: HashMap<usize, u32> = HashMap::new();
        for (index, &(weight, gone)) in targets.iter().enumerate() {
            if weight > 0 && !gone {
                urn.insert(index, weight);
            }
        }
        let Some(candidates) = Candidates::left(&all, &turns) else {
            return Ok(());
        };

        let mut picks: HashMap<usize, u32> = HashMap::new();
        for at in 0..u64::from(urn.values().sum::<u32>()) {
            let strategy = Weighted::with_random(|_| at);
            let picked = strategy.pick(&(), candidates).expect("somebody weighs something");
            *picks.entry(picked.index()).or_default() += 1;
        }
        prop_assert_eq!(picks, urn);
    }

    #[test]
    fn every_target_has_one_turn_tier_by_tier(
        tiers in proptest::collection::vec((0_u32..4, 0_u32..3), 1..200),
        seed in any::<u64>(),
    ) {
        let all = chain(tiers.iter().map(|&(tier, weight)| {
            Target::new(Deployment::new("d").with_weight(weight), ()).with_order(tier)
        }));
        let random = std::cell::RefCell::new(fastrand::Rng::with_seed(seed));
        let weighted = Weighted::with_random(|below| random.borrow_mut().u64(..below));
        for order in [order(&weighted, &all), order(&LeastBusy::new(), &all)] {
            let tiers: Vec<_> = order.iter().map(|&index| all[index].order()).collect();
            prop_assert!(tiers.is_sorted());
            let mut sorted = order;
            sorted.sort_unstable();
            prop_assert!(sorted.into_iter().eq(0..all.len()));
        }
    }
}

#[test]
fn no_weight_means_after_all_others() {
    let all = weighing(&[0, 3, 0, 1]);
    for at in 0..4 {
        let order = order(&Weighted::with_random(|below| at % below), &all);
        assert_eq!(order[2..], [0, 2], "in the order of the chain");
    }
}

#[test]
fn the_threads_own_randomness_reaches_everyone() {
    let all = weighing(&[1, 1]);
    let strategy = Weighted::new();
    // Two to the power of -255 is the chance that this fails by accident.
    let picks: Vec<_> = (0..256).map(|_| first(&strategy, &all)).collect();
    assert!(picks.contains(&0) && picks.contains(&1));
}

#[test]
fn the_least_busy_is_picked() {
    let loads = [(); 3].map(|()| Load::new());
    let all = chain(
        loads
            .iter()
            .map(|load| Target::new(Deployment::new("d"), ()).with_load(load.clone())),
    );
    let _held = [&loads[0], &loads[0], &loads[1], &loads[2], &loads[2]].map(Load::begin);
    assert_eq!(order(&LeastBusy::new(), &all)[0], 1);
}

#[test]
fn equally_busy_ones_are_picked_in_turn() {
    let all = weighing(&[1, 1, 1]);
    let strategy = LeastBusy::new();
    let picks = [(); 6].map(|()| first(&strategy.clone(), &all));
    assert_eq!(picks, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn a_request_that_needs_two_picks_takes_one_turn() {
    let all = weighing(&[1, 1]);
    let strategy = LeastBusy::new();
    let firsts = [(); 4].map(|()| order(&strategy, &all)[0]);
    assert_eq!(firsts, [0, 1, 0, 1]);
}

#[test]
fn a_strategy_can_be_chosen_at_run_time() {
    let all = weighing(&[1, 1]);
    let strategy: Arc<dyn Strategy<()> + Send + Sync> = Arc::new(InOrder);
    assert_eq!(order(&strategy, &all), [0, 1]);
}

#[test]
fn whoever_goes_on_most_exactly_is_asked_first_and_who_broke_last() {
    let deployment = |id: &str, model: &str| Deployment::new(id).with_model(model);
    let all = chain([
        Target::new(deployment("broke", "claude-sonnet-4-6"), ()),
        Target::new(deployment("other", "gpt-4o"), ()),
        Target::new(
            deployment("same", "us.anthropic.claude-sonnet-4-6-v1:0"),
            (),
        )
        .with_order(1),
        Target::new(
            deployment("exact", "claude-haiku-4-5").with_prefill(true),
            (),
        )
        .with_order(2),
    ]);
    let continuing = Continuing::new("claude-sonnet-4-6", ["broke".into()]);
    let mut turns = Turns::default();
    let mut order = Vec::new();
    while let Some(candidates) = Candidates::left(&all, &turns) {
        let fittest = candidates.fittest(&continuing);
        order.push(fittest.deployment().id().to_string());
        turns.take(&all, fittest.index());
    }
    assert_eq!(order, ["exact", "same", "other", "broke"]);
}

#[test]
fn a_model_is_the_same_under_its_names() {
    for (one, other) in [
        (
            "claude-sonnet-4-5",
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        (
            "claude-sonnet-4-5-20250929",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        ("gpt-4o", "gpt-4o"),
    ] {
        assert!(is_same_model(one, other), "{one} and {other}");
    }
    for (one, other) in [
        ("gpt-4o", "gpt-4o-mini"),
        ("claude-sonnet-4-5", "claude-sonnet-4-6"),
        ("", ""),
    ] {
        assert!(!is_same_model(one, other), "{one} and {other}");
    }
}
