//! How much may be spent: `budgets` and `unpriced_model`.

use std::time::Duration;

use backstop::Budget;
use backstop::budget::{Limit, MAX_AMOUNT, Mode, Scope, Unpriced, Window};
use backstop::core::NanoUsd;

use crate::clients::{ClientKey, MASTER};
use crate::document::{Node, Value};
use crate::error::{ConfigError, Place};
use crate::read::{Section, choose, text};
use crate::schema::DeploymentConfig;
use crate::source::Environment;
use crate::store::Store;

/// Whom a budget can be for, as far as the configuration knows them.
pub(crate) struct Members<'a> {
    pub(crate) deployments: &'a [DeploymentConfig],
    pub(crate) keys: &'a [ClientKey],
    /// Names of models beside those of the deployments.
    pub(crate) models: &'a [&'a str],
    pub(crate) store: &'a Store,
}

/// Reads `budgets`, before it is known whom they can be for.
pub(crate) fn take(top: &mut Section<'_>) -> Result<Vec<Node>, ConfigError> {
    Ok(top.list("budgets")?.unwrap_or((Vec::new(), top.place())).0)
}

pub(crate) fn read(
    list: Vec<Node>,
    environment: &Environment,
    members: &Members<'_>,
) -> Result<Vec<Budget>, ConfigError> {
    let mut budgets: Vec<Budget> = Vec::with_capacity(list.len());
    for node in list {
        let place = node.place;
        let budget = budget(node, environment, members)?;
        if budgets
            .iter()
            .any(|earlier| earlier.name() == budget.name())
        {
            let message = format!("two budgets are called `{}`", budget.name());
            let help = "they would share one account: give one of them a `name` of its own";
            return Err(ConfigError::at(place, message).help(help));
        }
        if let Err(message) = members.store.check(&budget) {
            return Err(ConfigError::at(place, message));
        }
        budgets.push(budget);
    }
    Ok(budgets)
}

fn budget(
    node: Node,
    environment: &Environment,
    members: &Members<'_>,
) -> Result<Budget, ConfigError> {
    let mut entry = Section::of(node, "budgets", environment)?;
    let place = entry.place();
    let scopes = Scope::ALL.map(|scope| (scope.as_str(), scope));
    let scope = entry.choice("scope", &scopes)?.ok_or_else(|| {
        ConfigError::at(place, "`scope` is missing in `budgets`")
            .help("a budget for everything has `scope: global`")
    })?;
    let id = entry.text("id")?;
    let window = window(&mut entry)?;
    let modes = [Mode::Hard, Mode::Soft, Mode::Shadow].map(|mode| (mode.as_str(), mode));
    let mode = entry.choice("mode", &modes)?.unwrap_or_default();
    let name = entry.text("name")?;
    let limit = limit(entry)?;

    let mut budget = Budget::new(scope, limit, window).with_mode(mode);
    for (key, said) in [("id", &id), ("name", &name)] {
        if let Some((_, place)) = said.as_ref().filter(|(text, _)| text.is_empty()) {
            return Err(ConfigError::at(*place, format!("`{key}` is empty")));
        }
    }
    if let Some((id, place)) = id {
        members.check(scope, &id, place)?;
        budget = budget.of(id);
    }
    if let Some((name, _)) = name {
        budget = budget.with_name(name);
    }
    Ok(budget)
}

impl Members<'_> {
    /// Refuses a budget for somebody who is not there.
    fn check(&self, scope: Scope, id: &str, place: Place) -> Result<(), ConfigError> {
        let deployments = self.deployments.iter();
        let known: Vec<&str> = match scope {
            Scope::Global => {
                return Err(ConfigError::at(place, "a global budget has no `id`")
                    .help("remove the id, or say another `scope`"));
            }
            Scope::Key => {
                let keys = self.keys.iter().map(|key| &*key.id);
                keys.chain([MASTER]).collect()
            }
            Scope::Model => {
                let groups = deployments.map(|deployment| &*deployment.group);
                groups.chain(self.models.iter().copied()).collect()
            }
            Scope::Deployment => deployments.map(|deployment| &*deployment.id).collect(),
            Scope::Provider => deployments
                .map(|deployment| deployment.provider.name())
                .collect(),
            Scope::Org | Scope::Team | Scope::User | Scope::Tag => return Ok(()),
        };
        if known.contains(&id) {
            return Ok(());
        }
        let message =
            format!("there is no {scope} called `{id}`: this budget would hold for nobody");
        Err(ConfigError::at(place, message).nearest(id, known))
    }
}

