//! Where data may go: what deployments declare, the rules of `residency`, and what follows from both.

mod guard;
mod place;
mod policies;
mod view;

pub use self::guard::SealedTarget;
pub(crate) use self::guard::{Governed, governed};
pub(crate) use self::place::{Declared, declared};
pub(crate) use self::policies::{Known, policies, rules};
pub use self::view::PolicyView;
pub(crate) use self::view::{expiring, views};

use backstop::region::{Regions, UnknownRegion};

use crate::document::{Node, Value};
use crate::error::{ConfigError, Place};
use crate::read::text;
use crate::source::Environment;

/// A word, or a list of words with at least one.
fn words(
    node: Node,
    key: &str,
    environment: &Environment,
) -> Result<Vec<(String, Place)>, ConfigError> {
    let place = node.place;
    let words = match node.value {
        Value::List(list) => list
            .into_iter()
            .map(|node| text(node, key, environment))
            .collect::<Result<Vec<_>, _>>()?,
        _ => vec![text(node, key, environment)?],
    };
    if words.is_empty() {
        let message = format!("`{key}` is empty: nothing could satisfy it");
        return Err(ConfigError::at(place, message).help("remove the key, or name something"));
    }
    Ok(words)
}

/// The same without their places.
fn names(node: Node, key: &str, environment: &Environment) -> Result<Vec<String>, ConfigError> {
    let words = words(node, key, environment)?;
    Ok(words.into_iter().map(|(word, _)| word).collect())
}

/// All of these regions together.
fn regions(node: Node, key: &str, environment: &Environment) -> Result<Regions, ConfigError> {
    let mut all = Regions::default();
    for (word, place) in words(node, key, environment)? {
        let region = word.parse().map_err(|error| unknown(&error, place))?;
        all = all.or(&region);
    }
    Ok(all)
}

fn unknown(error: &UnknownRegion, place: Place) -> ConfigError {
    let help = match error.nearest() {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "name a cloud region, a country such as `de`, or one of eu, eea, us, uk, ch, us-gov, global"
            .to_owned(),
    };
    ConfigError::at(place, format!("unknown region `{}`", error.name())).help(help)
}
