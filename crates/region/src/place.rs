use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::{Date, Derivation, Regions};

/// What attests to where a deployment runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// What the provider has agreed to, or the operator's own knowledge of their machines.
    Contract,
    /// The address that is called.
    Endpoint,
    /// The kind of deployment that was bought.
    Sku,
    /// The list of members that the provider gives for a profile.
    Profile,
}

impl Evidence {
    /// The name that configurations and records use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contract => "contract",
            Self::Endpoint => "endpoint",
            Self::Sku => "sku",
            Self::Profile => "profile",
        }
    }
}

/// A compliance mark of a deployment: `baa`, `zdr`, `dpa`, `no_training`, or any name that rules ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    name: Arc<str>,
    until: Option<Date>,
}

impl Mark {
    /// A mark that does not end. Case does not matter.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_lowercase().into(),
            until: None,
        }
    }

    /// Sets the last day (in UTC) on which it counts.
    #[must_use]
    pub const fn until(mut self, last: Date) -> Self {
        self.until = Some(last);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it counts on this day.
    #[must_use]
    pub fn counts_on(&self, day: Date) -> bool {
        self.until.is_none_or(|last| day <= last)
    }
}

/// What an operator says of a deployment, next to what can be derived from how it is called.
///
/// Nothing said and nothing derived means unknown, and unknown satisfies no rule.
///
/// ```
/// use backstop_region::{Declaration, Derivation, Mark, Regions};
///
/// let eu = Regions::of(["eu"])?;
/// let claimed = |model| {
///     let derived = Derivation::bedrock("eu-central-1", model)?;
///     Ok::<_, Box<dyn std::error::Error>>(Declaration::new(derived).processing(eu).mark(Mark::new("dpa")).check()?)
/// };
/// assert!(claimed("anthropic.claude-sonnet-4-6").is_ok());
/// assert_eq!(
///     claimed("eu.anthropic.claude-sonnet-4-6").unwrap_err().to_string(),
///     "claims processing in eu, but the inference profile `eu.` may also use eu-central-2, eu-west-2"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Declaration {
    derived: Derivation,
    processing: Option<Regions>,
    storage: Option<Regions>,
    evidence: Evidence,
    marks: Vec<Mark>,
}

impl Declaration {
    /// Nothing but what is derived.
    pub const fn new(derived: Derivation) -> Self {
        Self {
            derived,
            processing: None,
            storage: None,
            evidence: Evidence::Contract,
            marks: Vec::new(),
        }
    }

    /// Claims that prompts are processed nowhere but here.
    pub const fn processing(mut self, regions: Regions) -> Self {
        self.processing = Some(regions);
        self
    }

    /// Claims that prompts and answers are stored nowhere but here.
    pub const fn storage(mut self, regions: Regions) -> Self {
        self.storage = Some(regions);
        self
    }

    /// Sets what attests to the claims; [`Contract`](Evidence::Contract) if nothing is said.
    pub const fn evidence(mut self, evidence: Evidence) -> Self {
        self.evidence = evidence;
        self
    }

    /// Adds a compliance mark.
    pub fn mark(mut self, mark: Mark) -> Self {
        self.marks.push(mark);
        self
    }

    /// The place that holds: the claims where there are any, else what is derived.
    ///
    /// # Errors
    ///
    /// [`WiderClaim`] if a claim promises more than is derived: it leaves out a region where the deployment may run
    /// or store.
    pub fn check(self) -> Result<Place, WiderClaim> {
        let Self {
            derived,
            processing,
            storage,
            evidence,
            marks,
        } = self;
        let called = derived.called_in();
        let pick = |what, claim: Option<Regions>, found: Option<Regions>| {
            let Some(claim) = claim else {
                return Ok(found);
            };
            let outside = found.unwrap_or(called).outside(&claim);
            if outside.is_empty() {
                return Ok(Some(claim));
            }
            let why = derived.why().into();
            Err(WiderClaim(Box::new(Wider {
                what,
                claim,
                outside,
                why,
            })))
        };
        Ok(Place {
            evidence: match (&processing, derived.evidence()) {
                (None, Some(derived)) => derived,
                _ => evidence,
            },
            processing: pick("processing", processing, derived.processing())?,
            storage: pick("storage", storage, derived.storage())?,
            marks: marks.into(),
        })
    }
}

