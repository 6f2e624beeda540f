//! The state machine of one circuit, by its public face.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstop_cooldown::{Circuit, Circuits, CooldownConfig, Event, State, Ticket};
use backstop_core::{Blame, Failure, FailureKind, Ineligible, Policy, Reach, failure_of};
use proptest::prelude::*;
use tokio::time::{Instant, advance};

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

const TICK: Duration = Duration::from_micros(1);

fn config() -> CooldownConfig {
    CooldownConfig::new().jitter(|| 0.0)
}

fn circuit(config: CooldownConfig) -> Circuit {
    Circuit::new("primary", config)
}

fn admitted(circuit: &Circuit) -> Ticket {
    circuit.admit(false).expect("admitted")
}

fn probe(circuit: &Circuit) -> Ticket {
    let ticket = admitted(circuit);
    assert!(ticket.is_probe());
    ticket
}

fn fail(circuit: &Circuit, failure: impl Into<Failure>) {
    admitted(circuit).fail(&failure.into());
}

fn hinted(kind: FailureKind, hint: Duration) -> Failure {
    Failure::new(kind).with_retry_after(hint)
}

/// How long the circuit rests from now on.
fn rests(circuit: &Circuit) -> Duration {
    let until = circuit.until().expect("open");
    until.saturating_duration_since(Instant::now())
}

/// Open by statistics, for 60 s.
fn open(config: CooldownConfig) -> Circuit {
    let circuit = circuit(config.allowed_fails(0));
    fail(&circuit, FailureKind::ServerError);
    assert_eq!(circuit.state(), State::Open);
    circuit
}

