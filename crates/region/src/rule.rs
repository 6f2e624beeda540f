use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use backstop_core::Deployment;

use crate::matching::{Names, any, collect};
use crate::{Date, Match, Place, Regions};

/// What a deployment must be, to be asked under a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct Require {
    processing: Option<Regions>,
    storage: Option<Regions>,
    marks: Box<[Arc<str>]>,
    allow: Option<Names>,
    deny: Names,
}

impl Require {
    /// Nothing but that something is declared of it.
    pub fn new() -> Self {
        Self::default()
    }

    /// It processes nowhere but here.
    pub const fn processing(mut self, regions: Regions) -> Self {
        self.processing = Some(regions);
        self
    }

    /// It stores nowhere but here.
    pub const fn storage(mut self, regions: Regions) -> Self {
        self.storage = Some(regions);
        self
    }

    /// It has all of these compliance marks. Case does not matter.
    pub fn marks<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter();
        self.marks = names
            .map(|name| name.as_ref().to_lowercase().into())
            .collect();
        self
    }

    /// It is one of these providers.
    pub fn allow<N: AsRef<str>>(mut self, providers: impl IntoIterator<Item = N>) -> Self {
        self.allow = Some(collect(providers));
        self
    }

    /// It is none of these providers.
    pub fn deny<N: AsRef<str>>(mut self, providers: impl IntoIterator<Item = N>) -> Self {
        self.deny = collect(providers);
        self
    }

    fn check(&self, provider: &str, place: &Place) -> Result<(), Box<Reason>> {
        if place.is_unknown() {
            return Err(Reason::Undeclared.into());
        }
        if any(&self.deny, [provider])
            || self
                .allow
                .as_ref()
                .is_some_and(|allow| !any(allow, [provider]))
        {
            return Err(Reason::Provider.into());
        }
        if let Some(allowed) = self.processing {
            match place.processing() {
                None => return Err(Reason::Undeclared.into()),
                Some(place) if !place.is_within(&allowed) => {
                    let place = *place;
                    return Err(Reason::Processing { place, allowed }.into());
                }
                Some(_) => {}
            }
        }
        if let Some(allowed) = self.storage {
            match place.storage() {
                None => return Err(Reason::StorageUndeclared.into()),
                Some(place) if !place.is_within(&allowed) => {
                    let place = *place;
                    return Err(Reason::Storage { place, allowed }.into());
                }
                Some(_) => {}
            }
        }
        if !self.marks.is_empty() {
            let today = Date::today();
            if let Some(mark) = self.marks.iter().find(|mark| !place.has_mark(mark, today)) {
                return Err(Reason::Mark(Arc::clone(mark)).into());
            }
        }
        Ok(())
    }
}

/// One rule: for which requests it is, and what it requires of a deployment.
///
/// ```
/// use backstop_core::Deployment;
/// use backstop_region::{Declaration, Derivation, Match, Place, Regions, Require, Rule};
///
/// let eu = Regions::of(["eu"])?;
/// let rule = Rule::new("eu-only")
///     .matching(Match::new().key(["web"]))
///     .require(Require::new().processing(eu).deny(["deepseek"]));
///
/// let azure = Deployment::new("azure").with_provider("azure");
/// let sweden = Declaration::new(Derivation::azure("Standard", "swedencentral")?).check()?;
/// assert!(rule.check(&azure, &sweden).is_ok());
///
/// let refusal = rule.check(&azure, &Place::unknown()).unwrap_err();
/// assert_eq!(refusal.to_string(), "rule `eu-only`: where it processes is not declared");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Rule {
    name: Arc<str>,
    matching: Match,
    require: Require,
    allow_empty: bool,
}

impl Rule {
    /// A rule for every request, which requires nothing but that something is declared of a deployment.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            matching: Match::new(),
            require: Require::new(),
            allow_empty: false,
        }
    }

    /// Sets which requests it is for.
    pub fn matching(mut self, matching: Match) -> Self {
        self.matching = matching;
        self
    }

    /// Sets what it requires.
    pub fn require(mut self, require: Require) -> Self {
        self.require = require;
        self
    }

    /// Says that it is no mistake if no deployment satisfies it: its requests are all refused.
    pub const fn allow_empty(mut self) -> Self {
        self.allow_empty = true;
        self
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) const fn is_for(&self) -> &Match {
        &self.matching
    }

    pub(crate) const fn may_be_empty(&self) -> bool {
        self.allow_empty
    }

    /// Whether `deployment`, which is at `place`, satisfies it today.
    ///
    /// # Errors
    ///
    /// [`Refusal`] says why not.
    pub fn check(&self, deployment: &Deployment, place: &Place) -> Result<(), Refusal> {
        self.require
            .check(deployment.provider(), place)
            .map_err(|reason| Refusal {
                rule: Arc::clone(&self.name),
                reason,
            })
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        // Keyed with zeros: the same rule has the same fingerprint in every process of one build.
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// A rule keeps a request away from a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    rule: Arc<str>,
    reason: Box<Reason>,
}

impl Refusal {
    /// The rule's name.
    #[must_use]
    pub const fn rule(&self) -> &Arc<str> {
        &self.rule
    }

    /// What the deployment lacks.
    #[must_use]
    pub const fn reason(&self) -> &Reason {
        &self.reason
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule `{}`: {}", self.rule, self.reason)
    }
}

/// What a deployment lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Nobody has said where it processes, or anything else.
    Undeclared,
    /// It may process elsewhere.
    Processing {
        /// Where it may.
        place: Regions,
        /// Where it has to.
        allowed: Regions,
    },
    /// Nobody has said where it stores.
    StorageUndeclared,
    /// It may store elsewhere.
    Storage {
        /// Where it may.
        place: Regions,
        /// Where it has to.
        allowed: Regions,
    },
    /// It lacks this compliance mark, or the mark has expired.
    Mark(Arc<str>),
    /// The rule does not allow its provider.
    Provider,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undeclared => f.write_str("where it processes is not declared"),
            Self::Processing { place, allowed } => {
                write!(f, "it processes in {place}, not within {allowed}")
            }
            Self::StorageUndeclared => f.write_str("where it stores is not declared"),
            Self::Storage { place, allowed } => {
                write!(f, "it stores in {place}, not within {allowed}")
            }
            Self::Mark(name) => write!(f, "it has no valid mark `{name}`"),
            Self::Provider => f.write_str("its provider is not allowed"),
        }
    }
}
