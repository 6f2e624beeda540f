//! Which deployments are asked for a model, in which order.

use std::collections::BTreeMap;

use backstop::{FailureKind, Ineligible};

use crate::error::ConfigError;
use crate::schema::{Config, Named};

/// The deployments for one model: by index into the configuration's list, with their place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) model: std::sync::Arc<str>,
    pub(crate) steps: Vec<Step>,
}

/// One deployment of a chain. Those with the same `order` are arranged by the strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) deployment: usize,
    pub(crate) order: u32,
    /// The failures after which alone it is asked; empty if it needs none.
    pub(crate) only_after: &'static [FailureKind],
}

/// A prompt that was too long.
pub(crate) const TOO_LONG: &[FailureKind] = &[
    FailureKind::ContextWindow,
    FailureKind::Ineligible(Ineligible::Window),
];
/// A content filter's verdict.
pub(crate) const BLOCKED: &[FailureKind] = &[FailureKind::ContentFilter];

/// What a name of a fallback list means.
enum Target {
    Group,
    Deployment(usize),
}

/// Resolves every model's chain.
pub(crate) fn resolve(config: &Config) -> Result<Vec<Chain>, ConfigError> {
    let names = Names::of(config);
    let router = &config.router;
    let special = [
        &router.context_window_fallbacks,
        &router.content_policy_fallbacks,
    ];
    for list in special.into_iter().flatten().chain(&router.fallbacks) {
        names.find(&list.of)?;
        for name in &list.then {
            names.find(name)?;
        }
    }
    for name in &config.router.default_fallbacks {
        names.find(name)?;
    }
    refuse_cycles(&names)?;
    names
        .groups
        .keys()
        .map(|group| chain(group, config, &names))
        .collect()
}

fn chain(group: &str, config: &Config, names: &Names<'_>) -> Result<Chain, ConfigError> {
    let mut building = Building {
        config,
        names,
        steps: Vec::new(),
        tier: 0,
        visited: Vec::new(),
    };
    building.group(group)?;
    for name in &config.router.default_fallbacks {
        building.name(name)?;
    }
    Ok(Chain {
        model: group.into(),
        steps: building.steps,
    })
}

struct Building<'a> {
    config: &'a Config,
    names: &'a Names<'a>,
    steps: Vec<Step>,
    tier: u32,
    visited: Vec<String>,
}

impl<'a> Building<'a> {
    /// The deployments of a group, then what its fallback lists name.
    fn group(&mut self, group: &'a str) -> Result<(), ConfigError> {
        let members = &self.names.groups[group];
        // Members with an explicit order come first, each order a tier of its own.
        let mut ordered: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let mut free = Vec::new();
        for index in members {
            let deployment = &self.config.deployments[*index];
            match deployment.order {
                Some(order) => ordered.entry(order).or_default().push(*index),
                None if self.is_named_by_a_sibling(*index, members) => {}
                None => free.push(*index),
            }
        }
        for tier in ordered.into_values() {
            self.tier(&tier);
        }
        self.tier(&free);
        let mut of: Vec<&str> = Vec::new();
        for index in members {
            let deployment = &self.config.deployments[*index];
            of.extend([&*deployment.name, &*deployment.id]);
        }
        of.push(group);
        for name in &of {
            self.special_lists_of(name)?;
        }
        of.into_iter().try_for_each(|name| self.lists_of(name))
    }

    /// A deployment that the list of another member names comes where that list says.
    fn is_named_by_a_sibling(&self, index: usize, members: &[usize]) -> bool {
        self.config.router.fallbacks.iter().any(|list| {
            let of_a_sibling = members
                .iter()
                .any(|sibling| *sibling != index && self.names.is(&list.of.name, *sibling));
            of_a_sibling
                && list
                    .then
                    .iter()
                    .any(|name| self.names.is(&name.name, index))
        })
    }

    fn lists_of(&mut self, of: &str) -> Result<(), ConfigError> {
        if self.visited.iter().any(|visited| visited == of) {
            return Ok(());
        }
        self.visited.push(of.to_owned());
        let config = self.config;
        for list in config
            .router
            .fallbacks
            .iter()
            .filter(|list| list.of.name == of)
        {
            for name in &list.then {
                self.name(name)?;
            }
        }
        Ok(())
    }

