use backstop_core::{NanoUsd, Usage};

use crate::decimal;

/// What a model's tokens cost, in dollars per million: exact to the nano-dollar.
///
/// Each component is billed once: prompt tokens that were read from the cache, or written to it, are not billed as
/// plain input as well, and reasoning is output.
///
/// ```
/// use backstop_catalog::{Price, Rates};
/// use backstop_core::{NanoUsd, Usage};
///
/// let usd = NanoUsd::from_usd_str;
/// let price = Price::new(Rates::new(usd("2.5")?, usd("10")?).with_cached(usd("1.25")?));
///
/// let mut usage = Usage::reported(1_000, 100);
/// usage.cached = 400;
/// // 600 × 2.5 + 400 × 1.25 + 100 × 10, a million times too much.
/// assert_eq!(price.cost(&usage), usd("0.003")?);
/// # Ok::<(), backstop_core::InvalidUsd>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    base: Rates,
    /// By ascending threshold.
    tiers: Vec<(u64, Rates)>,
}

impl Price {
    /// These rates for a prompt of any length.
    #[must_use]
    pub const fn new(base: Rates) -> Self {
        Self {
            base,
            tiers: Vec::new(),
        }
    }

    /// Adds other rates for the whole of a request whose prompt has more than `above` tokens.
    #[must_use]
    pub fn with_tier(mut self, above: u64, rates: Rates) -> Self {
        self.tiers.retain(|(threshold, _)| *threshold != above);
        self.tiers.push((above, rates));
        self.tiers.sort_by_key(|(threshold, _)| *threshold);
        self
    }

    /// The rates for a request whose prompt has `input` tokens, cached ones included.
    #[must_use]
    pub fn rates(&self, input: u64) -> &Rates {
        self.reachable(input).last().unwrap_or(&self.base)
    }

    /// What `usage` costs: the sum of its components, each rounded up to a nano-dollar.
    ///
    /// A component whose rate is not known is not free: a cached read then costs as much as plain input, a cache
    /// write as much as the dearest prompt token that has a rate, and one for an hour twice as much as plain input
    /// where one for five minutes has a rate.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> NanoUsd {
        let rates = self.rates(usage.input);
        let hour = usage.cache_write_1h.min(usage.cache_write);
        let plain = usage
            .input
            .saturating_sub(usage.cached)
            .saturating_sub(usage.cache_write);
        let dearest = rates.dearest_input();
        [
            (plain, rates.input),
            (usage.cached, rates.cached.unwrap_or(rates.input)),
            (
                usage.cache_write - hour,
                rates.cache_write.unwrap_or(dearest),
            ),
            (hour, rates.hour()),
            (usage.output, rates.output),
        ]
        .into_iter()
        .map(|(tokens, rate)| component(tokens, rate))
        .sum()
    }

    /// What at most `input` prompt tokens and `output` answer tokens cost at the most, whatever the cache does.
    #[must_use]
    pub fn bound(&self, input: u64, output: u64) -> NanoUsd {
        let rates = || self.reachable(input).chain([&self.base]);
        let dearest = |rate: fn(&Rates) -> NanoUsd| rates().map(rate).max().unwrap_or_default();
        // Two components of one kind may each be rounded up: there are four kinds of prompt tokens.
        component(input, dearest(Rates::dearest_input))
            .saturating_add(NanoUsd::from_nano(3))
            .saturating_add(component(output, dearest(Rates::output)))
    }

    /// The tiers that a prompt of at most `input` tokens may reach.
    fn reachable(&self, input: u64) -> impl Iterator<Item = &Rates> {
        self.tiers
            .iter()
            .take_while(move |(above, _)| input > *above)
            .map(|(_, rates)| rates)
    }
}

const MILLION: u128 = 1_000_000;

fn component(tokens: u64, rate: NanoUsd) -> NanoUsd {
    let nano = (u128::from(tokens) * u128::from(rate.as_nano())).div_ceil(MILLION);
    NanoUsd::from_nano(u64::try_from(nano).unwrap_or(u64::MAX))
}

/// Dollars per million tokens, by component; `None` is unknown, never free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    input: NanoUsd,
    output: NanoUsd,
    cached: Option<NanoUsd>,
    cache_write: Option<NanoUsd>,
    cache_write_1h: Option<NanoUsd>,
}

impl Rates {
    /// Rates of prompt and answer; those of the cache are unknown.
    #[must_use]
    pub const fn new(input: NanoUsd, output: NanoUsd) -> Self {
        Self {
            input,
            output,
            cached: None,
            cache_write: None,
            cache_write_1h: None,
        }
    }

    /// Reads a price as LiteLLM writes it, in dollars per token, such as `2.5e-06`: as a rate, exactly, or rounded up
    /// where it is finer than a rate can be. `None` if it is no number, negative, or too large.
    #[must_use]
    pub fn per_token(text: &str) -> Option<NanoUsd> {
        let (nano, _) = decimal::scaled(text, 15).ok()?;
        Some(NanoUsd::from_nano(nano))
    }

    /// Sets the rate of prompt tokens that are read from the cache.
    #[must_use]
    pub const fn with_cached(mut self, rate: NanoUsd) -> Self {
        self.cached = Some(rate);
        self
    }

    /// Sets the rate of prompt tokens that are written to the cache for five minutes.
    #[must_use]
    pub const fn with_cache_write(mut self, rate: NanoUsd) -> Self {
        self.cache_write = Some(rate);
        self
    }

