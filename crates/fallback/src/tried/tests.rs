use std::time::Duration;

use backstop_core::FailureKind::{
    Auth, ContentFilter, ContextWindow, Deadline, Network, Overloaded, QuotaExhausted, RateLimit,
};
use backstop_core::Ineligible::{Budget, Capability, Cooling, Ledger, Region, Saturated, Window};
use tokio::time;

use super::*;

const fn no(why: Ineligible) -> FailureKind {
    FailureKind::Ineligible(why)
}

fn tried(failures: impl IntoIterator<Item = Failure>) -> Vec<Tried> {
    failures
        .into_iter()
        .enumerate()
        .map(|(index, failure)| Tried::new(index, failure.clone(), failure.into()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_mixture_has_one_verdict() {
    let table: &[(&[FailureKind], FailureKind)] = &[
        (&[Network], Overloaded),
        (&[no(Cooling)], Overloaded),
        (&[no(Saturated)], Overloaded),
        (&[no(Ledger)], no(Ledger)),
        (&[no(Ledger), no(Budget), no(Region)], no(Ledger)),
        (&[no(Ledger), Network], Overloaded),
        (&[no(Ledger), no(Cooling)], Overloaded),
        (&[no(Ledger), ContextWindow], Overloaded),
        (&[ContextWindow], ContextWindow),
        (&[ContextWindow, no(Window)], ContextWindow),
        (&[ContextWindow, no(Budget), no(Region)], ContextWindow),
        (&[ContextWindow, no(Cooling)], Overloaded),
        (&[ContextWindow, Network], Overloaded),
        (&[ContentFilter, no(Cooling)], Overloaded),
        (&[Deadline, Network, no(Budget)], Deadline),
        (&[no(Budget), no(Budget)], no(Budget)),
        (&[no(Region), no(Window), no(Budget)], no(Budget)),
        (&[no(Budget), no(Cooling)], Overloaded),
        (&[no(Region), no(Capability)], no(Capability)),
        (&[no(Capability), no(Window)], no(Window)),
        (&[no(Region), no(Cooling)], Overloaded),
        (&[no(Region), Network], Overloaded),
        (&[no(Region), no(Region)], no(Region)),
    ];
    for (kinds, expected) in table {
        let failures = kinds.iter().map(|&kind| Failure::from(kind));
        assert_eq!(verdict(&tried(failures)), *expected, "{kinds:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stored_failure_of_a_resting_target_counts_as_resting() {
    let stored = Failure::new(Auth).with_reach(Reach::Refused);
    let tried = tried([stored, Failure::ineligible(Region)]);
    assert_eq!(verdict(&tried), Overloaded);
}

#[tokio::test(start_paused = true)]
async fn the_earliest_return_counts_from_when_it_was_named() {
    let secs = Duration::from_secs;
    let tried = tried([
        Failure::new(RateLimit).with_retry_after(secs(9)),
        Failure::ineligible(Budget).with_retry_after(secs(1)),
        Failure::ineligible(Cooling).with_retry_after(secs(5)),
        Failure::new(QuotaExhausted).with_retry_after(Duration::MAX),
        Failure::new(Network),
    ]);
    time::advance(secs(2)).await;
    assert_eq!(retry_after(&tried, Overloaded), Some(secs(3)));
    assert_eq!(
        retry_after(&tried, no(Budget)),
        Some(Duration::ZERO),
        "a return that is past is now"
    );
    assert_eq!(retry_after(&tried, no(Region)), None);
}

#[tokio::test(start_paused = true)]
async fn resting_ones_come_by_their_return_then_in_order() {
    let cooling = |after: Option<u64>| match after {
        Some(secs) => Failure::ineligible(Cooling).with_retry_after(Duration::from_secs(secs)),
        None => Failure::ineligible(Cooling),
    };
    let tried = tried([
        cooling(None),
        cooling(Some(7)),
        Failure::ineligible(Region).with_retry_after(Duration::from_secs(1)),
        cooling(Some(2)),
        cooling(Some(7)),
        cooling(None),
    ]);
    assert_eq!(resting(&tried), [3, 1, 4, 0, 5]);
}
