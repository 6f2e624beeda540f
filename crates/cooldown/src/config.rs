use std::time::Duration;

use backstop_core::{Blame, Failure, FailureKind, Policy};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When a circuit opens, and for how long.
///
/// A circuit opens
///
/// - on more than [`allowed_fails`](Self::allowed_fails) counted failures in 60 s,
/// - when at least [`ratio`](Self::ratio) of at least [`min_samples`](Self::min_samples) outcomes of the last 30 s
///   failed,
/// - at once on a failure that names its own time, and on one that somebody has to mend.
///
/// What a failure is to the circuit is its [`Blame`] in the [`Policy`]:
///
/// | blame | counted failure | ratio | opens at once |
/// |---|---|---|---|
/// | [`Counts`](Blame::Counts) | yes | yes | for its hint, if it has one |
/// | [`Limit`](Blame::Limit) | no | yes | for its hint, if that is longer than [`patience`](Self::patience) |
/// | [`Broken`](Blame::Broken) | – | – | for the [`long_rest`](Self::long_rest) |
/// | [`None`](Blame::None) | no | no | no |
///
/// It rests for
///
/// - the hint exactly, up to [`hint_cap`](Self::hint_cap), where the failure that opens it has one: no jitter, so
///   that a retry which sleeps for the same hint wakes into a circuit that is due;
/// - the [`long_rest`](Self::long_rest), if somebody has to mend something, and never less than the hint;
/// - else [`cooldown`](Self::cooldown), doubled with each probe that fails in a row up to [`max`](Self::max), plus
///   up to 20 % of jitter.
///
/// Values out of range are clamped into it.
///
/// ```
/// use backstop_cooldown::CooldownConfig;
/// use std::time::Duration;
///
/// let config = CooldownConfig::new()
///     .allowed_fails(5)
///     .cooldown(Duration::from_secs(30));
/// assert!(!config.is_disabled());
/// ```
#[derive(Clone, Debug)]
pub struct CooldownConfig {
    pub(crate) policy: Policy,
    pub(crate) allowed_fails: u32,
    pub(crate) ratio: f64,
    pub(crate) min_samples: u32,
    pub(crate) cooldown: Duration,
    pub(crate) max: Duration,
    pub(crate) patience: Duration,
    pub(crate) hint_cap: Duration,
    pub(crate) long_rest: Duration,
    pub(crate) probe_lease: Duration,
    pub(crate) jitter: fn() -> f64,
}

