//! The sections of a configuration, read and checked one by one.

use std::time::Duration;

use crate::budgets::{self, Members};
use crate::document::{Node, Value};
use crate::error::ConfigError;
use crate::facts::{Known, Said};
use crate::mid_stream;
use crate::read::{Section, text};
use crate::residency;
use crate::schema::{
    AuditConfig, AuthError, Config, DeploymentConfig, FallbackList, General, Named, RetryOn,
    Router, Strategy,
};
use crate::source::Environment;
use crate::{capabilities, clients, store};

const LATER: &str = "is not supported yet";

pub(crate) fn config(document: Node, environment: &Environment) -> Result<Config, ConfigError> {
    let mut top = Section::of(document, "the configuration", environment)?;
    let mut router = Router::default();
    if let Some(section) = top.section("litellm_settings")? {
        litellm_settings(section, &mut router)?;
    }
    if let Some(section) = top.section("router_settings")? {
        router_settings(section, &mut router)?;
    }
    let general = top
        .section("general_settings")?
        .map_or_else(|| Ok(General::default()), general_settings)?;
    let audit = audit(&mut top)?;
    let keys = clients::read(&mut top, general.master_key.as_ref())?;
    let budget_list = budgets::take(&mut top)?;
    let unpriced = budgets::unpriced(&mut top)?;
    let store = store::read(&mut top)?;
    let known = Known::read(&mut top)?;
    let capabilities = capabilities::read(&mut top)?;
    let rules = top
        .section("residency")?
        .map(residency::rules)
        .transpose()?;
    let models = top.list("model_list")?;
    let place = top.place();
    top.finish()?;
    let Some((models, place)) = models else {
        return Err(ConfigError::at(
            place,
            "`model_list` is missing: it names the deployments",
        ));
    };
    if models.is_empty() {
        return Err(ConfigError::at(
            place,
            "`model_list` is empty: it names the deployments",
        ));
    }
    let mut deployments = Vec::with_capacity(models.len());
    for node in models {
        let deployment = deployment(node, environment, &deployments, &known)?;
        deployments.push(deployment);
    }
    mid_stream::agree(&deployments)?;
    let groups: Vec<&str> = deployments
        .iter()
        .map(|deployment| &*deployment.group)
        .collect();
    for auto in &capabilities {
        auto.check(&groups)?;
    }
    let autos: Vec<&str> = capabilities.iter().map(|auto| &*auto.name).collect();
    let members = Members {
        deployments: &deployments,
        keys: &keys,
        models: &autos,
        store: &store,
    };
    let budgets = budgets::read(budget_list, environment, &members)?;
    let known_to_rules = residency::Known {
        deployments: &deployments,
        keys: &keys,
        autos: &autos,
    };
    let policies = residency::policies(rules.unwrap_or_default(), &known_to_rules)?;
    Ok(Config {
        deployments,
        capabilities,
        keys,
        budgets,
        unpriced,
        store,
        remarks: known.remarks(),
        router,
        general,
        audit,
        policies: policies.into(),
        files: environment.files(),
    })
}

