//! What a closed circuit remembers: a minute of counted failures, and half a minute of samples for the ratio.
//!
//! Times are microseconds since the circuit was made.

use std::collections::VecDeque;
use std::fmt;

use crate::sync::{AtomicU64, Ordering};

const SECOND: u64 = 1_000_000;

/// How long a counted failure is held against a deployment.
pub(crate) const COUNT_WINDOW: u64 = 60 * SECOND;

/// How many seconds of samples the ratio is taken over, the current one included.
const RATIO_SECONDS: usize = 30;

/// When the latest counted failures happened: an exact sliding window.
#[derive(Debug, Default)]
pub(crate) struct Failures(VecDeque<u64>);

impl Failures {
    /// Adds a failure at `now`, and says how many there are within the window. `now` never goes back.
    pub(crate) fn add(&mut self, now: u64) -> usize {
        while self
            .0
            .front()
            .is_some_and(|&then| now - then >= COUNT_WINDOW)
        {
            self.0.pop_front();
        }
        self.0.push_back(now);
        self.0.len()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Outcomes by the second: exact counts, no decay, no lock.
///
/// Each second is one word, `[second: 32][samples: 16][failed: 16]`. A second that is full (65 535 samples) keeps
/// the ratio that it has. The words order nothing else, so relaxed access is enough: a sum that misses a
/// sample that is just being added is the sum of a moment earlier.
pub(crate) struct Samples([AtomicU64; RATIO_SECONDS]);

#[derive(Clone, Copy)]
struct Bucket {
    second: u32,
    samples: u16,
    failed: u16,
}

impl Bucket {
    const fn unpack(word: u64) -> Self {
        Self {
            second: (word >> 32) as u32,
            samples: (word >> 16) as u16,
            failed: word as u16,
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.second) << 32 | u64::from(self.samples) << 16 | u64::from(self.failed)
    }
}

fn second(micros: u64) -> u32 {
    // 48 bits of microseconds are 29 bits of seconds.
    (micros / SECOND) as u32
}

impl Samples {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// Counts one outcome at `now`.
    pub(crate) fn add(&self, now: u64, failed: bool) {
        let second = second(now);
        let slot = &self.0[second as usize % RATIO_SECONDS];
        // An error here is a sample that came a whole window late, or a full second: not counted.
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let mut bucket = Bucket::unpack(word);
            if bucket.second > second {
                return None;
            }
            if bucket.second < second {
                bucket = Bucket {
                    second,
                    samples: 0,
                    failed: 0,
                };
            }
            bucket.samples = bucket.samples.checked_add(1)?;
            bucket.failed += u16::from(failed);
            Some(bucket.pack())
        });
    }

    /// How many samples there are in the last thirty seconds, and how many of them failed.
    pub(crate) fn sum(&self, now: u64) -> (u64, u64) {
        let newest = second(now);
        self.0
            .iter()
            .map(|slot| Bucket::unpack(slot.load(Ordering::Relaxed)))
            .filter(|bucket| newest.saturating_sub(bucket.second) < RATIO_SECONDS as u32)
            .fold((0, 0), |(samples, failed), bucket| {
                (
                    samples + u64::from(bucket.samples),
                    failed + u64::from(bucket.failed),
                )
            })
    }

    pub(crate) fn clear(&self) {
        for slot in &self.0 {
            slot.store(0, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Samples").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn failures_match_a_list(steps in proptest::collection::vec(0..40 * SECOND, 1..60)) {
            let mut window = Failures::default();
            let mut list = Vec::new();
            let mut now = 0;
            for step in steps {
                now += step;
                list.push(now);
                let expected = list.iter().filter(|&&then| now - then < COUNT_WINDOW).count();
                prop_assert_eq!(window.add(now), expected);
            }
        }

        #[test]
        fn samples_match_a_list(
            steps in proptest::collection::vec((0..9 * SECOND, any::<bool>(), any::<bool>()), 1..200),
            start in 0..1_u64 << 47,
        ) {
            let window = Samples::new();
            let mut list: Vec<(u64, bool)> = Vec::new();
            let mut now = start;
            for (step, moves, failed) in steps {
                if moves {
                    now += step;
                }
                window.add(now, failed);
                list.push((now, failed));
                let inside = list
                    .iter()
                    .filter(|(then, _)| now / SECOND - then / SECOND < RATIO_SECONDS as u64);
                let expected = (
                    inside.clone().count() as u64,
                    inside.filter(|(_, failed)| *failed).count() as u64,
                );
                prop_assert_eq!(window.sum(now), expected);
            }
            prop_assert_eq!(window.sum(now + RATIO_SECONDS as u64 * SECOND), (0, 0));
        }
    }

    #[test]
    fn a_full_second_keeps_its_ratio() {
        let window = Samples::new();
        for index in 0..70_000 {
            window.add(5, index % 2 == 0);
        }
        let (samples, failed) = window.sum(5);
        assert_eq!((samples, failed), (65_535, 32_768));
    }

    #[test]
    fn a_late_sample_does_not_wipe_a_newer_second() {
        let window = Samples::new();
        window.add(31 * SECOND, true);
        window.add(SECOND, false);
        assert_eq!(window.sum(31 * SECOND), (1, 1));
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    #[test]
    fn loom_no_sample_is_lost() {
        loom::model(|| {
            let window = Arc::new(Samples::new());
            window.add(0, true);
            let other = {
                let window = Arc::clone(&window);
                thread::spawn(move || window.add(30 * SECOND, true))
            };
            window.add(30 * SECOND, false);
            other.join().expect("no panic");
            assert_eq!(window.sum(30 * SECOND), (2, 1));
        });
    }
}
