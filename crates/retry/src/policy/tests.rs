use backstop_core::{FailureKind, Ineligible};
use proptest::prelude::*;

use super::*;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A policy that always draws the longest pause.
fn policy() -> RetryPolicy {
    RetryPolicy::new().jitter(|| 1.0)
}

/// The first failure of a call, with another deployment to go to and no deadline.
fn first() -> Situation {
    Situation {
        now: Instant::now(),
        retries: 0,
        here: 0,
        alone: false,
        deadline: None,
    }
}

fn alone() -> Situation {
    Situation {
        alone: true,
        ..first()
    }
}

fn after(here: u32) -> Situation {
    Situation {
        retries: here,
        here,
        ..first()
    }
}

fn within(left: Duration) -> Situation {
    let situation = first();
    Situation {
        deadline: Some(Deadline::at(situation.now + left)),
        ..situation
    }
}

fn limited(hint: Duration) -> Failure {
    Failure::new(FailureKind::RateLimit).with_retry_after(hint)
}

#[test]
fn only_what_helps_is_repeated() {
    let unsent = Failure::new(FailureKind::Network).with_reach(Reach::Unsent);
    let cases = [
        (unsent.clone(), first(), Some(ms(0))),
        // Once.
        (unsent, after(1), None),
        (Failure::new(FailureKind::Network), alone(), None),
        (Failure::new(FailureKind::ServerError), first(), None),
        (
            Failure::new(FailureKind::ServerError),
            alone(),
            Some(ms(80)),
        ),
        (Failure::new(FailureKind::Overloaded), first(), None),
        (Failure::new(FailureKind::Overloaded), alone(), Some(ms(80))),
        (Failure::new(FailureKind::RateLimit), first(), Some(ms(80))),
        (Failure::new(FailureKind::Timeout), alone(), None),
        (Failure::new(FailureKind::Auth), alone(), None),
        (Failure::new(FailureKind::QuotaExhausted), alone(), None),
        (Failure::new(FailureKind::BadRequest), alone(), None),
    ];
    for (failure, situation, expected) in cases {
        let decision = policy().decide(&failure, &situation);
        assert_eq!(decision, expected, "{failure} in {situation:?}");
    }
}

#[test]
fn the_table_can_be_edited() {
    let timeouts = policy().policy(Policy::new().again(FailureKind::Timeout, Again::IfAlone));
    let failure = Failure::new(FailureKind::Timeout);
    assert!(timeouts.decide(&failure, &alone()).is_some());
}

#[test]
fn a_refusal_is_never_repeated() {
    let everything = policy().policy(Policy::new().again(
        FailureKind::Ineligible(Ineligible::Cooling),
        Again::AfterHint,
    ));
    let refusal = Failure::ineligible(Ineligible::Cooling);
    assert_eq!(everything.decide(&refusal, &alone()), None);
}

#[test]
fn the_providers_own_no_is_final_but_its_yes_is_not() {
    let limited = limited(ms(10));
    let no = limited.clone().with_may_retry_here(false);
    assert_eq!(policy().decide(&no, &alone()), None);
    assert!(policy().decide(&limited, &alone()).is_some());

    let yes = Failure::new(FailureKind::Auth).with_may_retry_here(true);
    assert_eq!(policy().decide(&yes, &alone()), None);
}

#[test]
fn repeats_are_counted_over_the_whole_request() {
    let limited = limited(ms(10));
    let elsewhere = Situation {
        retries: 2,
        here: 0,
        ..first()
    };
    assert!(policy().decide(&limited, &after(1)).is_some());
    assert_eq!(policy().decide(&limited, &after(2)), None);
    assert_eq!(policy().decide(&limited, &elsewhere), None);
    assert_eq!(policy().retries(0).decide(&limited, &first()), None);
}

#[test]
fn the_longer_of_hint_and_backoff_is_waited_for() {
    assert_eq!(policy().decide(&limited(ms(300)), &first()), Some(ms(300)));
    assert_eq!(policy().decide(&limited(ms(30)), &first()), Some(ms(80)));
    assert_eq!(policy().decide(&limited(ms(0)), &after(1)), Some(ms(160)));
}

