//! Deployments that nobody knows the price of, under a budget in dollars.

use backstop::Budget;
use backstop::budget::{Currency, Mode, Scope, Unpriced};

use crate::chain;
use crate::schema::{Config, DeploymentConfig};

/// What becomes of a call without a price.
pub(crate) enum Effect<'a> {
    /// It is refused under this budget.
    Refused(&'a Budget),
    /// It is booked with this.
    Booked(String),
}

/// What becomes of a call to `deployment` for `model`, if it has no price and a budget in dollars can hold for it.
pub(crate) fn effect<'a>(
    config: &'a Config,
    model: &str,
    deployment: &DeploymentConfig,
) -> Option<Effect<'a>> {
    if deployment.facts.price().is_some() {
        return None;
    }
    let in_dollars = |budget: &&Budget| budget.currency() == Currency::NanoUsd;
    let can_hold = |budget: &&Budget| can_hold(budget, config, model, deployment);
    let mut budgets = config.budgets.iter().filter(in_dollars).filter(can_hold);
    let first = budgets.clone().next()?;
    let nothing = || Effect::Booked("nothing".to_owned());
    Some(match config.unpriced {
        Unpriced::Deny if first.mode() == Mode::Hard => Effect::Refused(first),
        Unpriced::Deny => budgets
            .find(|budget| budget.mode() == Mode::Hard)
            .map_or_else(nothing, Effect::Refused),
        Unpriced::Flat(usd) => Effect::Booked(format!("${usd}")),
        Unpriced::Allow => nothing(),
    })
}

/// Whether there can be a call that the budget holds for: who spends, only a request tells.
fn can_hold(budget: &Budget, config: &Config, model: &str, deployment: &DeploymentConfig) -> bool {
    let Some(id) = budget.id() else {
        return true;
    };
    match budget.scope() {
        Scope::Deployment => *id == deployment.id,
        Scope::Provider => **id == *deployment.provider.name(),
        Scope::Model => {
            let mut autos = config.capabilities.iter();
            **id == *model || autos.any(|auto| auto.name == *id && auto.may_choose(model))
        }
        _ => true,
    }
}

/// A line for each deployment that is passed over for want of a price.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
    // Parsing has resolved them before, so they resolve.
    let chains = chain::resolve(config).unwrap_or_default();
    let refused = |index: usize, deployment: &DeploymentConfig| {
        chains.iter().find_map(|chain| {
            let is_in_it = chain.steps.iter().any(|step| step.deployment == index);
            match is_in_it.then(|| effect(config, &chain.model, deployment))?? {
                Effect::Refused(budget) => Some(budget.name()),
                Effect::Booked(_) => None,
            }
        })
    };
    let deployments = config.deployments.iter().enumerate();
    deployments
        .filter_map(|(index, deployment)| {
            let budget = refused(index, deployment)?;
            Some(format!(
                "nobody knows what the deployment `{}` costs: it is passed over wherever the budget `{budget}` holds; \
                 give it `input_cost_per_token` and `output_cost_per_token`, or say `unpriced_model`",
                deployment.id
            ))
        })
        .collect()
}
