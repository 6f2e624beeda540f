//! What the rules amount to, for people.

use std::fmt;
use std::sync::Arc;

use backstop::region::Date;

use crate::schema::Config;

/// One residency rule, and which deployments satisfy it today.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PolicyView {
    /// The rule's name.
    pub rule: Arc<str>,
    /// Each deployment's id, with the reason if it does not satisfy the rule.
    pub deployments: Vec<(Arc<str>, Option<String>)>,
    /// Other rules that some deployment satisfies, but none together with this one: where both hold, requests are
    /// refused.
    pub excludes: Vec<Arc<str>>,
}

pub(crate) fn views(config: &Config) -> Vec<PolicyView> {
    let rules = config.policies.rules().iter();
    let mut views: Vec<_> = rules
        .map(|rule| PolicyView {
            rule: Arc::clone(rule.name()),
            deployments: config
                .deployments
                .iter()
                .map(|deployment| {
                    let checked = rule.check(&deployment.deployment(), &deployment.residency.place);
                    let why = checked.err().map(|refusal| refusal.reason().to_string());
                    (Arc::clone(&deployment.id), why)
                })
                .collect(),
            excludes: Vec::new(),
        })
        .collect();
    for index in 0..views.len() {
        let view = &views[index];
        let others = views.iter().filter(|other| view.excludes(other));
        views[index].excludes = others.map(|other| Arc::clone(&other.rule)).collect();
    }
    views
}

impl PolicyView {
    /// For each deployment, whether it satisfies the rule.
    fn satisfied(&self) -> impl Iterator<Item = bool> {
        self.deployments.iter().map(|(_, why)| why.is_none())
    }

    /// Whether both rules are satisfied, and never by the same deployment.
    fn excludes(&self, other: &Self) -> bool {
        let mut both = self.satisfied().zip(other.satisfied());
        self.satisfied().any(|it| it)
            && other.satisfied().any(|it| it)
            && !both.any(|(this, other)| this && other)
    }
}

/// Compliance marks that have ended, or soon will.
pub(crate) fn expiring(config: &Config) -> Vec<String> {
    let today = Date::today();
    let deployments = config.deployments.iter();
    deployments
        .flat_map(|deployment| {
            let marks = deployment.residency.place.expiring(today);
            marks.map(|mark| format!("the compliance mark of `{}`: {mark}", deployment.id))
        })
        .collect()
}

impl fmt::Display for PolicyView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "residency rule {}", self.rule)?;
        let widths = self.deployments.iter().map(|(id, _)| id.chars().count());
        let width = widths.max().unwrap_or(0);
        for (id, why) in &self.deployments {
            match why {
                None => write!(f, "\n  yes  {id}")?,
                Some(why) => write!(f, "\n  no   {id:width$}  {why}")?,
            }
        }
        for other in &self.excludes {
            write!(f, "\n  where `{other}` holds too, no deployment is left")?;
        }
        Ok(())
    }
}