#[test]
fn patience_is_the_longest_pause() {
    assert_eq!(
        policy().decide(&limited(ms(1000)), &first()),
        Some(ms(1000))
    );
    assert_eq!(
        policy().decide(&limited(ms(1001)), &first()),
        None,
        "a longer hint is what opens the circuit"
    );
    let impatient = policy().patience(ms(50));
    let failure = Failure::new(FailureKind::RateLimit);
    assert_eq!(
        impatient.decide(&failure, &first()),
        Some(ms(50)),
        "our own backoff adapts"
    );
}

#[test]
fn a_quarter_of_what_is_left_may_be_slept_through() {
    let limited = limited(ms(500));
    assert!(policy().decide(&limited, &within(ms(2000))).is_some());
    assert_eq!(policy().decide(&limited, &within(ms(1999))), None);
}

#[test]
fn nothing_is_repeated_after_the_deadline() {
    let unsent = Failure::new(FailureKind::Network).with_reach(Reach::Unsent);
    assert!(policy().decide(&unsent, &within(ms(1))).is_some());
    assert_eq!(policy().decide(&unsent, &within(ms(0))), None);
}

#[test]
fn no_number_for_jitter_panics() {
    let failure = Failure::new(FailureKind::RateLimit);
    for (jitter, expected) in [
        ((|| f64::NAN) as fn() -> f64, ms(0)),
        (|| -1.0, ms(0)),
        (|| 0.0, ms(0)),
        (|| 0.5, ms(40)),
        (|| f64::INFINITY, ms(80)),
    ] {
        let decision = policy().jitter(jitter).decide(&failure, &first());
        assert_eq!(decision, Some(expected));
    }
    let endless = policy()
        .backoff(Duration::MAX)
        .patience(Duration::MAX)
        .retries(u32::MAX);
    assert_eq!(endless.decide(&failure, &after(99)), Some(MAX_BACKOFF));
}

/// The same decision for a rate limit, written down in plain milliseconds.
fn naive(
    (retries, backoff, patience): (u32, u64, u64),
    (made, here, hint, left): (u32, u32, Option<u64>, Option<u64>),
) -> Option<u64> {
    let mut delay = u128::from(backoff);
    for _ in 0..here {
        delay *= 2;
    }
    let mut delay = u64::try_from(delay.min(20_000))
        .expect("small")
        .min(patience);
    if let Some(hint) = hint
        && hint > delay
    {
        delay = hint;
    }
    let fits = match left {
        // Four times the delay is at most what is left.
        Some(left) => delay * 4 <= left && delay < left,
        None => true,
    };
    (made < retries && delay <= patience && fits).then_some(delay)
}

proptest! {
    #[test]
    fn it_agrees_with_a_naive_decision(
        settings in (0u32..4, 0u64..500, 0u64..3000),
        (elsewhere, here) in (0u32..3, 0u32..40),
        hint in prop::option::of(0u64..4000),
        left in prop::option::of(0u64..20_000),
    ) {
        let (retries, backoff, patience) = settings;
        let policy = policy().retries(retries).backoff(ms(backoff)).patience(ms(patience));
        let mut failure = Failure::new(FailureKind::RateLimit);
        if let Some(hint) = hint {
            failure = failure.with_retry_after(ms(hint));
        }
        let mut situation = left.map_or_else(first, |left| within(ms(left)));
        situation.here = here;
        situation.retries = here + elsewhere;
        let expected = naive(settings, (here + elsewhere, here, hint, left));
        prop_assert_eq!(policy.decide(&failure, &situation), expected.map(ms));
    }

    /// Full jitter: anything between nothing and the longest, and never more.
    #[test]
    fn jitter_only_shortens(here in 0u32..40, backoff in 0u64..500) {
        let random = RetryPolicy::new().backoff(ms(backoff));
        let longest = random.clone().jitter(|| 1.0);
        prop_assert!(random.draw(here) <= longest.draw(here));
        prop_assert!(longest.draw(here) <= PATIENCE);
    }
}
