//! Many threads at one circuit, in real parallel.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::Duration;

use backstop_cooldown::{Circuit, Circuits, CooldownConfig, Event, State};
use backstop_core::{Failure, FailureKind};

const THREADS: usize = 8;
const ROUNDS: usize = 300;

/// A circuit that is due again at once: its rest is a microsecond.
fn due() -> Circuit {
    let circuit = Circuit::new(
        "primary",
        CooldownConfig::new()
            .allowed_fails(0)
            .cooldown(Duration::from_micros(1))
            .max(Duration::from_micros(1)),
    );
    let ticket = circuit.admit(false).expect("closed");
    ticket.fail(&Failure::new(FailureKind::ServerError));
    while circuit.is_resting() {
        thread::yield_now();
    }
    circuit
}

#[test]
fn exactly_one_probes_and_exactly_one_again_after_it_is_dropped() {
    for round in 0..ROUNDS {
        let circuit = due();
        for _ in 0..2 {
            let (start, end) = (Barrier::new(THREADS), Barrier::new(THREADS));
            let probes = AtomicUsize::new(0);
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        start.wait();
                        let ticket = circuit.admit(false);
                        probes.fetch_add(usize::from(ticket.is_ok()), Ordering::Relaxed);
                        // Nobody lets go before everybody has asked.
                        end.wait();
                        drop(ticket);
                    });
                }
            });
            assert_eq!(probes.into_inner(), 1, "round {round}");
            assert_eq!(circuit.state(), State::Open, "given back");
        }
    }
}

#[test]
fn a_burst_of_failures_opens_once() {
    for round in 0..ROUNDS {
        let opened = Arc::new(AtomicUsize::new(0));
        let circuits = Circuits::observed(CooldownConfig::new().allowed_fails(3), {
            let opened = Arc::clone(&opened);
            move |event: &Event<'_>| {
                if matches!(event, Event::Opened { .. }) {
                    opened.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let circuit = circuits.entry("primary");
        let start = Barrier::new(THREADS);
        let cause = OnceLock::new();
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let ticket = circuit.admit(false).expect("closed");
                    start.wait();
                    ticket.fail(&Failure::new(FailureKind::Network));
                    if circuit.state() == State::Open {
                        // Whoever sees it open sees why.
                        let seen = circuit.cause().expect("a cause").kind();
                        assert_eq!(*cause.get_or_init(|| seen), seen);
                    }
                });
            }
        });
        assert_eq!(opened.load(Ordering::Relaxed), 1, "round {round}");
        assert!(cause.get().is_some());
    }
}
