//! What a configuration amounts to, for people.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use backstop::catalog::Rates;

use crate::chain::{self, Chain};
use crate::schema::{Config, Strategy};
use crate::unpriced::{self, Effect};

/// The deployments of one model, as they will be tried.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChainView {
    /// The model's name for callers.
    pub model: Arc<str>,
    /// How deployments of the same order are arranged.
    pub strategy: &'static str,
    /// The deployments.
    pub steps: Vec<StepView>,
    /// How long it takes at the most until the last of them has failed, if the deadline did not end it.
    pub worst_case: Duration,
    /// When the deadline ends it.
    pub deadline: Duration,
}

/// One deployment of a chain.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StepView {
    /// Its place: those with the same number are arranged by the strategy.
    pub order: u32,
    /// The deployment's id.
    pub id: Arc<str>,
    /// The provider.
    pub provider: &'static str,
    /// The provider's name of the model.
    pub model: Arc<str>,
    /// The region, where it is known.
    pub region: Option<String>,
    /// The time that one attempt has to its first token.
    pub timeout: Duration,
    /// Whether it is asked for a stream where the caller wants none.
    pub collects: bool,
    /// The most tokens that a prompt may have there, where that is known.
    pub window: Option<u64>,
    /// What it costs, where that is known.
    pub price: Option<Rates>,
    /// What becomes of its calls, where that is not known and a budget in dollars can hold for them.
    pub unpriced: Option<String>,
    /// After which failure alone it is asked: `context window` or `content policy`.
    pub only_after: Option<&'static str>,
}

const IN_ORDER: &str = "in order";

impl StepView {
    /// The region, for people.
    fn place(&self) -> &str {
        self.region.as_deref().unwrap_or("-")
    }
}

pub(crate) fn chains(config: &Config) -> Vec<ChainView> {
    // Parsing has resolved them before, so they resolve.
    chain::resolve(config)
        .unwrap_or_default()
        .iter()
        .map(|chain| view(chain, config))
        .collect()
}

fn view(chain: &Chain, config: &Config) -> ChainView {
    let router = &config.router;
    let steps: Vec<StepView> = chain
        .steps
        .iter()
        .map(|step| {
            let deployment = &config.deployments[step.deployment];
            StepView {
                order: step.order,
                id: Arc::clone(&deployment.id),
                provider: deployment.provider.name(),
                model: Arc::clone(&deployment.model),
                region: deployment
                    .deployment()
                    .region()
                    .map(|region| region.to_string()),
                timeout: deployment.timeout.unwrap_or(router.timeout),
                collects: deployment.collect_streams,
                window: deployment.facts.window(),
                price: deployment.facts.price().map(|price| *price.rates(0)),
                unpriced: unpriced::effect(config, &chain.model, deployment).map(|effect| {
                    match effect {
                        Effect::Refused(budget) => format!("refused under {}", budget.name()),
                        Effect::Booked(what) => format!("each call counts as {what}"),
                    }
                }),
                only_after: match step.only_after {
                    [] => None,
                    chain::BLOCKED => Some("content policy"),
                    _ => Some("context window"),
                },
            }
        })
        .collect();
    // Every deployment once, and every repeat on the slowest of them after the longest pause.
    let slowest = steps
        .iter()
        .map(|step| step.timeout)
        .max()
        .unwrap_or_default();
    let once: Duration = steps.iter().map(|step| step.timeout).sum();
    let repeats = slowest
        .saturating_add(router.patience)
        .saturating_mul(router.num_retries);
    ChainView {
        model: Arc::clone(&chain.model),
        strategy: match router.strategy {
            Strategy::InOrder => IN_ORDER,
            Strategy::Weighted => "weighted shuffle",
            Strategy::LeastBusy => "least busy",
        },
        steps,
        worst_case: once.saturating_add(repeats),
        deadline: router.deadline,
    }
}

impl fmt::Display for ChainView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.model, self.strategy)?;
        let widest = |text: fn(&StepView) -> &str| {
            let widths = self.steps.iter().map(|step| text(step).chars().count());
            widths.max().unwrap_or(0)
        };
        let (ids, models) = (widest(|step| &step.id), widest(|step| &step.model));
        let regions = widest(StepView::place);
        for (index, step) in self.steps.iter().enumerate() {
            // Nothing arranges those of one order but where they stand.
            let number = match self.strategy {
                IN_ORDER => index,
                _ => step.order as usize,
            };
            let region = step.place();
            let collects = if step.collects {
                "  collects streams"
            } else {
                ""
            };
            write!(
                f,
                "  {:>2}. {:ids$}  {:9}  {:models$}  region {region:regions$}  timeout {:?}{collects}",
                number + 1,
                step.id,
                step.provider,
                step.model,
                step.timeout,
            )?;
            match step.window {
                Some(window) => write!(f, "  window {window}")?,
                None => f.write_str("  window -")?,
            }
            match &step.price {
                Some(rates) => write!(
                    f,
                    "  ${} in, ${} out a million",
                    rates.input(),
                    rates.output()
                )?,
                None => f.write_str("  price -")?,
            }
            if let Some(unpriced) = &step.unpriced {
                write!(f, ": {unpriced}")?;
            }
            match step.only_after {
                Some(failure) => writeln!(f, "  only after: {failure}")?,
                None => writeln!(f)?,
            }
        }
        write!(f, "  worst case {:?}", self.worst_case)?;
        if self.worst_case > self.deadline {
            write!(
                f,
                ", which the deadline ends after {:?}: late deployments get a smaller share",
                self.deadline
            )
        } else {
            write!(f, ", within the deadline of {:?}", self.deadline)
        }
    }
}