    /// Sets the rate of prompt tokens that are written to the cache for an hour.
    #[must_use]
    pub const fn with_cache_write_1h(mut self, rate: NanoUsd) -> Self {
        self.cache_write_1h = Some(rate);
        self
    }

    /// Plain prompt tokens.
    #[must_use]
    pub const fn input(&self) -> NanoUsd {
        self.input
    }

    /// Answer tokens, reasoning included.
    #[must_use]
    pub const fn output(&self) -> NanoUsd {
        self.output
    }

    /// Prompt tokens read from the cache.
    #[must_use]
    pub const fn cached(&self) -> Option<NanoUsd> {
        self.cached
    }

    /// Prompt tokens written to the cache for five minutes.
    #[must_use]
    pub const fn cache_write(&self) -> Option<NanoUsd> {
        self.cache_write
    }

    /// Prompt tokens written to the cache for an hour.
    #[must_use]
    pub const fn cache_write_1h(&self) -> Option<NanoUsd> {
        self.cache_write_1h
    }

    fn dearest_input(&self) -> NanoUsd {
        [self.cached, self.cache_write, Some(self.hour())]
            .into_iter()
            .flatten()
            .fold(self.input, NanoUsd::max)
    }

    /// Prompt tokens written to the cache for an hour, known or not: whoever charges for five minutes charges twice
    /// the plain rate for an hour, as far as their prices are known.
    fn hour(&self) -> NanoUsd {
        match (self.cache_write_1h, self.cache_write) {
            (Some(rate), _) => rate,
            (None, Some(short)) => short.max(self.input.saturating_mul(2)),
            (None, None) => self.input,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usd(text: &str) -> NanoUsd {
        NanoUsd::from_usd_str(text).expect("an amount")
    }

    fn usage([input, cached, write, hour, output]: [u64; 5]) -> Usage {
        let mut usage = Usage::reported(input, output);
        usage.cached = cached;
        usage.cache_write = write;
        usage.cache_write_1h = hour;
        usage
    }

    fn claude() -> Price {
        let rates = Rates::new(usd("3"), usd("15"))
            .with_cached(usd("0.3"))
            .with_cache_write(usd("3.75"))
            .with_cache_write_1h(usd("6"));
        let long = Rates::new(usd("6"), usd("22.5")).with_cached(usd("0.6"));
        Price::new(rates).with_tier(200_000, long)
    }

    #[test]
    fn each_token_is_billed_once() {
        let cost = |counts| claude().cost(&usage(counts)).as_nano();
        assert_eq!(cost([1000, 0, 0, 0, 0]), 3_000_000);
        assert_eq!(cost([1000, 1000, 0, 0, 0]), 300_000);
        assert_eq!(cost([1000, 0, 1000, 0, 0]), 3_750_000);
        assert_eq!(cost([1000, 0, 1000, 1000, 0]), 6_000_000);
        assert_eq!(
            cost([1000, 100, 200, 50, 10]),
            700 * 3000 + 100 * 300 + 150 * 3750 + 50 * 6000 + 10 * 15_000
        );
    }

    #[test]
    fn a_tier_is_for_the_whole_request() {
        let cost = |counts| claude().cost(&usage(counts)).as_nano();
        assert_eq!(cost([200_000, 0, 0, 0, 0]), 200_000 * 3000);
        assert_eq!(cost([200_001, 0, 0, 0, 1]), 200_001 * 6000 + 22_500);
    }

    #[test]
    fn an_unknown_rate_is_never_free() {
        let price = Price::new(Rates::new(usd("3"), usd("15")));
        assert_eq!(
            price.cost(&usage([1000, 400, 300, 100, 0])).as_nano(),
            3_000_000
        );
    }

    #[test]
    fn an_hour_in_the_cache_of_an_unlisted_tier_costs_twice_the_input() {
        let rates = Rates::new(usd("6"), usd("22.5")).with_cache_write(usd("7.5"));
        let price = Price::new(rates);
        assert_eq!(
            price.cost(&usage([1000, 0, 1000, 1000, 0])).as_nano(),
            12_000_000
        );
        assert!(price.bound(1000, 0).as_nano() >= 12_000_000);
    }

    #[test]
    fn a_fraction_of_a_nano_dollar_is_a_nano_dollar() {
        let price = Price::new(Rates::new(NanoUsd::from_nano(1), NanoUsd::from_nano(1)));
        assert_eq!(price.cost(&usage([1, 0, 0, 0, 1])).as_nano(), 2);
        assert_eq!(price.cost(&usage([0, 0, 0, 0, 0])), NanoUsd::ZERO);
    }

    #[test]
    fn absurd_numbers_stop_at_the_end() {
        let price = Price::new(Rates::new(NanoUsd::MAX, NanoUsd::MAX));
        assert_eq!(price.cost(&usage([u64::MAX; 5])), NanoUsd::MAX);
        assert_eq!(price.bound(u64::MAX, u64::MAX), NanoUsd::MAX);
    }

    proptest! {
        #[test]
        fn no_usage_within_the_bounds_costs_more(
            input in 0_u64..400_000, cached in 0_u64..400_000, write in 0_u64..400_000,
            hour in 0_u64..400_000, output in 0_u64..100_000, slack in 0_u64..200_000,
        ) {
            let cached = cached.min(input);
            let write = write.min(input - cached);
            let cost = claude().cost(&usage([input, cached, write, hour, output]));
            prop_assert!(cost <= claude().bound(input + slack, output));
        }
    }
}
