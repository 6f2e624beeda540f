use std::error::Error;
use std::fmt;
use std::sync::Arc;

use backstop_core::Deployment;

use crate::matching::fits;
use crate::regions::nearest;
use crate::{Labels, Place, Residency, Rule};

/// An ordered list of rules, and who gets which.
///
/// Every rule that applies holds; see [`Match`](crate::Match) for when one does. A rule can also be named: for a
/// model, for a key or by [`Labels::rule`]. Requests of which nothing is known that any rule matches on (the model
/// apart, which is always known) get the [`unlabelled`](Self::unlabelled) rule, or pass.
///
/// ```
/// use backstop_region::{Labels, Match, Policies, Regions, Require, Rule};
///
/// let (eu, us) = (Regions::of(["eu"])?, Regions::of(["us"])?);
/// let policies = Policies::new([
///     Rule::new("eu-only")
///         .matching(Match::new().key(["web"]))
///         .require(Require::new().processing(eu)),
///     Rule::new("us-health")
///         .matching(Match::new().data_class(["phi"]).user_region(us))
///         .require(Require::new().processing(us).marks(["baa", "zdr"])),
/// ])?
/// .unlabelled("eu-only")?;
///
/// let names = |labels| policies.decide("gpt-4o", &labels).map(|held| held.map(|held| held.names()));
/// assert_eq!(names(Labels::new())?.as_deref(), Some("eu-only"));
/// assert_eq!(names(Labels::new().classes(["phi"]))?.as_deref(), Some("us-health"), "who knows where the user is?");
/// assert_eq!(names(Labels::new().key("batch").user_region(eu))?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policies {
    rules: Vec<Arc<Rule>>,
    unlabelled: Option<Arc<Rule>>,
    of_models: Vec<(Box<str>, Arc<Rule>)>,
    of_keys: Vec<(Box<str>, Arc<Rule>)>,
}

impl Policies {
    /// These rules, in order. Requests of which nothing is known pass.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicy`] if two rules have the same name.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Result<Self, InvalidPolicy> {
        let mut known: Vec<Arc<Rule>> = Vec::new();
        for rule in rules {
            if known.iter().any(|other| other.name() == rule.name()) {
                return Err(InvalidPolicy::Twice(Arc::clone(rule.name())));
            }
            known.push(Arc::new(rule));
        }
        Ok(Self {
            rules: known,
            unlabelled: None,
            of_models: Vec::new(),
            of_keys: Vec::new(),
        })
    }

    /// Sets the rule for requests of which nothing is known.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicy`] if there is no such rule.
    pub fn unlabelled(mut self, rule: &str) -> Result<Self, InvalidPolicy> {
        self.unlabelled = Some(self.find(rule)?);
        Ok(self)
    }

    /// Sets a rule for whoever asks for this model, which may end in `*`.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicy`] if there is no such rule.
    pub fn model(mut self, model: &str, rule: &str) -> Result<Self, InvalidPolicy> {
        let rule = self.find(rule)?;
        self.of_models.push((model.into(), rule));
        Ok(self)
    }

    /// Sets a rule for whoever asks with this key.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicy`] if there is no such rule.
    pub fn key(mut self, key: &str, rule: &str) -> Result<Self, InvalidPolicy> {
        let rule = self.find(rule)?;
        self.of_keys.push((key.into(), rule));
        Ok(self)
    }

    /// The rules, in order.
    #[must_use]
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Whether some rule matches on classes of data: whether a classifier can make a difference.
    #[must_use]
    pub fn reads_classes(&self) -> bool {
        self.rules.iter().any(|rule| rule.is_for().reads_classes())
    }

    /// The rules that none of these deployments satisfies today, but for those that
    /// [may be empty](Rule::allow_empty).
    pub fn unsatisfied<'a>(
        &'a self,
        deployments: &'a [(Arc<Deployment>, Place)],
    ) -> impl Iterator<Item = &'a Arc<Rule>> {
        self.rules.iter().filter(move |rule| {
            let mut deployments = deployments.iter();
            !rule.may_be_empty()
                && !deployments.any(|(deployment, place)| rule.check(deployment, place).is_ok())
        })
    }

    /// The rules that hold for a request for `model` with these labels; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicy`] if the labels name a rule that there is not.
    pub fn decide(&self, model: &str, labels: &Labels) -> Result<Option<Residency>, InvalidPolicy> {
        let mut held = Vec::new();
        let mut labelled = !labels.rules.is_empty();
        for rule in &self.rules {
            labelled |= rule.is_for().knows(labels);
            if rule.is_for().applies(model, labels) {
                held.push(Arc::clone(rule));
            }
        }
        if let Some(key) = &labels.key {
            let of_key = self.of_keys.iter().filter(|(id, _)| **id == **key);
            for (_, rule) in of_key {
                labelled = true;
                held.push(Arc::clone(rule));
            }
        }
        let of_model = self.of_models.iter().filter(|(name, _)| fits(name, model));
        held.extend(of_model.map(|(_, rule)| Arc::clone(rule)));
        for name in &labels.rules {
            held.push(self.find(name)?);
        }
        if !labelled {
            held.extend(self.unlabelled.clone());
        }
        Ok((!held.is_empty()).then(|| Residency::by(held)))
    }

    /// The rule of this name.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Rule>, InvalidPolicy> {
        let names = || self.rules.iter().map(|rule| &**rule.name());
        match self.rules.iter().find(|rule| **rule.name() == *name) {
            Some(rule) => Ok(Arc::clone(rule)),
            None => Err(InvalidPolicy::Unknown {
                name: name.into(),
                nearest: nearest(name, names()).map(Into::into),
            }),
        }
    }
}

/// Policies that contradict themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidPolicy {
    /// Two rules have this name.
    Twice(Arc<str>),
    /// There is no rule of this name.
    Unknown {
        /// The name.
        name: Box<str>,
        /// The rule whose name looks most like it, if one does.
        nearest: Option<Box<str>>,
    },
}

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(name) => write!(f, "two rules are named `{name}`"),
            Self::Unknown { name, nearest } => {
                write!(f, "there is no residency rule `{name}`")?;
                match nearest {
                    Some(nearest) => write!(f, ": did you mean `{nearest}`?"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Error for InvalidPolicy {}