    /// What is asked only after failures of one kind comes before what is asked after any.
    fn special_lists_of(&mut self, of: &str) -> Result<(), ConfigError> {
        let config = self.config;
        let router = &config.router;
        for (lists, only_after) in [
            (&router.context_window_fallbacks, TOO_LONG),
            (&router.content_policy_fallbacks, BLOCKED),
        ] {
            for name in lists
                .iter()
                .filter(|list| list.of.name == of)
                .flat_map(|list| &list.then)
            {
                match self.names.find(name)? {
                    Target::Group => {
                        let members = self.names.groups[name.name.as_str()].clone();
                        self.tier_after(&members, only_after);
                    }
                    Target::Deployment(index) => self.tier_after(&[index], only_after),
                }
            }
        }
        Ok(())
    }

    fn name(&mut self, name: &'a Named) -> Result<(), ConfigError> {
        match self.names.find(name)? {
            Target::Group => self.group(&name.name),
            Target::Deployment(index) => {
                self.tier(&[index]);
                self.special_lists_of(&name.name)?;
                self.lists_of(&name.name)
            }
        }
    }

    /// Adds a tier of those that are not in the chain yet.
    fn tier(&mut self, deployments: &[usize]) {
        self.tier_after(deployments, &[]);
    }

    fn tier_after(&mut self, deployments: &[usize], only_after: &'static [FailureKind]) {
        let order = self.tier;
        for index in deployments {
            let is_there = |step: &Step| {
                step.deployment == *index
                    && (step.only_after.is_empty() || step.only_after == only_after)
            };
            if !self.steps.iter().any(is_there) {
                self.steps.push(Step {
                    deployment: *index,
                    order,
                    only_after,
                });
                self.tier = order + 1;
            }
        }
    }
}

/// The names that a fallback list may use.
struct Names<'a> {
    config: &'a Config,
    groups: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Names<'a> {
    fn of(config: &'a Config) -> Self {
        let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, deployment) in config.deployments.iter().enumerate() {
            groups.entry(&*deployment.group).or_default().push(index);
        }
        Self { config, groups }
    }

    fn is(&self, name: &str, index: usize) -> bool {
        let deployment = &self.config.deployments[index];
        !self.groups.contains_key(name) && (&*deployment.name == name || &*deployment.id == name)
    }

    fn find(&self, named: &Named) -> Result<Target, ConfigError> {
        if self.groups.contains_key(named.name.as_str()) {
            return Ok(Target::Group);
        }
        let found = (0..self.config.deployments.len()).find(|index| self.is(&named.name, *index));
        found.map(Target::Deployment).ok_or_else(|| {
            let deployments = &self.config.deployments;
            let known = self
                .groups
                .keys()
                .copied()
                .chain(deployments.iter().map(|deployment| &*deployment.name));
            let message = format!(
                "`{}` is no model name and no deployment of `model_list`",
                named.name
            );
            ConfigError::at(named.place, message).nearest(&named.name, known)
        })
    }
}

/// A list that leads back to its own name would promise what cannot be: each deployment is asked once.
fn refuse_cycles(names: &Names<'_>) -> Result<(), ConfigError> {
    for list in &names.config.router.fallbacks {
        let of = list.of.name.as_str();
        let (mut path, mut seen) = (vec![of], vec![of]);
        if let Some(place) = leads_back(names, of, of, &mut path, &mut seen) {
            let path = path.join(" → ");
            return Err(ConfigError::at(
                place,
                format!("`fallbacks` go round in a circle: {path}"),
            )
            .help("take one of them out"));
        }
    }
    Ok(())
}

fn leads_back<'a>(
    names: &Names<'a>,
    from: &str,
    to: &str,
    path: &mut Vec<&'a str>,
    seen: &mut Vec<&'a str>,
) -> Option<crate::error::Place> {
    // Whoever goes on with a model goes on with the lists of its deployments, too.
    let members = names.groups.get(from).map_or(&[][..], Vec::as_slice);
    let follows = |of: &str| of == from || members.iter().any(|member| names.is(of, *member));
    for list in names
        .config
        .router
        .fallbacks
        .iter()
        .filter(|list| follows(&list.of.name))
    {
        for name in &list.then {
            if name.name == to {
                path.push(&name.name);
                return Some(name.place);
            }
            // What has not led back by one way does not by another.
            if seen.contains(&name.name.as_str()) {
                continue;
            }
            seen.push(&name.name);
            path.push(&name.name);
            if let Some(place) = leads_back(names, &name.name, to, path, seen) {
                return Some(place);
            }
            path.pop();
        }
    }
    None
}
