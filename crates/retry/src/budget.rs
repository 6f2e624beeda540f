#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

/// One retry, in the bucket's unit: thousandths of a token.
const RETRY: u64 = 1000;
/// What each call pays in: retries may add a fifth to the load.
const DEPOSIT: u64 = 200;
/// The default capacity, in tokens.
const CAPACITY: u32 = 100;

/// Bounds retries to a share of the calls, so that they cannot multiply the load on a service that is failing.
///
/// A token bucket. A retry takes one token, each call pays in 0.2, one token a second flows in besides, so that a
/// service with little traffic may retry at all, and it holds at most 100: a burst of a hundred retries, after which
/// one retry for five calls is granted. When it is empty, failures are passed on as they are.
///
/// The idea, 20 % and the burst of 100 are those of Finagle's `RetryBudget` and of [`TpsBudget`], which Tower took
/// from there; AWS's SDKs start with 100 retries too (500 tokens, 5 for each). It is not `TpsBudget` itself, because
/// that reads its balance and subtracts from it in two steps: two threads can both take the last token. Here all state
/// is one word that one compare-and-swap changes, and no more is ever granted than was there.
///
/// One budget belongs to one service. The clones of a [`RetryPolicy`](crate::RetryPolicy) share theirs.
///
/// ```
/// use backstop_retry::RetryBudget;
///
/// let budget = RetryBudget::with_capacity(1);
/// assert!(budget.withdraw());
/// assert!(!budget.withdraw(), "it is empty");
/// for _ in 0..5 {
///     budget.deposit();
/// }
/// assert!(budget.withdraw(), "five calls pay for a retry");
/// ```
///
/// [`TpsBudget`]: tower::retry::budget::TpsBudget
#[derive(Debug)]
pub struct RetryBudget {
    started: Instant,
    bucket: Bucket,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

impl RetryBudget {
    /// A full budget of 100 tokens.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    /// A full budget that holds at most `tokens`. With 0 it never grants anything.
    #[must_use]
    pub fn with_capacity(tokens: u32) -> Self {
        Self {
            started: Instant::now(),
            bucket: Bucket::new(tokens),
        }
    }

    /// Pays in for one call.
    pub fn deposit(&self) {
        self.bucket.deposit(self.now());
    }

    /// Takes a token for one retry. `false` if there is none: then nothing was taken.
    #[must_use]
    pub fn withdraw(&self) -> bool {
        self.bucket.withdraw(self.now())
    }

    /// Milliseconds since the start.
    fn now(&self) -> u64 {
        let age = Instant::now().saturating_duration_since(self.started);
        u64::try_from(age.as_millis()).unwrap_or(u64::MAX / 2)
    }
}

/// The arithmetic. One token a second is a thousandth of a token a millisecond, so time and tokens have one unit, and
/// the moment at which the bucket was, or would have been, empty says everything: what flowed in since is in it.
#[derive(Debug)]
struct Bucket {
    capacity: u64,
    /// On a clock that begins at `capacity`, so that a bucket which is full at the start was empty at zero.
    empty_at: AtomicU64,
}

impl Bucket {
    fn new(tokens: u32) -> Self {
        Self {
            capacity: u64::from(tokens) * RETRY,
            empty_at: AtomicU64::new(0),
        }
    }

    fn deposit(&self, now: u64) {
        self.change(now, |balance| Some(balance + DEPOSIT));
    }

    fn withdraw(&self, now: u64) -> bool {
        self.change(now, |balance| balance.checked_sub(RETRY))
    }

    /// Replaces the balance, unless `change` says no. Nothing else depends on this word, so no ordering is needed:
    /// the compare-and-swap itself keeps two threads from spending one token.
    fn change(&self, now: u64, change: impl Fn(u64) -> Option<u64>) -> bool {
        let now = now + self.capacity;
        self.empty_at
            .fetch_update(Relaxed, Relaxed, |empty_at| {
                // A thread that read the clock before another one changed the word sees a little less than there is.
                let balance = now.saturating_sub(empty_at).min(self.capacity);
                Some(now - change(balance)?.min(self.capacity))
            })
            .is_ok()
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;
