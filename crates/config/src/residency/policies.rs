//! The section `residency`, and the rules that models name.

use std::sync::Arc;

use backstop::Deployment;
use backstop::region::{InvalidPolicy, Match, Policies, Require, Rule};

use super::{names, regions, words};
use crate::clients::{ClientKey, MASTER};
use crate::document::{Node, Value};
use crate::error::{ConfigError, Place};
use crate::read::Section;
use crate::schema::{DeploymentConfig, Named};
use crate::source::Environment;

/// The section, as it was read.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// With the places of their names.
    rules: Vec<(Rule, Place)>,
    unlabelled: Option<Named>,
    keys: Vec<Named>,
    models: Vec<Named>,
}

/// Who there is that rules may name.
pub(crate) struct Known<'a> {
    pub(crate) deployments: &'a [DeploymentConfig],
    pub(crate) keys: &'a [ClientKey],
    /// Names that stand for several models.
    pub(crate) autos: &'a [&'a str],
}

/// Reads the section.
pub(crate) fn rules(mut section: Section<'_>) -> Result<Rules, ConfigError> {
    let environment = section.environment();
    let unlabelled = section
        .text("unlabelled")?
        .filter(|(word, _)| word != "pass")
        .map(|(name, place)| Named { name, place });
    let list = section
        .list("rules")?
        .unwrap_or((Vec::new(), section.place()));
    section.finish()?;
    let mut all = Rules {
        unlabelled,
        ..Rules::default()
    };
    for node in list.0 {
        let rule = rule(node, environment, &mut all)?;
        all.rules.push(rule);
    }
    Ok(all)
}

fn rule(
    node: Node,
    environment: &Environment,
    all: &mut Rules,
) -> Result<(Rule, Place), ConfigError> {
    let mut section = Section::of(node, "rules", environment)?;
    let (name, place) = section.required_text("name")?;
    if name.is_empty() || name == "pass" || name.len() > 64 || name.contains(',') {
        let message = "the name of a rule has 1 to 64 characters, no comma, and is not `pass`";
        return Err(ConfigError::at(place, message));
    }
    let mut rule = Rule::new(name);
    if let Some(node) = section.take("match") {
        rule = rule.matching(matching(node, environment, all)?);
    }
    let require = section.section("require")?;
    let providers = section.section("providers")?;
    rule = rule.require(requirements(require, providers)?);
    if section.flag("allow_empty")? == Some(true) {
        rule = rule.allow_empty();
    }
    section.finish()?;
    Ok((rule, place))
}

/// `none`, or attributes.
fn matching(node: Node, environment: &Environment, all: &mut Rules) -> Result<Match, ConfigError> {
    if matches!(&node.value, Value::Text(word) if word == "none") {
        return Ok(Match::by_name());
    }
    let mut section = Section::of(node, "match", environment)?;
    let mut matching = Match::new();
    if let Some(node) = section.take("model") {
        matching = matching.model(mentions(node, "model", environment, &mut all.models)?);
    }
    if let Some(node) = section.take("key") {
        matching = matching.key(mentions(node, "key", environment, &mut all.keys)?);
    }
    let attributes: [(&str, fn(Match, Vec<String>) -> Match); 3] = [
        ("team", Match::team),
        ("tag", Match::tag),
        ("data_class", Match::data_class),
    ];
    for (key, set) in attributes {
        if let Some(node) = section.take(key) {
            matching = set(matching, names(node, key, environment)?);
        }
    }
    if let Some(node) = section.take("user_region") {
        matching = matching.user_region(regions(node, "user_region", environment)?);
    }
    section.finish()?;
    Ok(matching)
}

/// Names that have to be somebody's, unless they are patterns.
fn mentions(
    node: Node,
    key: &str,
    environment: &Environment,
    all: &mut Vec<Named>,
) -> Result<Vec<String>, ConfigError> {
    let names = words(node, key, environment)?;
    let exact = names.iter().filter(|(name, _)| !name.ends_with('*'));
    all.extend(exact.map(|(name, place)| Named {
        name: name.clone(),
        place: *place,
    }));
    Ok(names.into_iter().map(|(name, _)| name).collect())
}

fn requirements(
    require: Option<Section<'_>>,
    providers: Option<Section<'_>>,
) -> Result<Require, ConfigError> {
    let mut all = Require::new();
    if let Some(mut section) = require {
        let environment = section.environment();
        if let Some(node) = section.take("processing") {
            all = all.processing(regions(node, "processing", environment)?);
        }
        if let Some(node) = section.take("storage") {
            all = all.storage(regions(node, "storage", environment)?);
        }
        if let Some(node) = section.take("compliance") {
            all = all.marks(names(node, "compliance", environment)?);
        }
        section.finish()?;
    }
    if let Some(mut section) = providers {
        let environment = section.environment();
        if let Some(node) = section.take("allow") {
            all = all.allow(names(node, "allow", environment)?);
        }
        if let Some(node) = section.take("deny") {
            all = all.deny(names(node, "deny", environment)?);
        }
        section.finish()?;
    }
    Ok(all)
}

