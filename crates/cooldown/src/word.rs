//! The state of a circuit in one atomic word: `[state: 2][epoch: 14][deadline: 48]`.
//!
//! The deadline is in microseconds since the circuit was made (48 bits last almost nine years): when an open
//! circuit may be probed, when a probe's lease ends; zero in a closed one. The epoch grows with each change, so
//! whoever was admitted under a [`Stamp`] can tell whether the world is still the one that admitted it. It wraps: a
//! call would have to outlast 16 384 changes exactly to be mistaken.

use crate::sync::{AtomicU64, Ordering};

const EPOCH_BITS: u32 = 14;
const DEADLINE_BITS: u32 = 48;
const EPOCH_MASK: u64 = (1 << EPOCH_BITS) - 1;
const DEADLINE_MASK: u64 = (1 << DEADLINE_BITS) - 1;

/// What a circuit does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Everything passes.
    Closed,
    /// It rests: nothing passes before its time, then one probe.
    Open,
    /// A probe is on its way; nothing else passes.
    Probing,
}

impl State {
    /// The name that metrics and status pages use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Probing => "probing",
        }
    }
}

/// The word as it was at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

impl Stamp {
    pub(crate) const fn state(self) -> State {
        match self.0 >> (EPOCH_BITS + DEADLINE_BITS) {
            0 => State::Closed,
            1 => State::Open,
            _ => State::Probing,
        }
    }

    pub(crate) const fn deadline(self) -> u64 {
        self.0 & DEADLINE_MASK
    }

    const fn epoch(self) -> u64 {
        (self.0 >> DEADLINE_BITS) & EPOCH_MASK
    }

    const fn next(self, state: State, deadline: u64) -> Self {
        let state = match state {
            State::Closed => 0,
            State::Open => 1,
            State::Probing => 2,
        };
        let deadline = if deadline > DEADLINE_MASK {
            DEADLINE_MASK
        } else {
            deadline
        };
        let epoch = (self.epoch() + 1) & EPOCH_MASK;
        Self((state << (EPOCH_BITS + DEADLINE_BITS)) | (epoch << DEADLINE_BITS) | deadline)
    }
}

/// A right to call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    /// What the word was (closed) or became (probing) when the right was given.
    pub(crate) stamp: Stamp,
    /// To where an unused probe sets the circuit back.
    pub(crate) until: u64,
}

pub(crate) struct Word(AtomicU64);

impl Word {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    // Acquire here and AcqRel below order the samples, which no lock guards, with the epoch that they belong to.
    pub(crate) fn load(&self) -> Stamp {
        Stamp(self.0.load(Ordering::Acquire))
    }

    /// From `from` to `state`, in a new epoch; `None` if the word is not `from` any more.
    pub(crate) fn advance(&self, from: Stamp, state: State, deadline: u64) -> Option<Stamp> {
        let to = from.next(state, deadline);
        self.0
            .compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
            .then_some(to)
    }

    /// Asks to be let through at `now`, as the one probe if the circuit is not closed. `early` ignores the rest
    /// of an open circuit, but never a probe that is on its way. Refused, it says what stood in the way.
    pub(crate) fn claim(&self, now: u64, lease: u64, early: bool) -> Result<Claim, Stamp> {
        loop {
            let seen = self.load();
            let until = match seen.state() {
                State::Closed => {
                    return Ok(Claim {
                        stamp: seen,
                        until: 0,
                    });
                }
                State::Open if early || seen.deadline() <= now => seen.deadline(),
                // The probe has outlived its lease: it is lost, its place goes to whoever asks.
                State::Probing if seen.deadline() <= now => now,
                State::Open | State::Probing => return Err(seen),
            };
            // An early probe keeps its place at least until the rest is over, lost or not: giving it up sooner
            // would let ordinary requests in before their time.
            let lease_end = now.saturating_add(lease).max(until);
            if let Some(stamp) = self.advance(seen, State::Probing, lease_end) {
                return Ok(Claim { stamp, until });
            }
        }
    }
}

impl std::fmt::Debug for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?}#{} until {}",
            self.state(),
            self.epoch(),
            self.deadline()
        )
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_touch_each_other() {
        let word = Word::new();
        let mut stamp = word.load();
        for round in 0..40_000_u64 {
            let (state, deadline) = match round % 3 {
                0 => (State::Open, u64::MAX),
                1 => (State::Probing, round),
                _ => (State::Closed, 0),
            };
            stamp = word
                .advance(stamp, state, deadline)
                .expect("nobody else is here");
            assert_eq!(stamp, word.load());
            assert_eq!(stamp.state(), state);
            assert_eq!(stamp.deadline(), deadline.min(DEADLINE_MASK));
            assert_eq!(stamp.epoch(), (round + 1) & EPOCH_MASK);
        }
    }

    #[test]
    fn an_early_probe_is_given_back_to_the_rest_that_it_interrupted() {
        let word = Word::new();
        word.advance(word.load(), State::Open, 900).expect("open");
        let claim = word.claim(100, 50, true).expect("early");
        assert_eq!(claim.until, 900);
        assert_eq!(
            claim.stamp.deadline(),
            900,
            "its lease lasts as long as the rest"
        );
        assert!(word.claim(200, 50, true).is_err(), "one at a time");
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    fn open() -> Arc<Word> {
        let word = Arc::new(Word::new());
        word.advance(word.load(), State::Open, 10).expect("open");
        word
    }

    #[test]
    fn loom_exactly_one_of_three_probes() {
        loom::model(|| {
            let word = open();
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let word = Arc::clone(&word);
                    thread::spawn(move || word.claim(20, 100, false).is_ok())
                })
                .collect();
            let mut probes = usize::from(word.claim(20, 100, true).is_ok());
            for other in others {
                probes += usize::from(other.join().expect("no panic"));
            }
            assert_eq!(probes, 1);
        });
    }

    #[test]
    fn loom_a_place_given_back_goes_to_at_most_one() {
        loom::model(|| {
            let word = open();
            let first = word.claim(20, 100, false).expect("due");
            let giver = {
                let word = Arc::clone(&word);
                thread::spawn(move || word.advance(first.stamp, State::Open, first.until))
            };
            let other = {
                let word = Arc::clone(&word);
                thread::spawn(move || word.claim(20, 100, false).is_ok())
            };
            let here = word.claim(20, 100, false).is_ok();
            assert!(giver.join().expect("no panic").is_some());
            let there = other.join().expect("no panic");
            assert!(!(here && there), "two probes");
            assert_eq!(
                word.claim(20, 100, false).is_ok(),
                !here && !there,
                "a place is neither lost nor doubled"
            );
        });
    }

    #[test]
    fn loom_a_verdict_and_the_end_of_its_lease_never_both_count() {
        loom::model(|| {
            let word = open();
            let late = word.claim(20, 100, false).expect("due");
            let settle = {
                let word = Arc::clone(&word);
                thread::spawn(move || word.advance(late.stamp, State::Closed, 0).is_some())
            };
            let next = word.claim(200, 100, false).expect("closed, or overdue");
            let settled = settle.join().expect("no panic");
            assert_eq!(settled, next.stamp.state() == State::Closed);
        });
    }

    #[test]
    fn loom_one_trip_per_closed_epoch() {
        loom::model(|| {
            let word = Arc::new(Word::new());
            let stamp = word.load();
            let other = {
                let word = Arc::clone(&word);
                thread::spawn(move || word.advance(stamp, State::Open, 10).is_some())
            };
            let here = word.advance(stamp, State::Open, 99).is_some();
            assert!(
                here ^ other.join().expect("no panic"),
                "the second is a straggler"
            );
        });
    }
}