#[tokio::test(start_paused = true)]
async fn one_failure_more_than_allowed_opens() {
    let circuit = circuit(config());
    for _ in 0..3 {
        fail(&circuit, FailureKind::Timeout);
        assert_eq!(circuit.state(), State::Closed);
    }
    fail(&circuit, FailureKind::Network);
    assert_eq!(circuit.state(), State::Open);
    assert_eq!(rests(&circuit), secs(60));
    let cause = circuit.cause().map(|cause| cause.kind());
    assert_eq!(cause, Some(FailureKind::Network), "the one that tipped it");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_held_against_it_for_a_minute() {
    let circuit = circuit(config().min_samples(u32::MAX));
    for _ in 0..3 {
        fail(&circuit, FailureKind::ServerError);
    }
    advance(secs(60)).await;
    for _ in 0..3 {
        fail(&circuit, FailureKind::ServerError);
    }
    assert_eq!(circuit.state(), State::Closed);
    advance(secs(60) - TICK).await;
    fail(&circuit, FailureKind::ServerError);
    assert_eq!(circuit.state(), State::Open, "the fourth within a minute");
}

#[tokio::test(start_paused = true)]
async fn half_of_ten_outcomes_open() {
    let circuit = circuit(config().allowed_fails(10_000));
    for _ in 0..5 {
        admitted(&circuit).succeed();
    }
    for _ in 0..4 {
        fail(&circuit, FailureKind::RateLimit);
    }
    assert_eq!(circuit.state(), State::Closed, "nine outcomes are too few");
    fail(&circuit, FailureKind::RateLimit);
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn outcomes_leave_the_ratio_after_thirty_seconds() {
    let circuit = circuit(config().allowed_fails(10_000));
    for _ in 0..9 {
        fail(&circuit, FailureKind::ServerError);
    }
    advance(secs(30)).await;
    fail(&circuit, FailureKind::ServerError);
    assert_eq!(circuit.state(), State::Closed, "one outcome is left");
}

#[tokio::test(start_paused = true)]
async fn what_says_nothing_about_health_changes_nothing() {
    let circuit = circuit(config().allowed_fails(0).min_samples(1));
    for kind in [
        FailureKind::BadRequest,
        FailureKind::ContentFilter,
        FailureKind::ContextWindow,
        FailureKind::Ineligible(Ineligible::Budget),
        FailureKind::Cancelled,
        FailureKind::Deadline,
    ] {
        fail(&circuit, kind);
        drop(admitted(&circuit));
        assert_eq!(circuit.state(), State::Closed, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_opens_for_a_hint_longer_than_patience_and_for_no_longer() {
    let circuit = circuit(config());
    fail(&circuit, hinted(FailureKind::RateLimit, secs(1)));
    assert_eq!(circuit.state(), State::Closed, "a wait within patience");

    let hint = Duration::from_nanos(1_000_000_001);
    fail(&circuit, hinted(FailureKind::RateLimit, hint));
    assert_eq!(circuit.state(), State::Open);
    assert_eq!(
        rests(&circuit),
        secs(1) + TICK,
        "rounded up to a microsecond"
    );
    advance(secs(1)).await;
    assert!(circuit.admit(false).is_err(), "never undercut");
    advance(TICK).await;
    assert!(circuit.admit(false).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_believed_up_to_its_cap() {
    let circuit = circuit(config());
    fail(&circuit, hinted(FailureKind::RateLimit, Duration::MAX));
    assert_eq!(rests(&circuit), secs(3600));
}

#[tokio::test(start_paused = true)]
async fn a_counted_failure_with_a_hint_opens_at_once() {
    let circuit = circuit(config());
    let hint = Duration::from_millis(250);
    fail(&circuit, hinted(FailureKind::Overloaded, hint));
    assert_eq!(rests(&circuit), hint);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_has_to_mend_opens_at_once_and_long() {
    for (kind, minutes) in [
        (FailureKind::Auth, 15),
        (FailureKind::QuotaExhausted, 15),
        (FailureKind::Permission, 5),
        (FailureKind::ModelNotFound, 5),
    ] {
        let circuit = circuit(config());
        fail(&circuit, kind);
        assert_eq!(rests(&circuit), secs(minutes * 60), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_table_decides_what_a_kind_means() {
    let strict = Policy::default().blame(FailureKind::BadRequest, Blame::Counts);
    let circuit = circuit(config().allowed_fails(0).policy(strict));
    fail(&circuit, FailureKind::BadRequest);
    assert_eq!(circuit.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_why_and_for_how_long() {
    let circuit = open(config());
    advance(secs(20)).await;
    let refused = circuit.admit(false).expect_err("resting");
    assert_eq!(refused.cause(), FailureKind::ServerError);
    assert_eq!(Some(refused.until()), circuit.until());
    let failure = failure_of(&refused).expect("a failure");
    assert_eq!(failure.kind(), FailureKind::Ineligible(Ineligible::Cooling));
    assert_eq!(failure.reach(), Reach::Refused);
    assert_eq!(failure.retry_after(), Some(secs(40)));
    assert_eq!(failure.detail(), Some("server_error"));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_key_is_answered_as_such_without_a_call() {
    let circuit = circuit(config());
    let rejected = Failure::new(FailureKind::Auth).with_status(http::StatusCode::UNAUTHORIZED);
    fail(&circuit, rejected);
    advance(secs(60)).await;
    let refused = circuit.admit(true).expect_err("resting");
    let failure = failure_of(&refused).expect("a failure");
    assert_eq!(failure.kind(), FailureKind::Auth);
    assert_eq!(failure.status(), Some(http::StatusCode::UNAUTHORIZED));
    assert_eq!(failure.reach(), Reach::Refused);
    assert_eq!(failure.retry_after(), Some(secs(14 * 60)));
}

#[tokio::test(start_paused = true)]
async fn one_probe_and_an_answer_closes() {
    let circuit = open(config());
    advance(secs(60) - TICK).await;
    assert!(circuit.admit(false).is_err());
    assert!(circuit.is_resting());
    advance(TICK).await;
    assert!(!circuit.is_resting(), "due");
    let probe = probe(&circuit);
    assert_eq!(circuit.state(), State::Probing);
    let refused = circuit.admit(false).expect_err("it has its probe");
    let failure = failure_of(&refused).expect("a failure");
    assert_eq!(failure.retry_after(), Some(secs(1)), "look again");
    probe.succeed();
    assert_eq!(circuit.state(), State::Closed);
    assert!(circuit.cause().is_none());
    assert!(!admitted(&circuit).is_probe());
}

#[tokio::test(start_paused = true)]
async fn a_good_probe_forgets_the_past() {
    let circuit = circuit(config());
    for _ in 0..4 {
        fail(&circuit, FailureKind::ServerError);
    }
    advance(secs(60)).await;
    probe(&circuit).fail(&FailureKind::ServerError.into());
    assert_eq!(rests(&circuit), secs(120));
    advance(secs(120)).await;
    probe(&circuit).succeed();
    for _ in 0..3 {
        fail(&circuit, FailureKind::ServerError);
        assert_eq!(circuit.state(), State::Closed, "it counts anew");
    }
    fail(&circuit, FailureKind::ServerError);
    assert_eq!(rests(&circuit), secs(60), "it grows anew");
}

#[tokio::test(start_paused = true)]
async fn after_a_short_rest_the_ratio_begins_anew() {
    let circuit = circuit(config().allowed_fails(10_000).cooldown(secs(1)));
    for _ in 0..10 {
        fail(&circuit, FailureKind::ServerError);
    }
    advance(secs(1)).await;
    probe(&circuit).succeed();
    fail(&circuit, FailureKind::ServerError);
    assert_eq!(circuit.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn failed_probes_make_the_rest_grow_to_a_cap() {
    let circuit = open(config());
    let mut rest = 60;
    for (kind, next) in [
        (FailureKind::ServerError, 120),
        (FailureKind::RateLimit, 240),
        (FailureKind::Timeout, 300),
        (FailureKind::Network, 300),
    ] {
        advance(secs(rest)).await;
        probe(&circuit).fail(&kind.into());
        assert_eq!(rests(&circuit), secs(next), "after {kind}");
        rest = next;
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_rests_for_the_hint_that_it_brought() {
    let circuit = open(config());
    advance(secs(60)).await;
    let short = Duration::from_millis(500);
    probe(&circuit).fail(&hinted(FailureKind::RateLimit, short));
    assert_eq!(rests(&circuit), short);
}

#[tokio::test(start_paused = true)]
async fn a_guess_and_a_fault_to_mend_grow_apart() {
    let circuit = open(config());
    advance(secs(60)).await;
    probe(&circuit).fail(&FailureKind::Timeout.into());
    advance(secs(120)).await;
    probe(&circuit).fail(&FailureKind::QuotaExhausted.into());
    assert_eq!(rests(&circuit), secs(15 * 60));
    advance(secs(15 * 60)).await;
    probe(&circuit).fail(&FailureKind::QuotaExhausted.into());
    assert_eq!(rests(&circuit), secs(30 * 60));
}

#[tokio::test(start_paused = true)]
async fn a_probe_without_a_verdict_gives_its_place_to_exactly_one() {
    let circuit = open(config());
    advance(secs(60)).await;
    for kind in [
        None,
        Some(FailureKind::Cancelled),
        Some(FailureKind::Deadline),
        Some(FailureKind::Ineligible(Ineligible::Budget)),
    ] {
        let ticket = probe(&circuit);
        match kind {
            None => drop(ticket),
            Some(kind) => ticket.fail(&kind.into()),
        }
        assert_eq!(circuit.state(), State::Open);
        let next = probe(&circuit);
        assert!(circuit.admit(false).is_err(), "exactly one");
        drop(next);
    }
    let own = Failure::new(FailureKind::BadRequest).with_reach(Reach::Refused);
    probe(&circuit).fail(&own);
    assert_eq!(circuit.state(), State::Open, "our own word proves nothing");
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_the_request_is_a_sign_of_life() {
    for kind in [
        FailureKind::BadRequest,
        FailureKind::ContentFilter,
        FailureKind::ContextWindow,
    ] {
        let circuit = open(config());
        advance(secs(60)).await;
        probe(&circuit).fail(&kind.into());
        assert_eq!(circuit.state(), State::Closed, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_was_answered_goes_on_as_an_ordinary_call() {
    let circuit = open(config());
    advance(secs(60)).await;
    let mut ticket = probe(&circuit);
    ticket.answered();
    assert_eq!(circuit.state(), State::Closed);
    assert!(!ticket.is_probe());
    ticket.fail(&FailureKind::Network.into());
    assert_eq!(circuit.state(), State::Open, "its own end counts");
    assert_eq!(rests(&circuit), secs(60), "as a first failure");
}

#[tokio::test(start_paused = true)]
async fn a_straggler_changes_nothing() {
    let circuit = circuit(config().allowed_fails(0));
    let mut stragglers: Vec<_> = (0..6).map(|_| admitted(&circuit)).collect();
    let mut next = || stragglers.pop().expect("enough");
    let long = hinted(FailureKind::RateLimit, secs(900));
    fail(&circuit, FailureKind::ServerError);

    next().succeed();
    next().fail(&long);
    assert_eq!(circuit.state(), State::Open);
    assert_eq!(rests(&circuit), secs(60));

    advance(secs(60)).await;
    let ticket = probe(&circuit);
    next().succeed();
    next().fail(&long);
    assert_eq!(circuit.state(), State::Probing, "the probe decides");
    ticket.succeed();

    next().fail(&long);
    assert_eq!(circuit.state(), State::Closed, "its world is gone");
    next().succeed();
}

#[tokio::test(start_paused = true)]
async fn stragglers_do_not_count_after_the_circuit_has_closed_again() {
    let circuit = circuit(config().allowed_fails(9));
    let good: Vec<_> = (0..10).map(|_| admitted(&circuit)).collect();
    let bad: Vec<_> = (0..9).map(|_| admitted(&circuit)).collect();
    fail(&circuit, hinted(FailureKind::RateLimit, secs(2)));
    advance(secs(2)).await;
    probe(&circuit).succeed();
    for ticket in bad {
        ticket.fail(&FailureKind::ServerError.into());
    }
    fail(&circuit, FailureKind::ServerError);
    assert_eq!(circuit.state(), State::Closed, "one failure is counted");

    for ticket in good {
        ticket.succeed();
    }
    for _ in 0..8 {
        assert_eq!(circuit.state(), State::Closed);
        fail(&circuit, FailureKind::ServerError);
    }
    assert_eq!(
        circuit.state(),
        State::Open,
        "nine of ten outcomes, the probe's included"
    );
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_outlives_its_lease_is_lost() {
    let circuit = open(config().probe_lease(secs(5)));
    advance(secs(60)).await;
    let lost = probe(&circuit);
    advance(secs(5) - TICK).await;
    assert!(circuit.admit(false).is_err());
    advance(TICK).await;
    let next = probe(&circuit);
    assert!(circuit.admit(false).is_err(), "exactly one");
    lost.fail(&FailureKind::Timeout.into());
    assert_eq!(circuit.state(), State::Probing, "too late to count");
    next.succeed();
    assert_eq!(circuit.state(), State::Closed);
}

mod last_resort {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn passes_one_at_a_time_and_one_a_second() {
        let circuit = open(config());
        let until = circuit.until();
        let early = circuit.admit(true).expect("statistics opened it");
        assert!(circuit.admit(false).is_err(), "nobody else may");
        assert!(circuit.admit(true).is_err(), "one in flight");
        advance(secs(3)).await;
        assert!(circuit.admit(true).is_err(), "however long it takes");

        early.fail(&FailureKind::ServerError.into());
        assert_eq!(circuit.until(), until, "the rest goes on as it was");
        assert!(circuit.admit(true).is_err(), "a second after the failure");
        advance(secs(1)).await;
        drop(circuit.admit(true).expect("a second later"));
        assert_eq!(
            circuit.until(),
            until,
            "neither cut short by one that is dropped"
        );
        assert!(circuit.admit(true).is_err(), "one a second");
        advance(secs(1)).await;
        circuit.admit(true).expect("a second later").succeed();
        assert_eq!(circuit.state(), State::Closed, "an answer closes");
    }

    #[tokio::test(start_paused = true)]
    async fn waits_a_second_after_a_failed_probe() {
        let circuit = open(config());
        advance(secs(60)).await;
        probe(&circuit).fail(&FailureKind::ServerError.into());
        advance(secs(1) - TICK).await;
        assert!(circuit.admit(true).is_err());
        advance(TICK).await;
        assert!(circuit.admit(true).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn does_not_make_the_rest_grow() {
        let circuit = open(config());
        for _ in 0..10 {
            let early = circuit.admit(true).expect("early");
            early.fail(&FailureKind::ServerError.into());
            advance(secs(1)).await;
        }
        advance(secs(50)).await;
        probe(&circuit).fail(&FailureKind::ServerError.into());
        assert_eq!(rests(&circuit), secs(120), "the first probe in a row");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hint_lengthens_the_rest_and_never_shortens_it() {
        let circuit = open(config());
        let until = circuit.until();
        let short = hinted(FailureKind::Overloaded, secs(2));
        circuit.admit(true).expect("early").fail(&short);
        assert_eq!(circuit.until(), until);
        advance(secs(2) - TICK).await;
        assert!(circuit.admit(true).is_err(), "it is kept all the same");
        advance(TICK).await;
        drop(circuit.admit(true).expect("our own guess again"));

        let circuit = open(config());
        let long = hinted(FailureKind::Overloaded, secs(200));
        circuit.admit(true).expect("early").fail(&long);
        assert_eq!(rests(&circuit), secs(200));
        advance(secs(2)).await;
        assert!(circuit.admit(true).is_err(), "the provider named its time");

        let circuit = open(config().cooldown(secs(3600)));
        let until = circuit.until();
        let early = circuit.admit(true).expect("early");
        early.fail(&FailureKind::Auth.into());
        assert_eq!(circuit.until(), until, "longer than a rejected key rests");
        advance(secs(2)).await;
        assert!(circuit.admit(true).is_err(), "the key is to be mended");
    }

    #[tokio::test(start_paused = true)]
    async fn relaxes_no_rest_that_was_named_or_that_somebody_has_to_end() {
        for failure in [
            hinted(FailureKind::RateLimit, secs(30)),
            hinted(FailureKind::Overloaded, secs(30)),
            FailureKind::Auth.into(),
            FailureKind::QuotaExhausted.into(),
            FailureKind::Permission.into(),
            FailureKind::ModelNotFound.into(),
        ] {
            let circuit = circuit(config());
            fail(&circuit, failure.clone());
            advance(secs(5)).await;
            assert!(circuit.admit(true).is_err(), "{failure}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_one_does_not_let_others_in_before_their_time() {
        let circuit = open(config().probe_lease(secs(5)));
        let _lost = circuit.admit(true).expect("early");
        advance(secs(60) - TICK).await;
        assert!(circuit.admit(false).is_err());
        advance(TICK).await;
        drop(probe(&circuit));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_after_the_rest_counts_as_its_probe() {
        let circuit = open(config().probe_lease(secs(90)));
        let slow = circuit.admit(true).expect("early");
        advance(secs(70)).await;
        slow.fail(&FailureKind::Timeout.into());
        assert_eq!(rests(&circuit), secs(120));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_closes_and_calls_under_way_count_no_more() {
    let circuit = circuit(config());
    let old_key = admitted(&circuit);
    let another = admitted(&circuit);
    fail(&circuit, FailureKind::Auth);
    circuit.reset();
    assert_eq!(circuit.state(), State::Closed);
    old_key.fail(&FailureKind::Auth.into());
    assert_eq!(circuit.state(), State::Closed, "that was the old key");

    let old_key = admitted(&circuit);
    circuit.reset();
    old_key.fail(&FailureKind::Auth.into());
    assert_eq!(circuit.state(), State::Closed, "a closed one resets too");
    drop(another);
}

#[tokio::test(start_paused = true)]
async fn no_cooldown_means_never_open() {
    let off = config().cooldown(Duration::ZERO);
    let circuit = circuit(off.clone());
    for _ in 0..50 {
        fail(&circuit, FailureKind::Auth);
        fail(&circuit, hinted(FailureKind::RateLimit, secs(60)));
    }
    assert_eq!(circuit.state(), State::Closed);

    let other = open(config());
    other.configure(off);
    assert_eq!(other.state(), State::Closed, "turned off, it closes");
}

#[tokio::test(start_paused = true)]
async fn a_registry_outlives_stacks_and_takes_new_settings() {
    let circuits = Circuits::new(config().allowed_fails(0));
    fail(&circuits.entry("a"), FailureKind::ServerError);
    let again = circuits.entry("a");
    assert_eq!(again.state(), State::Open, "the same circuit");
    assert_eq!(circuits.entry("b").state(), State::Closed);

    let strict = circuits.entry_with("c", config().allowed_fails(1));
    fail(&strict, FailureKind::ServerError);
    assert_eq!(strict.state(), State::Closed);
    let strict = circuits.entry_with("c", config().allowed_fails(0));
    fail(&strict, FailureKind::ServerError);
    assert_eq!(strict.state(), State::Open);

    let ids: Vec<_> = circuits.list().iter().map(|c| c.id().to_string()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    circuits.retain(|circuit| &**circuit.id() != "b");
    assert!(circuits.get("b").is_none() && circuits.get("a").is_some());
}

#[tokio::test(start_paused = true)]
async fn an_observer_hears_of_each_change() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let circuits = Circuits::observed(config().allowed_fails(0), {
        let log = Arc::clone(&log);
        move |event: &Event<'_>| {
            let what = match event {
                Event::Opened {
                    cause, rest, until, ..
                } => {
                    assert_eq!(*until, Instant::now() + *rest);
                    format!("opened for {rest:?}: {cause}")
                }
                Event::Probing { .. } => "probing".to_owned(),
                Event::Closed { cause, .. } => format!("closed: {cause}"),
                Event::Refused { .. } => "refused".to_owned(),
                _ => "news".to_owned(),
            };
            log.lock()
                .expect("no panic")
                .push(format!("{} {what}", event.circuit()));
        }
    });
    let circuit = circuits.entry("a");
    fail(&circuit, FailureKind::ServerError);
    assert!(circuit.admit(false).is_err());
    advance(secs(60)).await;
    probe(&circuit).fail(&FailureKind::Timeout.into());
    advance(secs(120)).await;
    probe(&circuit).succeed();
    circuit.reset();
    assert_eq!(
        *log.lock().expect("no panic"),
        [
            "a opened for 60s: server error",
            "a refused",
            "a probing",
            "a opened for 120s: timed out",
            "a probing",
            "a closed: timed out",
        ]
    );
}

/// The rules of a closed circuit over a plain list of all that happened.
#[derive(Default)]
struct Naive {
    outcomes: Vec<(Duration, FailureKind)>,
    good: Vec<Duration>,
}

impl Naive {
    fn tips(&self, now: Duration, allowed: usize) -> bool {
        let second = |at: &Duration| at.as_secs();
        let recent = |at: &&Duration| second(&now) - second(at) < 30;
        let counted = self
            .outcomes
            .iter()
            .filter(|(at, kind)| now - *at < secs(60) && *kind != FailureKind::RateLimit)
            .count();
        let failed = self
            .outcomes
            .iter()
            .map(|(at, _)| at)
            .filter(recent)
            .count();
        let samples = failed + self.good.iter().filter(recent).count();
        counted > allowed || (samples >= 10 && failed * 2 >= samples)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn opens_exactly_when_a_plain_list_says_so(
        allowed in 0..8_u32,
        steps in proptest::collection::vec((0..12_000_000_u64, 0..5_u8), 1..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let start = Instant::now();
            let circuit = circuit(config().allowed_fails(allowed));
            let mut naive = Naive::default();
            for (step, outcome) in steps {
                advance(Duration::from_micros(step)).await;
                let now = Instant::now().saturating_duration_since(start);
                let kind = match outcome {
                    0 => FailureKind::ServerError,
                    1 => FailureKind::RateLimit,
                    _ => {
                        naive.good.push(now);
                        admitted(&circuit).succeed();
                        continue;
                    }
                };
                naive.outcomes.push((now, kind));
                fail(&circuit, kind);
                let expected = naive.tips(now, allowed as usize);
                prop_assert_eq!(circuit.state() == State::Open, expected, "at {:?}", now);
                if expected {
                    advance(secs(60)).await;
                    drop(probe(&circuit));
                    circuit.reset();
                    naive = Naive::default();
                }
            }
            Ok(())
        })?;
    }
}
