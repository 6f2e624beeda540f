use std::sync::Barrier;
use std::sync::atomic::AtomicU32;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

#[test]
fn a_full_bucket_grants_its_capacity_and_no_more() {
    let bucket = Bucket::new(3);
    let granted = (0..9).filter(|_| bucket.withdraw(0)).count();
    assert_eq!(granted, 3);
}

#[test]
fn five_calls_or_one_second_pay_for_a_retry() {
    let bucket = Bucket::new(1);
    assert!(bucket.withdraw(0));
    for _ in 0..4 {
        bucket.deposit(0);
    }
    assert!(!bucket.withdraw(0), "0.8 tokens are none");
    bucket.deposit(0);
    assert!(bucket.withdraw(0));

    assert!(!bucket.withdraw(999));
    assert!(bucket.withdraw(1000));
}

#[test]
fn no_more_is_kept_than_fits() {
    let bucket = Bucket::new(2);
    for _ in 0..100 {
        bucket.deposit(1_000_000);
    }
    let granted = (0..9).filter(|_| bucket.withdraw(1_000_000)).count();
    assert_eq!(granted, 2);
    assert!(!Bucket::new(0).withdraw(u64::from(u32::MAX)));
}

#[tokio::test(start_paused = true)]
async fn it_follows_the_clock() {
    let budget = RetryBudget::with_capacity(1);
    assert!(budget.withdraw());
    assert!(!budget.withdraw());
    tokio::time::advance(Duration::from_millis(1001)).await;
    assert!(budget.withdraw());
}

/// A race of real threads, which shows most mistakes; the loom tests show them all.
#[test]
fn threads_are_never_granted_more_than_there_is() {
    const THREADS: usize = 4;
    const CALLS: u32 = 100_000;
    let bucket = Bucket::new(1000);
    let barrier = Barrier::new(THREADS);
    let granted = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..CALLS {
                    bucket.deposit(7);
                    if bucket.withdraw(7) {
                        granted.fetch_add(1, Relaxed);
                    }
                }
            });
        }
    });
    // 1000 tokens and 400 000 deposits of a fifth. Those that find the bucket full (four at most) may be lost, and
    // what is left in the end is less than a token.
    let granted = granted.into_inner();
    assert!((80_999..=81_000).contains(&granted), "granted {granted}");
}

/// A bucket as one would write it down, with a balance and the time of its last change.
struct Naive {
    capacity: f64,
    balance: f64,
    at: u64,
}

impl Naive {
    fn flow(&mut self, now: u64) {
        self.balance = (self.balance + (now - self.at) as f64 / 1000.0).min(self.capacity);
        self.at = now;
    }
}

proptest! {
    #[test]
    fn it_agrees_with_a_naive_one(
        tokens in 0u32..5,
        steps in prop::collection::vec((0u64..1500, any::<bool>()), 0..200),
    ) {
        let bucket = Bucket::new(tokens);
        let mut naive = Naive { capacity: f64::from(tokens), balance: f64::from(tokens), at: 0 };
        let mut now = 0;
        for (pause, pays) in steps {
            now += pause;
            naive.flow(now);
            if pays {
                bucket.deposit(now);
                naive.balance = (naive.balance + 0.2).min(naive.capacity);
            } else {
                // Half a thousandth, because the naive one adds in floats.
                let grants = naive.balance + 0.0005 >= 1.0;
                prop_assert_eq!(bucket.withdraw(now), grants);
                if grants {
                    naive.balance -= 1.0;
                }
            }
        }
    }
}
