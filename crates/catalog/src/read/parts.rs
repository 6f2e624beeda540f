use backstop_core::NanoUsd;

use crate::Rates;

/// The prices of one tier, by component, as far as they have been read.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) input: Option<NanoUsd>,
    pub(super) output: Option<NanoUsd>,
    pub(super) cached: Option<NanoUsd>,
    pub(super) cache_write: Option<NanoUsd>,
    pub(super) cache_write_1h: Option<NanoUsd>,
}

impl Parts {
    /// `None` where one of prompt and answer is missing.
    pub(super) fn rates(&self) -> Option<Rates> {
        let mut rates = Rates::new(self.input?, self.output?);
        if let Some(rate) = self.cached {
            rates = rates.with_cached(rate);
        }
        if let Some(rate) = self.cache_write {
            rates = rates.with_cache_write(rate);
        }
        if let Some(rate) = self.cache_write_1h {
            rates = rates.with_cache_write_1h(rate);
        }
        Some(rates)
    }
}