/// The policies of a configuration: its rules, and who names which.
///
/// A rule that none of the deployments satisfies is a mistake, unless it says that it is none.
pub(crate) fn policies(rules: Rules, known: &Known<'_>) -> Result<Policies, ConfigError> {
    known.check(&rules)?;
    let Rules {
        rules, unlabelled, ..
    } = rules;
    let Known {
        deployments, keys, ..
    } = *known;
    for (index, (rule, place)) in rules.iter().enumerate() {
        let mut earlier = rules[..index].iter();
        if earlier.any(|(earlier, _)| earlier.name() == rule.name()) {
            let twice = InvalidPolicy::Twice(Arc::clone(rule.name()));
            return Err(ConfigError::at(*place, twice.to_string()));
        }
    }
    let mut policies = Policies::new(rules.iter().map(|(rule, _)| rule.clone()))
        .map_err(|error| ConfigError::new(error.to_string()))?;
    if let Some(Named { name, place }) = unlabelled {
        policies = policies
            .unlabelled(&name)
            .map_err(|error| no_such_rule(&error, place))?;
    }
    for deployment in deployments {
        if let Some(Named { name, place }) = &deployment.residency.rule {
            policies = policies
                .model(&deployment.group, name)
                .map_err(|error| no_such_rule(&error, *place))?;
        }
    }
    for key in keys {
        if let Some(Named { name, place }) = &key.rule {
            policies = policies
                .key(&key.id, name)
                .map_err(|error| no_such_rule(&error, *place))?;
        }
    }
    let declared: Vec<_> = deployments
        .iter()
        .map(|config| {
            (
                Arc::new(config.deployment()),
                config.residency.place.clone(),
            )
        })
        .collect();
    if let Some(rule) = policies.unsatisfied(&declared).next() {
        let place = rules
            .iter()
            .find(|(known, _)| known.name() == rule.name())
            .map(|(_, place)| *place);
        let why: Vec<_> = declared
            .iter()
            .filter_map(|(deployment, place)| {
                let refusal = rule.check(deployment, place).err()?;
                Some(format!("{}: {}", deployment.id(), refusal.reason()))
            })
            .collect();
        let message = format!(
            "no deployment satisfies the residency rule `{}` ({})",
            rule.name(),
            why.join("; ")
        );
        let error = place.map_or_else(
            || ConfigError::new(message.clone()),
            |place| ConfigError::at(place, message.clone()),
        );
        return Err(error.help("say `allow_empty: true` if its requests are all to be refused"));
    }
    Ok(policies)
}

impl Known<'_> {
    /// A rule for a key or a model that there is not would hold for nobody, and nobody would notice.
    fn check(&self, rules: &Rules) -> Result<(), ConfigError> {
        let groups = self.deployments.iter().map(|deployment| &*deployment.group);
        let models: Vec<_> = groups.chain(self.autos.iter().copied()).collect();
        let keys: Vec<_> = self.keys.iter().map(|key| &*key.id).collect();
        for (named, what, there) in [(&rules.keys, "key", keys), (&rules.models, "model", models)] {
            let stranger = |named: &&Named| !there.contains(&&*named.name);
            let Some(Named { name, place }) = named.iter().find(stranger) else {
                continue;
            };
            let message = format!("there is no {what} called `{name}` that this rule could match");
            let error = ConfigError::at(*place, message);
            return Err(match (what, &**name) {
                ("key", MASTER) => error
                    .help("of whoever shows the master key nothing is known: `unlabelled` decides"),
                _ => error.nearest(name, there),
            });
        }
        Ok(())
    }
}

/// A rule is named that there is not.
pub(crate) fn no_such_rule(error: &InvalidPolicy, place: Place) -> ConfigError {
    match error {
        InvalidPolicy::Unknown { name, nearest } => {
            let error = ConfigError::at(place, format!("there is no residency rule `{name}`"));
            match nearest {
                Some(nearest) => error.help(format!("did you mean `{nearest}`?")),
                None => error.help("rules are listed under `residency.rules`"),
            }
        }
        other => ConfigError::at(place, other.to_string()),
    }
}

impl DeploymentConfig {
    /// What layers and records know of it.
    pub(crate) fn deployment(&self) -> Deployment {
        let deployment = Deployment::new(Arc::clone(&self.id))
            .with_provider(self.provider.name())
            .with_model(Arc::clone(&self.model))
            .with_weight(self.weight);
        match self.residency.place.processing() {
            Some(regions) => deployment.with_region(regions.summary()),
            None => deployment,
        }
    }
}
