//! `GET /budgets`: how the account of each budget stands.

use std::time::{Duration, SystemTime};

use backstop_budget::{Balance, Currency};
use backstop_core::{NanoUsd, wall};
use bytes::Bytes;
use serde::Serialize;

#[derive(Serialize)]
struct List {
    object: &'static str,
    data: Vec<Account>,
}

/// Amounts are whole numbers of `unit`; dollars are told as such, too.
#[derive(Serialize)]
struct Account {
    budget: String,
    scope: &'static str,
    id: String,
    mode: &'static str,
    window: String,
    unit: &'static str,
    limit: u64,
    spent: u64,
    reserved: u64,
    remaining: u64,
    overrun: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    usd: Option<Dollars>,
    /// When what is spent now counts no longer; `null` for ever.
    resets_at: Option<String>,
    resets_in_seconds: Option<u64>,
}

#[derive(Serialize)]
struct Dollars {
    limit: String,
    spent: String,
    reserved: String,
    remaining: String,
    overrun: String,
}

pub(crate) fn list(balances: &[Balance]) -> Bytes {
    let now = wall::now();
    let data = balances
        .iter()
        .map(|balance| account(balance, now))
        .collect();
    let list = List {
        object: "list",
        data,
    };
    serde_json::to_vec(&list)
        .expect("names and numbers are JSON")
        .into()
}

fn account(balance: &Balance, now: SystemTime) -> Account {
    let budget = &balance.budget;
    let remaining = balance.headroom();
    let usd = |nano| NanoUsd::from_nano(nano).to_string();
    let dollars = || Dollars {
        limit: usd(budget.limit()),
        spent: usd(balance.spent),
        reserved: usd(balance.reserved),
        remaining: usd(remaining),
        overrun: usd(balance.overrun),
    };
    let resets = balance.span.frees(balance.span.bucket());
    Account {
        budget: budget.name().to_owned(),
        scope: budget.scope().as_str(),
        id: balance.id.to_string(),
        mode: budget.mode().as_str(),
        window: budget.window().to_string(),
        unit: match budget.currency() {
            Currency::NanoUsd => "nano_usd",
            currency => currency.as_str(),
        },
        limit: budget.limit(),
        spent: balance.spent,
        reserved: balance.reserved,
        remaining,
        overrun: balance.overrun,
        usd: (budget.currency() == Currency::NanoUsd).then(dollars),
        resets_at: resets.and_then(written),
        resets_in_seconds: resets.map(|at| {
            let left: Duration = at.duration_since(now).unwrap_or_default();
            left.as_secs()
        }),
    }
}

/// As in RFC 3339, in UTC.
fn written(moment: SystemTime) -> Option<String> {
    let at = jiff::Timestamp::try_from(moment).ok()?;
    Some(format!("{at:.0}"))
}
