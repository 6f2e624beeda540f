//! What an operator is told of budgets, and how their accounts stand.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use backstop::budget::{Currency, Event, Leg, MemoryLedger, Mode};
use backstop::catalog::estimate;
use backstop::core::NanoUsd;
use backstop::{BoxError, Budget, Budgets};
use tokio::time::{Duration, Instant};

use crate::schema::Config;
use crate::store::Ledgers;

/// The budgets of a configuration over the ledger that is there already.
pub(crate) async fn budgets(config: &Config, ledgers: &Ledgers) -> Result<Budgets, BoxError> {
    if config.budgets.is_empty() {
        return Ok(Budgets::new(Arc::new(MemoryLedger::new()), [])?);
    }
    let ledger = ledgers.ledger(&config.store).await?;
    let log = Log::default();
    let budgets = config.budgets.iter().cloned();
    Ok(Budgets::observed(
        ledger,
        budgets,
        move |event: &Event<'_>| log.log(event),
    )?)
}

/// Loads beside everything else what counts tokens, so that no request waits for it.
pub(crate) fn warm(config: &Config) {
    let counts =
        |budget: &Budget| budget.mode() == Mode::Hard && budget.currency() != Currency::Requests;
    if config.budgets.iter().any(counts) {
        // If there is no thread for it, the first request that needs it does it.
        let _ = std::thread::Builder::new()
            .name("tokenizer".to_owned())
            .spawn(estimate::load);
    }
}

/// One budget, for people.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BudgetView {
    /// Its name, which says for whom it is, what it counts and in which window.
    pub name: String,
    /// Its limit.
    pub limit: String,
    /// What happens beyond that.
    pub mode: &'static str,
}

impl BudgetView {
    pub(crate) fn of(budget: &Budget) -> Self {
        Self {
            name: budget.name().to_owned(),
            limit: amount(budget.currency(), budget.limit()),
            mode: budget.mode().as_str(),
        }
    }
}

impl fmt::Display for BudgetView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, limit, mode } = self;
        write!(f, "  {name}  {limit}  {mode}")
    }
}

/// How many accounts are remembered as told of.
const REMEMBERED: usize = 4096;
/// How often it is said that the ledger is not available.
const AGAIN: Duration = Duration::from_secs(10);

/// Writes a line for what changes: not one for each request that a spent budget refuses.
#[derive(Default)]
pub(crate) struct Log(Mutex<Told>);

#[derive(Default)]
struct Told {
    /// The window in which an account was told of last.
    accounts: HashMap<(String, String), i64>,
    unavailable: Option<Instant>,
}

impl Log {
    pub(crate) fn log(&self, event: &Event<'_>) {
        match event {
            Event::Refused { refused, .. } => {
                let leg = refused.leg();
                if self.is_news(leg) {
                    let until = refused.until().map(crate::when);
                    tracing::warn!(
                        budget = leg.budget().name(),
                        id = &**leg.id(),
                        limit = amount(leg.budget().currency(), leg.budget().limit()),
                        left = amount(leg.budget().currency(), refused.headroom()),
                        until,
                        "budget exceeded: requests are refused"
                    );
                }
            }
            Event::Exceeded { leg, .. } if self.is_news(leg) => {
                tracing::warn!(
                    budget = leg.budget().name(),
                    id = &**leg.id(),
                    limit = amount(leg.budget().currency(), leg.budget().limit()),
                    mode = leg.budget().mode().as_str(),
                    "budget exceeded: requests go on"
                );
            }
            Event::Unavailable {
                deployment,
                unavailable,
            } => {
                let now = Instant::now();
                let mut told = self.told();
                let is_old = |before| now.saturating_duration_since(before) >= AGAIN;
                if told.unavailable.is_none_or(is_old) {
                    told.unavailable = Some(now);
                    tracing::warn!(
                        deployment = &**deployment.id(),
                        why = unavailable.detail(),
                        "the ledger is not available: requests are refused"
                    );
                }
            }
            Event::Overrun {
                deployment,
                held,
                spent,
            } => {
                tracing::warn!(
                    deployment = &**deployment.id(),
                    held = ?held,
                    spent = ?spent,
                    "a call took more than had been held for it"
                );
            }
            _ => {}
        }
    }

    /// Whether it was not told of this account in this window.
    fn is_news(&self, leg: &Leg) -> bool {
        let (budget, id) = leg.account();
        let bucket = leg.span().bucket();
        let mut told = self.told();
        if told.accounts.len() >= REMEMBERED {
            told.accounts.clear();
        }
        let account = (budget.to_owned(), id.to_owned());
        told.accounts.insert(account, bucket) != Some(bucket)
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So much of a currency, for people.
pub(crate) fn amount(currency: Currency, amount: u64) -> String {
    match currency {
        Currency::NanoUsd => format!("${}", NanoUsd::from_nano(amount)),
        Currency::Tokens | Currency::Requests => format!("{amount} {currency}"),
    }
}