impl Default for CooldownConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl CooldownConfig {
    /// The defaults that each setting names.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            policy: Policy::new(),
            allowed_fails: 3,
            ratio: 0.5,
            min_samples: 10,
            cooldown: Duration::from_secs(60),
            max: Duration::from_secs(300),
            patience: Duration::from_secs(1),
            hint_cap: Duration::from_secs(60 * 60),
            long_rest: Duration::from_secs(15 * 60),
            probe_lease: Duration::from_secs(60),
            jitter: fastrand::f64,
        }
    }

    /// Sets what each kind of failure says about health. Default: [`Policy::new`].
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets how many counted failures within 60 s are tolerated; 0 opens on the first. Default 3, at most 10 000.
    #[must_use]
    pub fn allowed_fails(mut self, fails: u32) -> Self {
        self.allowed_fails = fails.min(10_000);
        self
    }

    /// Sets the share of failed outcomes in the last 30 s that opens. Default 0.5, from 0.01 to 1; not a number is 1.
    #[must_use]
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = if ratio.is_nan() {
            1.0
        } else {
            ratio.clamp(0.01, 1.0)
        };
        self
    }

    /// Sets how many outcomes the ratio needs. Default 10, at least 1; `u32::MAX` turns the ratio off.
    #[must_use]
    pub fn min_samples(mut self, samples: u32) -> Self {
        self.min_samples = samples.max(1);
        self
    }

    /// Sets the first rest. Default 60 s, at most a day. Zero turns the circuit off: it never opens.
    ///
    /// It should exceed the time that one attempt may take, or slow attempts outlast the rest that their
    /// siblings caused.
    #[must_use]
    pub fn cooldown(mut self, rest: Duration) -> Self {
        self.cooldown = rest.min(DAY);
        self
    }

    /// Sets to where the rest grows while probes fail. Default 300 s, at most a day; never below the cooldown.
    #[must_use]
    pub fn max(mut self, max: Duration) -> Self {
        self.max = max.min(DAY);
        self
    }

    /// Sets how long a rate limit's hint may be without opening the circuit. Default 1 s, at most an hour.
    ///
    /// Give retry and cooldown the same patience: then a retry never wakes into a circuit that its own failure
    /// has opened.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience.min(Duration::from_secs(60 * 60));
        self
    }

    /// Sets how much of a hint is believed. Default 1 h, from 1 s to a day.
    #[must_use]
    pub fn hint_cap(mut self, cap: Duration) -> Self {
        self.hint_cap = cap.clamp(Duration::from_secs(1), DAY);
        self
    }

    /// Sets the first rest after a rejected key or an exhausted quota; a forbidden or unknown model rests for a
    /// third of it. It doubles with each probe that fails, up to a day. Default 15 min, from 1 s to a day.
    #[must_use]
    pub fn long_rest(mut self, rest: Duration) -> Self {
        self.long_rest = rest.clamp(Duration::from_secs(1), DAY);
        self
    }

    /// Sets how long a probe may take before its place goes to another. Default 60 s, from 1 s to a day.
    ///
    /// It is for calls that are held, but never polled again: a call that is dropped gives its place back at
    /// once. Make it longer than an attempt's timeout.
    #[must_use]
    pub fn probe_lease(mut self, lease: Duration) -> Self {
        self.probe_lease = lease.clamp(Duration::from_secs(1), DAY);
        self
    }

    /// Sets the source of jitter: numbers from 0 to 1, of which a fifth is added to a rest. Default random.
    #[must_use]
    pub fn jitter(mut self, jitter: fn() -> f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// Whether circuits with these settings never open.
    #[must_use]
    pub const fn is_disabled(&self) -> bool {
        self.cooldown.is_zero()
    }

    pub(crate) fn blame(&self, kind: FailureKind) -> Blame {
        self.policy.row(kind).blame
    }

    /// Whether `failure` opens a closed circuit on its own, whatever the statistics say.
    pub(crate) fn opens_at_once(&self, failure: &Failure) -> bool {
        match (self.blame(failure.kind()), hint(failure)) {
            (Blame::Broken, _) | (Blame::Counts, Some(_)) => true,
            (Blame::Limit, Some(hint)) => hint > self.patience,
            (Blame::Counts | Blame::Limit, None) | (Blame::None, _) => false,
        }
    }

    /// How long to rest for `failure` after `failed_probes` in a row.
    pub(crate) fn rest(&self, failure: &Failure, failed_probes: u32) -> Rest {
        let hint = hint(failure);
        if self.blame(failure.kind()) == Blame::Broken {
            let first = match failure.kind() {
                FailureKind::Permission | FailureKind::ModelNotFound => self.long_rest / 3,
                _ => self.long_rest,
            };
            let grown = self.jittered(grown(first, failed_probes, DAY));
            return Rest::Mend(grown.max(hint.unwrap_or_default().min(DAY)));
        }
        match hint {
            Some(hint) => Rest::Hint(hint.min(self.hint_cap)),
            None => Rest::Guess(self.jittered(grown(
                self.cooldown,
                failed_probes,
                self.max.max(self.cooldown),
            ))),
        }
    }

    fn jittered(&self, rest: Duration) -> Duration {
        let share = (self.jitter)();
        // Not `clamp`: it lets NaN through.
        let share = if share > 0.0 { share.min(1.0) } else { 0.0 };
        rest + rest.mul_f64(share / 5.0)
    }
}

/// How long a circuit rests, by whose word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Ours, from statistics: the deployment may be back sooner.
    Guess(Duration),
    /// The provider's.
    Hint(Duration),
    /// Somebody has to mend something first.
    Mend(Duration),
}

