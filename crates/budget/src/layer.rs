use std::fmt;
use std::sync::Arc;

use backstop_core::{Deployment, NanoUsd};
use tower_layer::Layer;

use crate::{Budget, Budgeted, Budgets};

/// What a call is charged for of which nobody knows whether it was answered: it timed out, or was cut off, or the
/// caller went away, after it had been sent and before there was an answer; or the answer does not say what it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// All that was held: the provider may have answered, and may bill for it.
    #[default]
    HoldFull,
    /// The prompt, in all likelihood, and whatever of the answer was seen.
    Estimate,
    /// Nothing.
    Zero,
}

/// What happens to a call to a deployment without a price, where a hard limit in dollars holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unpriced {
    /// It is refused: what has no price cannot be kept under a ceiling.
    #[default]
    Deny,
    /// It costs so much, whatever it takes.
    Flat(NanoUsd),
    /// It costs nothing.
    Allow,
}

/// Reserves what a call to one deployment may take before it is made, and settles what it took. See the [crate
/// docs](crate).
#[derive(Clone)]
pub struct BudgetLayer<P> {
    shared: Shared<P>,
}

/// What all clones of a service, and their answers, share.
#[derive(Clone)]
pub(crate) struct Shared<P> {
    pub(crate) budgets: Budgets,
    /// Those that can hold here.
    pub(crate) rules: Arc<[Arc<Budget>]>,
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) price: P,
    pub(crate) options: Options,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) unknown: Unknown,
    pub(crate) unpriced: Unpriced,
    pub(crate) bills_when_cut: bool,
    pub(crate) min_output: u64,
    pub(crate) output_cap: u64,
}

impl Options {
    /// What it costs, once it is said what costs without a price.
    pub(crate) fn cost(&self, cost: Option<NanoUsd>) -> Option<NanoUsd> {
        match self.unpriced {
            Unpriced::Flat(flat) => Some(cost.unwrap_or(flat)),
            Unpriced::Deny | Unpriced::Allow => cost,
        }
    }
}

impl<P> BudgetLayer<P> {
    /// Holds `budgets` for calls to `deployment`, which cost as `price` says.
    pub fn new(budgets: &Budgets, deployment: impl Into<Arc<Deployment>>, price: P) -> Self {
        let deployment = deployment.into();
        Self {
            shared: Shared {
                rules: budgets.of(&deployment),
                budgets: budgets.clone(),
                deployment,
                price,
                options: Options {
                    unknown: Unknown::default(),
                    unpriced: Unpriced::default(),
                    bills_when_cut: false,
                    min_output: 64,
                    output_cap: 4096,
                },
            },
        }
    }

    /// Sets what a call is charged for of which nobody knows whether it was answered.
    #[must_use]
    pub fn unknown(self, unknown: Unknown) -> Self {
        self.with(|options| options.unknown = unknown)
    }

    /// Sets what happens without a price.
    #[must_use]
    pub fn unpriced(self, unpriced: Unpriced) -> Self {
        self.with(|options| options.unpriced = unpriced)
    }

    /// Says that the provider goes on, and bills for the whole answer, when it is cut off: then such an answer is
    /// charged as one that nobody knows anything of. By default it is charged for what was seen of it.
    #[must_use]
    pub fn bills_when_cut(self) -> Self {
        self.with(|options| options.bills_when_cut = true)
    }

    /// Sets down to how many tokens, of each choice, an answer may be bounded so that it fits. The default is 64; below
    /// that the call is refused.
    #[must_use]
    pub fn min_output(self, tokens: u64) -> Self {
        self.with(|options| options.min_output = tokens)
    }

    /// Sets how many tokens, of each choice, an answer may have under a hard limit, if neither the request nor the
    /// model bounds it. The default is 4096.
    #[must_use]
    pub fn output_cap(self, tokens: u64) -> Self {
        self.with(|options| options.output_cap = tokens)
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.shared.options);
        self
    }
}

impl<S, P: Clone> Layer<S> for BudgetLayer<P> {
    type Service = Budgeted<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Budgeted::new(inner, Arc::new(self.shared.clone()))
    }
}

impl<P> fmt::Debug for BudgetLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BudgetLayer")
            .field("deployment", &self.shared.deployment.id())
            .field("rules", &self.shared.rules)
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}