/// What is left of an entry is its limit.
fn limit(mut entry: Section<'_>) -> Result<Limit, ConfigError> {
    let section = entry.place();
    let usd = entry.decimal("limit_usd")?;
    let tokens = entry.amount("limit_tokens")?;
    let requests = entry.amount("limit_requests")?;
    entry.finish()?;
    let (limit, place) = match (usd, tokens, requests) {
        (Some((usd, place)), None, None) => (Limit::Usd(dollars("limit_usd", &usd, place)?), place),
        (None, Some((tokens, place)), None) => (Limit::Tokens(tokens), place),
        (None, None, Some((requests, place))) => (Limit::Requests(requests), place),
        (None, None, None) => {
            return Err(ConfigError::at(section, "this budget has no limit")
                .help("say `limit_usd`, `limit_tokens` or `limit_requests`"));
        }
        _ => {
            return Err(ConfigError::at(section, "this budget has several limits")
                .help("make it one budget for each"));
        }
    };
    let amount = match limit {
        Limit::Usd(usd) => usd.as_nano(),
        Limit::Tokens(amount) | Limit::Requests(amount) => amount,
    };
    if amount > MAX_AMOUNT {
        return Err(
            ConfigError::at(place, "this limit is too large to count").help("leave the budget out")
        );
    }
    Ok(limit)
}

/// Dollars, exactly as they were written.
fn dollars(key: &str, written: &str, place: Place) -> Result<NanoUsd, ConfigError> {
    NanoUsd::from_usd_str(written).map_err(|error| {
        let message = if written.starts_with('-') {
            format!("`{key}` is negative")
        } else {
            format!("`{key}` is {error}")
        };
        ConfigError::at(place, message)
    })
}

fn window(entry: &mut Section<'_>) -> Result<Window, ConfigError> {
    let section = entry.place();
    let Some((word, place)) = entry.text("window")? else {
        return Err(ConfigError::at(section, "`window` is missing in `budgets`")
            .help("say day, week, month, total, or for how long, such as 24h"));
    };
    let zone = entry.text("time_zone")?;
    let calendar: fn(&str) -> Result<Window, _> = match &*word {
        "day" => Window::day,
        "week" => Window::week,
        "month" => Window::month,
        _ => {
            if let Some((_, place)) = zone {
                let message = format!("a window of `{word}` has no time zone");
                return Err(ConfigError::at(place, message).help("remove `time_zone`"));
            }
            return rolling(&word, place);
        }
    };
    // Days are short enough for everybody's to be the same; weeks and months are what people keep accounts by.
    let utc = (word == "day").then(|| ("UTC".to_owned(), place));
    let Some((zone, zone_place)) = zone.or(utc) else {
        let message = format!("a window of a {word} begins at a midnight: it needs a `time_zone`");
        return Err(ConfigError::at(place, message).help("say one, such as Europe/Berlin, or UTC"));
    };
    calendar(&zone).map_err(|error| ConfigError::at(zone_place, error.to_string()))
}

fn rolling(word: &str, place: Place) -> Result<Window, ConfigError> {
    if word == "total" {
        return Ok(Window::total());
    }
    let seconds = word.char_indices().last().and_then(|(at, unit)| {
        let unit = match unit {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            _ => return None,
        };
        let seconds = word[..at].parse::<u32>().ok()?.checked_mul(unit)?;
        (seconds > 0).then_some(seconds)
    });
    let Some(seconds) = seconds else {
        let message = format!("`{word}` is not a window");
        let words = ["day", "week", "month", "total"];
        return Err(ConfigError::at(place, message)
            .help("there are day, week, month, total, and durations such as 90s, 30m, 24h, 7d")
            .nearest(word, words));
    };
    Ok(Window::rolling(Duration::from_secs(seconds.into())))
}

/// Reads `unpriced_model`.
pub(crate) fn unpriced(top: &mut Section<'_>) -> Result<Unpriced, ConfigError> {
    const KEY: &str = "unpriced_model";
    let environment = top.environment();
    let Some(node) = top.take(KEY) else {
        return Ok(Unpriced::default());
    };
    if let Value::Map(_) = node.value {
        let mut section = Section::of(node, KEY, environment)?;
        let place = section.place();
        let flat = section.decimal("flat_usd")?;
        section.finish()?;
        let Some((flat, place)) = flat else {
            return Err(ConfigError::at(
                place,
                "`flat_usd` is missing in `unpriced_model`",
            ));
        };
        return dollars("flat_usd", &flat, place).map(Unpriced::Flat);
    }
    let (word, place) = text(node, KEY, environment)?;
    choose(
        KEY,
        &word,
        place,
        &[("deny", Unpriced::Deny), ("allow", Unpriced::Allow)],
    )
}