impl Rest {
    pub(crate) const fn duration(self) -> Duration {
        match self {
            Self::Guess(rest) | Self::Hint(rest) | Self::Mend(rest) => rest,
        }
    }
}

fn hint(failure: &Failure) -> Option<Duration> {
    failure.retry_after().filter(|hint| !hint.is_zero())
}

fn grown(first: Duration, doublings: u32, max: Duration) -> Duration {
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_rest_doubles_up_to_its_cap() {
        let config = CooldownConfig::new().jitter(|| 0.0);
        let failure = Failure::new(FailureKind::ServerError);
        let rests: Vec<u64> = (0..6)
            .map(|n| config.rest(&failure, n).duration().as_secs())
            .collect();
        assert_eq!(rests, [60, 120, 240, 300, 300, 300]);
        assert_eq!(config.rest(&failure, u32::MAX).duration(), secs(300));
    }

    #[test]
    fn what_somebody_has_to_mend_rests_long() {
        let config = CooldownConfig::new().jitter(|| 0.0);
        for (kind, first) in [
            (FailureKind::Auth, 15 * 60),
            (FailureKind::QuotaExhausted, 15 * 60),
            (FailureKind::Permission, 5 * 60),
            (FailureKind::ModelNotFound, 5 * 60),
        ] {
            let failure = Failure::new(kind);
            assert_eq!(
                config.rest(&failure, 0),
                Rest::Mend(secs(first)),
                "{kind} at first"
            );
            assert_eq!(config.rest(&failure, 1), Rest::Mend(secs(2 * first)));
            assert_eq!(config.rest(&failure, 40), Rest::Mend(DAY));
        }
        let tomorrow = Failure::new(FailureKind::QuotaExhausted).with_retry_after(secs(7200));
        assert_eq!(config.rest(&tomorrow, 0), Rest::Mend(secs(7200)));
    }

    #[test]
    fn settings_out_of_range_are_clamped() {
        let config = CooldownConfig::new()
            .ratio(f64::NAN)
            .min_samples(0)
            .max(secs(1))
            .hint_cap(Duration::ZERO)
            .probe_lease(Duration::ZERO)
            .jitter(|| f64::NAN);
        let failure = Failure::new(FailureKind::Timeout);
        assert_eq!(config.rest(&failure, 3).duration(), secs(60));
        assert_eq!(config.hint_cap, secs(1));
        assert_eq!(config.probe_lease, secs(1));
        assert!((config.ratio - 1.0).abs() < f64::EPSILON);
        assert_eq!(config.min_samples, 1);
        assert!(CooldownConfig::new().cooldown(Duration::ZERO).is_disabled());
    }

    proptest! {
        #[test]
        fn jitter_only_adds_and_at_most_a_fifth(probes in 0..9_u32, base in 1..400_u64) {
            let failure = Failure::new(FailureKind::ServerError);
            let config = CooldownConfig::new().cooldown(secs(base));
            let plain = config.clone().jitter(|| 0.0).rest(&failure, probes).duration();
            let rest = config.rest(&failure, probes).duration();
            prop_assert!(rest >= plain && rest <= plain.mul_f64(1.200_001), "{plain:?} {rest:?}");
        }

        #[test]
        fn a_hint_is_kept_exactly_up_to_its_cap(ms in 1..10_000_000_u64, probes in 0..9_u32) {
            let hint = Duration::from_millis(ms);
            for kind in [FailureKind::RateLimit, FailureKind::Overloaded] {
                let failure = Failure::new(kind).with_retry_after(hint);
                let rest = CooldownConfig::new().rest(&failure, probes);
                prop_assert_eq!(rest, Rest::Hint(hint.min(secs(3600))));
            }
            let broken = Failure::new(FailureKind::QuotaExhausted).with_retry_after(hint);
            prop_assert!(CooldownConfig::new().rest(&broken, probes).duration() >= hint);
        }
    }
}
