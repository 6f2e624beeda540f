/// The tokens that one answer took, as far as is known.
///
/// `input` includes `cached` and `cache_write`, which includes `cache_write_1h`; `output` includes `reasoning`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Prompt tokens, cached ones included.
    pub input: u64,
    /// Answer tokens, reasoning included.
    pub output: u64,
    /// Prompt tokens read from the provider's cache.
    pub cached: u64,
    /// Prompt tokens written to the provider's cache.
    pub cache_write: u64,
    /// Those of them that it keeps for an hour, which costs more than the usual five minutes.
    pub cache_write_1h: u64,
    /// Answer tokens spent on reasoning.
    pub reasoning: u64,
    /// Who counted.
    pub source: UsageSource,
}

impl Usage {
    /// What a provider reported.
    #[must_use]
    pub fn reported(input: u64, output: u64) -> Self {
        Self {
            input,
            output,
            ..Self::default()
        }
    }

    /// The tokens of two answers together, as trustworthy as the weaker of the two.
    ///
    /// A provider may report any number, so sums end at the greatest there is.
    ///
    /// ```
    /// use backstop_core::{Usage, UsageSource};
    ///
    /// let mut estimate = Usage::reported(7, 2);
    /// estimate.source = UsageSource::Estimate;
    /// let sum = Usage::reported(10, 3).plus(estimate);
    /// assert_eq!((sum.input, sum.output), (17, 5));
    /// assert_eq!(sum.source, UsageSource::Estimate);
    /// ```
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            cached: self.cached.saturating_add(other.cached),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            source: self.source.weaker(other.source),
        }
    }
}

/// Where a [`Usage`] comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsageSource {
    /// The provider reported it, completely.
    #[default]
    Provider,
    /// The provider reported a part before the answer broke off.
    Partial,
    /// We counted.
    Estimate,
}

impl UsageSource {
    /// The name that audit records use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Partial => "partial",
            Self::Estimate => "estimate",
        }
    }

    const fn weaker(self, other: Self) -> Self {
        match (self, other) {
            (Self::Estimate, _) | (_, Self::Estimate) => Self::Estimate,
            (Self::Partial, _) | (_, Self::Partial) => Self::Partial,
            (Self::Provider, Self::Provider) => Self::Provider,
        }
    }
}
