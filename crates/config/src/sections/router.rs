//! How deployments are chosen and followed: `router_settings`, and what LiteLLM has of it elsewhere.

use std::time::Duration;

use super::set;
use crate::document::{Node, Value};
use crate::error::ConfigError;
use crate::mid_stream;
use crate::read::{Section, text};
use crate::schema::{AuthError, FallbackList, Named, RetryOn, Router, Strategy};
use crate::source::Environment;

pub(super) fn router_settings(
    mut section: Section<'_>,
    router: &mut Router,
) -> Result<(), ConfigError> {
    if let Some((word, place)) = section.text("routing_strategy")? {
        router.strategy = match word.replace('-', "_").as_str() {
            "in_order" => Strategy::InOrder,
            "simple_shuffle" => Strategy::Weighted,
            "least_busy" => Strategy::LeastBusy,
            "latency_based"
            | "latency_based_routing"
            | "cost_based"
            | "cost_based_routing"
            | "usage_based"
            | "usage_based_routing"
            | "usage_based_routing_v2" => {
                let message = format!("the routing strategy `{word}` is not supported yet");
                return Err(ConfigError::at(place, message)
                    .help("use in_order, simple_shuffle or least_busy"));
            }
            other => {
                let message = format!(
                    "`{word}` is not a routing strategy; there are in_order, simple_shuffle and least_busy"
                );
                return Err(ConfigError::at(place, message)
                    .nearest(other, ["in_order", "simple_shuffle", "least_busy"]));
            }
        };
    }
    set(&mut router.num_retries, section.count("num_retries")?);
    set(&mut router.retry_after, section.seconds("retry_after")?);
    set(&mut router.timeout, section.positive_seconds("timeout")?);
    set(
        &mut router.stream_timeout,
        section.positive_seconds("stream_timeout")?,
    );
    set(&mut router.deadline, section.positive_seconds("deadline")?);
    set(&mut router.patience, section.seconds("patience")?);
    set(&mut router.allowed_fails, section.count("allowed_fails")?);
    set(&mut router.cooldown_time, section.seconds("cooldown_time")?);
    // Windows and abilities always are.
    section.flag("enable_pre_call_checks")?;
    if section.flag("disable_cooldowns")? == Some(true) {
        router.cooldown_time = Duration::ZERO;
    }
    if let Some(kinds) = section.choices(
        "retry_on",
        &[
            ("5xx", Kind::ServerError),
            ("timeout", Kind::Timeout),
            ("content_filter", Kind::ContentFilter),
        ],
    )? {
        let has = |kind| kinds.contains(&kind);
        router.retry_on = RetryOn {
            server_error: has(Kind::ServerError),
            timeout: has(Kind::Timeout),
            content_filter: has(Kind::ContentFilter),
        };
    }
    set(
        &mut router.auth_error,
        section.choice(
            "auth_error",
            &[("next", AuthError::Next), ("surface", AuthError::Surface)],
        )?,
    );
    if let Some((mid_stream, _)) = mid_stream::read(&mut section)? {
        router.mid_stream = mid_stream.over(router.mid_stream);
    }
    fallbacks(&mut section, router)?;
    section.finish()
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    ServerError,
    Timeout,
    ContentFilter,
}

/// What LiteLLM reads of its own section and Backstop has under `router_settings`.
pub(super) fn litellm_settings(
    mut section: Section<'_>,
    router: &mut Router,
) -> Result<(), ConfigError> {
    set(&mut router.num_retries, section.count("num_retries")?);
    set(
        &mut router.timeout,
        section.positive_seconds("request_timeout")?,
    );
    set(&mut router.allowed_fails, section.count("allowed_fails")?);
    set(&mut router.cooldown_time, section.seconds("cooldown_time")?);
    // Parameters that a model does not take are always dropped, and noted in the record.
    section.flag("drop_params")?;
    fallbacks(&mut section, router)?;
    section.finish()
}

fn fallbacks(section: &mut Section<'_>, router: &mut Router) -> Result<(), ConfigError> {
    let environment = section.environment();
    lists("fallbacks", section, &mut router.fallbacks)?;
    lists(
        "context_window_fallbacks",
        section,
        &mut router.context_window_fallbacks,
    )?;
    lists(
        "content_policy_fallbacks",
        section,
        &mut router.content_policy_fallbacks,
    )?;
    if let Some(node) = section.take("default_fallbacks") {
        router.default_fallbacks = names(node, "default_fallbacks", environment)?;
    }
    Ok(())
}

/// Lists of names to go on with, each for a name.
fn lists(
    name: &'static str,
    section: &mut Section<'_>,
    lists: &mut Vec<FallbackList>,
) -> Result<(), ConfigError> {
    let environment = section.environment();
    let Some(node) = section.take(name) else {
        return Ok(());
    };
    let (entries, place) = match node.value {
        // LiteLLM writes a list of mappings with one key each; a single mapping says the same.
        Value::List(list) => (list, node.place),
        Value::Map(_) => (vec![node.clone()], node.place),
        other => {
            let message = format!(
                "`{name}` must be a list of mappings, but is {}",
                other.kind()
            );
            return Err(ConfigError::at(node.place, message));
        }
    };
    for entry in entries {
        let Value::Map(entries) = entry.value else {
            let message =
                format!("each of `{name}` must be a mapping from a name to a list of names");
            return Err(ConfigError::at(place, message));
        };
        for (key, list) in entries {
            let then = names(list, name, environment)?;
            lists.push(FallbackList {
                of: Named {
                    name: key.name,
                    place: key.place,
                },
                then,
            });
        }
    }
    Ok(())
}

fn names(node: Node, key: &str, environment: &Environment) -> Result<Vec<Named>, ConfigError> {
    let Value::List(list) = node.value else {
        let message = format!(
            "`{key}` must be a list of names, but is {}",
            node.value.kind()
        );
        return Err(ConfigError::at(node.place, message));
    };
    list.into_iter()
        .map(|node| text(node, key, environment).map(|(name, place)| Named { name, place }))
        .collect()
}
