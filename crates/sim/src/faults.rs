//! Outages that begin and end, and the faults that hold for a model's first requests.

use crate::{
    Provider,
    plan::{Plan, UnknownFault},
};
use std::{collections::HashMap, sync::Mutex};

/// A fault that one provider shows, to every request or to those for one model, until it is ended.
///
/// ```
/// use backstop_sim::{Outage, Provider};
///
/// let outage = Outage::new(Provider::OpenAi, "429=2")?.model("gpt-4o").times(3);
/// # let _ = outage;
/// # Ok::<(), backstop_sim::UnknownFault>(())
/// ```
#[derive(Clone, Debug)]
pub struct Outage {
    provider: Provider,
    model: Option<String>,
    faults: String,
    left: Option<u64>,
}

impl Outage {
    /// An outage of `provider` that shows `faults` (the syntax of a model name behind its first `+`).
    ///
    /// # Errors
    ///
    /// If one of them is unknown, or counts requests: that is what [`times`](Self::times) is for.
    pub fn new(provider: Provider, faults: impl Into<String>) -> Result<Self, UnknownFault> {
        let faults = faults.into();
        let mut plan = Plan::default();
        plan.apply(&faults)?;
        if plan.first.is_some() {
            return Err(UnknownFault::new(&faults));
        }
        Ok(Self {
            provider,
            model: None,
            faults,
            left: None,
        })
    }

    /// Narrows it to one model: the string as it is asked for, or the part before the first `+`.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Lets it end by itself after `times` requests.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.left = Some(times);
        self
    }

    fn concerns(&self, provider: Provider, model: &str, base: &str) -> bool {
        self.provider == provider
            && self.left != Some(0)
            && self
                .model
                .as_deref()
                .is_none_or(|m| m == model || m == base)
    }
}

/// The outages of a running simulator, and how often each model string was asked for.
#[derive(Debug, Default)]
pub struct Faults {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    outages: Vec<Outage>,
    asked: HashMap<(Provider, String), u64>,
}

impl Faults {
    /// Begins an outage; it replaces the one that the same provider (and model) has.
    pub fn begin(&self, outage: Outage) {
        let mut state = self.lock();
        state
            .outages
            .retain(|o| o.provider != outage.provider || o.model != outage.model);
        state.outages.push(outage);
    }

    /// Ends the outages of a provider: those of one model, or all of them.
    pub fn end(&self, provider: Provider, model: Option<&str>) {
        self.lock()
            .outages
            .retain(|o| o.provider != provider || (model.is_some() && o.model.as_deref() != model));
    }

    /// Ends every outage and starts the counts of `fail=n` and `first=n` anew.
    pub fn clear(&self) {
        *self.lock() = State::default();
    }

    /// What this request gets: its own faults while they last, and those of an outage on top.
    pub(crate) fn plan(&self, provider: Provider, model: &str, base: &str, own: Plan) -> Plan {
        let mut state = self.lock();
        let mut plan = own;
        if let Some(first) = plan.first {
            let asked = state.asked.entry((provider, model.to_owned())).or_default();
            *asked += 1;
            if *asked > first {
                plan = plan.healthy();
            }
        }
        for outage in state
            .outages
            .iter_mut()
            .filter(|o| o.concerns(provider, model, base))
        {
            outage.left = outage.left.map(|left| left - 1);
            plan.apply(&outage.faults)
                .expect("an outage's faults were parsed when it was made");
        }
        plan
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Kind;

    #[test]
    fn the_first_n_requests_of_a_model_string_fail_and_no_other_is_counted() {
        let faults = Faults::default();
        let ask = |model: &str| {
            let (base, plan) = Plan::of(model).unwrap();
            faults.plan(Provider::OpenAi, model, base, plan).error
        };
        assert_eq!(ask("m+fail=2"), Some(Kind::Server));
        assert_eq!(ask("n+fail=2"), Some(Kind::Server));
        assert_eq!(ask("m+fail=2"), Some(Kind::Server));
        assert_eq!(ask("m+fail=2"), None);
        assert_eq!(ask("m+429+first=1"), Some(Kind::RateLimit(None)));
        assert_eq!(ask("m+429+first=1"), None);
    }

    #[test]
    fn an_outage_begins_ends_and_counts_down() {
        let faults = Faults::default();
        let ask = |provider, model: &str| {
            faults
                .plan(
                    provider,
                    model,
                    model.split('+').next().unwrap(),
                    Plan::default(),
                )
                .error
        };
        faults.begin(Outage::new(Provider::OpenAi, "500").unwrap().model("a"));
        faults.begin(
            Outage::new(Provider::OpenAi, "503")
                .unwrap()
                .model("b")
                .times(1),
        );
        assert_eq!(ask(Provider::OpenAi, "a+x"), Some(Kind::Server));
        assert_eq!(ask(Provider::OpenAi, "b"), Some(Kind::Unavailable));
        assert_eq!(ask(Provider::OpenAi, "b"), None);
        assert_eq!(ask(Provider::OpenAi, "c"), None);
        assert_eq!(ask(Provider::Anthropic, "a"), None);
        faults.end(Provider::OpenAi, Some("a"));
        assert_eq!(ask(Provider::OpenAi, "a"), None);
    }
}