fn deployment(
    node: Node,
    environment: &Environment,
    earlier: &[DeploymentConfig],
    known: &Known,
) -> Result<DeploymentConfig, ConfigError> {
    let mut entry = Section::of(node, "model_list", environment)?;
    let (group, group_place) = entry.required_text("model_name")?;
    if group.is_empty() {
        return Err(ConfigError::at(group_place, "`model_name` is empty"));
    }
    let place = entry.place();
    let mut info = entry.section("model_info")?;
    let Some(mut params) = entry.section("litellm_params")? else {
        let error = ConfigError::at(place, "`litellm_params` is missing in `model_list`")
            .help("it holds `model`, `api_key` and the like");
        return Err(entry.missing("litellm_params", error));
    };
    entry.finish()?;

    let (name, name_place) = params.required_text("model")?;
    for (text, place) in [(&group, group_place), (&name, name_place)] {
        if text.contains('*') {
            let message = format!("`{text}`: names with a `*` are not supported yet");
            return Err(ConfigError::at(place, message).help("write an entry for each model"));
        }
    }
    params.refuse(&["rpm", "tpm"], LATER)?;
    let (prefix, model) = crate::provider::split(&name, name_place, known)?;
    let called = params.place_of("aws_region_name").unwrap_or(name_place);
    let provider = crate::provider::read(prefix, &mut params)?;
    let order = params.count("order")?;
    let weight = params.count("weight")?.unwrap_or(1);
    let timeout = params.positive_seconds("timeout")?;
    let stream_timeout = params.positive_seconds("stream_timeout")?;
    let collect_streams = params.flag("collect_streams")?.unwrap_or(false);
    let mid_stream = mid_stream::read(&mut params)?;
    let mut said = Said::default();
    said.prices(&mut params)?;
    params.finish()?;

    let (mut id, mut allowed_fails, mut cooldown_time) = (None, None, None);
    if let Some(info) = &mut info {
        id = info.text("id")?;
        if let Some((_, place)) = id.as_ref().filter(|(id, _)| id.is_empty()) {
            return Err(ConfigError::at(*place, "`id` is empty"));
        }
        info.choice("mode", &[("chat", ())])?;
        said.info(info)?;
        allowed_fails = info.count("allowed_fails")?;
        cooldown_time = info.seconds("cooldown_time")?;
    }
    let residency = residency::declared(&provider, &model, called, info.as_mut())?;
    info.map(Section::finish).transpose()?;

    let facts = said.over(known.find(provider.name(), &model))?;
    let taken = |id: &str| earlier.iter().any(|deployment| &*deployment.id == id);
    let id = match id {
        Some((id, place)) if taken(&id) => {
            let message = format!("two deployments have the id `{id}`");
            return Err(
                ConfigError::at(place, message).help("give this one another `model_info.id`")
            );
        }
        Some((id, _)) => id,
        None if !taken(&name) => name.clone(),
        None => (2..)
            .map(|n| format!("{name}-{n}"))
            .find(|id| !taken(id))
            .unwrap_or_default(),
    };
    Ok(DeploymentConfig {
        group: group.into(),
        id: id.into(),
        model: model.into(),
        facts: facts.into(),
        name: name.into(),
        provider,
        order,
        weight,
        timeout,
        stream_timeout,
        allowed_fails,
        cooldown_time,
        collect_streams,
        residency,
        mid_stream,
    })
}

fn router_settings(mut section: Section<'_>, router: &mut Router) -> Result<(), ConfigError> {
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
fn litellm_settings(mut section: Section<'_>, router: &mut Router) -> Result<(), ConfigError> {
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

fn general_settings(mut section: Section<'_>) -> Result<General, ConfigError> {
    section.refuse(&["metrics_listen", "admin_listen"], LATER)?;
    let mut general = General {
        master_key: section.secret("master_key")?,
        ..General::default()
    };
    set(
        &mut general.expose_attempts,
        section.flag("expose_attempts")?,
    );
    set(
        &mut general.expose_served_by,
        section.flag("expose_served_by")?,
    );
    let size_place = section.place_of("max_request_size_mb");
    match (section.count("max_request_size_mb")?, size_place) {
        (Some(0), Some(place)) => {
            let message = "`max_request_size_mb` must be more than 0";
            return Err(ConfigError::at(place, message));
        }
        (Some(megabytes), _) => {
            general.max_request_bytes = megabytes as usize * 1024 * 1024;
        }
        (None, _) => {}
    }
    if let Some(bytes) = section.kilobytes("connection_buffer_kb")? {
        general.connection_buffer = bytes as usize;
    }
    set(
        &mut general.http2_window,
        section.kilobytes("http2_window_kb")?,
    );
    section.finish()?;
    Ok(general)
}

fn audit(top: &mut Section<'_>) -> Result<Option<AuditConfig>, ConfigError> {
    use backstop_audit::{Mode, OnFailure};
    let environment = top.environment();
    let Some(node) = top.take("audit") else {
        return Ok(Some(AuditConfig::default()));
    };
    // YAML 1.1 reads a bare `off` as false.
    match &node.value {
        Value::Bool(false) => return Ok(None),
        Value::Text(word) if word == "off" => return Ok(None),
        _ => {}
    }
    let mut section = Section::of(node, "audit", environment)?;
    let mut audit = AuditConfig::default();
    if let Some((dir, _)) = section.text("dir")? {
        audit.dir = dir.into();
    }
    let modes = [
        ("sync", Mode::Sync),
        ("group", Mode::Group),
        ("async", Mode::Async),
    ];
    set(&mut audit.mode, section.choice("mode", &modes)?);
    let on_failure = [
        ("reject", OnFailure::Reject),
        ("degrade", OnFailure::Degrade),
    ];
    set(
        &mut audit.on_failure,
        section.choice("on_failure", &on_failure)?,
    );
    section.finish()?;
    Ok(Some(audit))
}

fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}
