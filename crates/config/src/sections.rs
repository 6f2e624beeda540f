//! The sections of a configuration, read and checked one by one.

mod deployment;
mod router;

use self::deployment::deployment;
use self::router::{litellm_settings, router_settings};
use crate::budgets::{self, Members};
use crate::document::{Node, Value};
use crate::error::ConfigError;
use crate::facts::Known;
use crate::mid_stream;
use crate::read::Section;
use crate::residency;
use crate::schema::{AuditConfig, Config, General, Router};
use crate::source::Environment;
use crate::{capabilities, clients, provider, store};

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
    let models = [&*groups, &*autos].concat();
    for key in &keys {
        key.check(&models)?;
    }
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
    let mut remarks = known.remarks();
    remarks.extend(provider::remarks(&deployments, environment));
    Ok(Config {
        deployments,
        capabilities,
        keys,
        budgets,
        unpriced,
        store,
        remarks,
        router,
        general,
        audit,
        policies: policies.into(),
        files: environment.files(),
    })
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