/// Where a deployment processes and stores, what attests to it, and its compliance marks: a [`Declaration`] that
/// holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    processing: Option<Regions>,
    storage: Option<Regions>,
    evidence: Evidence,
    marks: Box<[Mark]>,
}

impl Place {
    /// A deployment of which nothing is known. It satisfies no rule.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            processing: None,
            storage: None,
            evidence: Evidence::Contract,
            marks: Box::default(),
        }
    }

    /// Whether nothing at all is known of it.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        self.processing.is_none() && self.storage.is_none() && self.marks.is_empty()
    }

    /// Where prompts are processed, if that is known.
    #[must_use]
    pub const fn processing(&self) -> Option<&Regions> {
        self.processing.as_ref()
    }

    /// Where prompts and answers are stored, if that is known.
    #[must_use]
    pub const fn storage(&self) -> Option<&Regions> {
        self.storage.as_ref()
    }

    /// What attests to it.
    #[must_use]
    pub const fn evidence(&self) -> Evidence {
        self.evidence
    }

    /// The compliance marks, expired ones included.
    #[must_use]
    pub const fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Whether it has this mark, and the mark counts on this day.
    #[must_use]
    pub fn has_mark(&self, name: &str, day: Date) -> bool {
        let mut marks = self.marks.iter();
        marks.any(|mark| &*mark.name == name && mark.counts_on(day))
    }

    /// The marks that have expired, or will within 30 days.
    pub fn expiring(&self, today: Date) -> impl Iterator<Item = Expiring<'_>> {
        self.marks.iter().filter_map(move |mark| {
            let until = mark.until?;
            let days = today.days_until(until);
            (days <= 30).then_some(Expiring { mark, until, days })
        })
    }

    /// Whether what the provider reports about where it ran can be true; `None` if the report says nothing.
    pub(crate) fn is_plausible(&self, reported: &str) -> Option<bool> {
        // What Anthropic reports for models that know no geography.
        const NOTHING: [&str; 3] = ["", "not_available", "unknown"];
        let place = self.processing.as_ref()?;
        let says_nothing = NOTHING.contains(&reported);
        (!says_nothing).then(|| {
            reported
                .parse::<Regions>()
                .is_ok_and(|ran| ran.is_within(place))
        })
    }
}

/// A compliance mark that needs an operator's attention.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Expiring<'a> {
    /// The mark.
    pub mark: &'a Mark,
    /// The last day on which it counts.
    pub until: Date,
    /// How many days are left; negative if it counts no more.
    pub days: i64,
}

impl fmt::Display for Expiring<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mark, until, days } = self;
        let name = &mark.name;
        match days {
            ..0 => write!(f, "`{name}` ended on {until} and does not count any more"),
            0 => write!(f, "`{name}` ends today"),
            days => write!(f, "`{name}` ends on {until}, in {days} days"),
        }
    }
}

/// A claim promises more than what is known of the deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WiderClaim(Box<Wider>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Wider {
    what: &'static str,
    claim: Regions,
    outside: Regions,
    why: Box<str>,
}

impl WiderClaim {
    /// Where the deployment may run or store as well, outside of the claim.
    #[must_use]
    pub fn outside(&self) -> &Regions {
        &self.0.outside
    }
}

impl fmt::Display for WiderClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wider {
            what,
            claim,
            outside,
            why,
        } = &*self.0;
        write!(f, "claims {what} in {claim}, but {why} may ")?;
        match *outside == Regions::global().outside(claim) {
            true => f.write_str("use any region"),
            false => write!(f, "also use {outside}"),
        }
    }
}

impl Error for WiderClaim {}
