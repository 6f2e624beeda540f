//! Who may ask: `keys`.

use std::sync::Arc;

use backstop::Spender;
use backstop::region::Labels;
use secrecy::{ExposeSecret, SecretString};

use crate::document::Node;
use crate::error::ConfigError;
use crate::read::Section;
use crate::schema::Named;
use crate::source::Environment;

/// What records call whoever shows the master key.
pub(crate) const MASTER: &str = "master";

/// A key that a client may show, and what comes with it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientKey {
    /// What budgets and records call it.
    pub id: Arc<str>,
    /// The key itself.
    pub key: SecretString,
    /// In whose name it spends: the user is for each request to say.
    pub spender: Spender,
    /// What is known of its requests, for residency.
    pub labels: Labels,
    /// The residency rule that it brings with it.
    pub(crate) rule: Option<Named>,
    /// Patterns of the models that it may ask for; `None` for all.
    models: Option<Arc<[Named]>>,
}

impl ClientKey {
    /// Whether it may ask for a model of this name.
    #[must_use]
    pub fn may_use(&self, model: &str) -> bool {
        let Some(patterns) = &self.models else {
            return true;
        };
        patterns.iter().any(|pattern| matches(&pattern.name, model))
    }

    /// Refuses the name of a model that there is not. A pattern may wait for the first that it fits.
    pub(crate) fn check(&self, models: &[&str]) -> Result<(), ConfigError> {
        let names = self.models.iter().flat_map(|patterns| patterns.iter());
        let unknown = names
            .filter(|named| !named.name.contains('*'))
            .find(|named| !models.contains(&&*named.name));
        match unknown {
            None => Ok(()),
            Some(Named { name, place }) => {
                let message = format!("there is no model called `{name}` that this key could use");
                Err(ConfigError::at(*place, message).nearest(name, models.iter().copied()))
            }
        }
    }
}

/// Whether `name` is what `pattern` says, in which `*` stands for any characters, none included.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Reads `keys`, beside which there is the operator's.
pub(crate) fn read(
    top: &mut Section<'_>,
    master: Option<&SecretString>,
) -> Result<Vec<ClientKey>, ConfigError> {
    let environment = top.environment();
    let Some((list, _)) = top.list("keys")? else {
        return Ok(Vec::new());
    };
    let mut keys = Vec::with_capacity(list.len());
    for node in list {
        let key = key(node, environment, master, &keys)?;
        keys.push(key);
    }
    Ok(keys)
}

fn key(
    node: Node,
    environment: &Environment,
    master: Option<&SecretString>,
    earlier: &[ClientKey],
) -> Result<ClientKey, ConfigError> {
    let mut entry = Section::of(node, "keys", environment)?;
    let place = entry.place();
    let (id, id_place) = entry.required_text("id")?;
    if id.is_empty() || id == MASTER {
        let message = format!("`{id}` cannot be the id of a key");
        let help = format!("`{MASTER}` is whoever shows general_settings.master_key");
        return Err(ConfigError::at(id_place, message).help(help));
    }
    if earlier.iter().any(|earlier| *earlier.id == *id) {
        return Err(ConfigError::at(
            id_place,
            format!("two keys have the id `{id}`"),
        ));
    }
    let key = entry.secret("key")?;
    let id: Arc<str> = id.into();
    let mut spender = Spender::new().key(Arc::clone(&id));
    let mut labels = Labels::new().key(Arc::clone(&id));
    if let Some((team, _)) = entry.text("team")? {
        labels = labels.team(&*team);
        spender = spender.team(team);
    }
    if let Some((org, _)) = entry.text("org")? {
        spender = spender.org(org);
    }
    // What is not said is not known: rules take that for the stricter case.
    if let Some(tags) = entry.words("tags")? {
        labels = labels.tags(tags.iter().map(|(tag, _)| &**tag));
        for (tag, _) in tags {
            spender = spender.tag(tag);
        }
    }
    if let Some(classes) = entry.words("data_class")? {
        labels = labels.classes(classes.iter().map(|(class, _)| class));
    }
    let rule = entry.text("residency")?;
    let rule = rule.map(|(name, place)| Named { name, place });
    let models = entry.words("models")?.map(|patterns| {
        patterns
            .into_iter()
            .map(|(name, place)| Named { name, place })
            .collect()
    });
    // Before what is missing: perhaps it is misspelt.
    entry.finish()?;
    let key = key.ok_or_else(|| ConfigError::at(place, format!("the key `{id}` has no `key`")))?;
    let is_key = |other: &SecretString| other.expose_secret() == key.expose_secret();
    if master.is_some_and(is_key) {
        let message = format!("the key `{id}` is the same as `general_settings.master_key`");
        let help = "whoever shows it would be the operator, whom no rule for this key concerns";
        return Err(ConfigError::at(place, message).help(help));
    }
    if let Some(twin) = earlier.iter().find(|earlier| is_key(&earlier.key)) {
        let message = format!("the keys `{}` and `{id}` are the same", twin.id);
        return Err(ConfigError::at(place, message).help("nobody could tell whose budget it is"));
    }
    Ok(ClientKey {
        id,
        key,
        spender,
        labels,
        rule,
        models,
    })
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name) in [
            ("smart", "smart"),
            ("*", ""),
            ("*", "smart/balanced"),
            ("smart/*", "smart/"),
            ("smart/*", "smart/balanced"),
            ("*-mini", "gpt-4o-mini"),
            ("gpt-*-mini", "gpt-4o-mini"),
            ("a*b*c", "a-b-b-c"),
            ("", ""),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("smart", "smarter"),
            ("smart/*", "smart"),
            ("*-mini", "gpt-4o-mini-2"),
            ("a*b*c", "a-c-b"),
            ("ab*ba", "aba"),
            ("", "a"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
