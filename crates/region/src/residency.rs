use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use backstop_core::Deployment;

use crate::{Place, Refusal, Regions, Require, Rule};

/// The rules that hold for a request, in its extensions. A deployment may be asked if it satisfies all of them.
///
/// [`ResidencyPolicyLayer`](crate::ResidencyPolicyLayer) puts it there; without policies, a route can do so itself:
///
/// ```
/// use backstop_region::Residency;
///
/// // axum: `.layer(AddExtensionLayer::new(Residency::only("eu")))` on one router, none on another.
/// let mut request = http::Request::new("");
/// request.extensions_mut().insert(Residency::only("eu"));
/// ```
///
/// It is decided once. Whatever configuration is loaded while the request runs, its retries, its next deployments and
/// the rest of a broken stream are held to the rules that it began with. Clones share them.
#[derive(Clone)]
pub struct Residency(Arc<Inner>);

struct Inner {
    rules: Box<[Arc<Rule>]>,
    version: u64,
}

impl Residency {
    /// Prompts are processed within `region` only, which any [`Regions`] name may say.
    ///
    /// It is not fallible, because a `Result` in the extensions would be found by no layer.
    ///
    /// # Panics
    ///
    /// If there is no region of that name. [`within`](Self::within) takes names from elsewhere.
    #[must_use]
    #[track_caller]
    pub fn only(region: &str) -> Self {
        match region.parse() {
            Ok(regions) => Self::within(regions),
            Err(error) => panic!("{error}"),
        }
    }

    /// Prompts are processed within `regions` only.
    #[must_use]
    pub fn within(regions: Regions) -> Self {
        let name = format!("only {regions}");
        Self::by([Arc::new(
            Rule::new(name).require(Require::new().processing(regions)),
        )])
    }

    /// These rules hold, whatever they match on.
    #[must_use]
    pub fn by(rules: impl IntoIterator<Item = Arc<Rule>>) -> Self {
        let mut distinct: Vec<Arc<Rule>> = Vec::new();
        for rule in rules {
            if !distinct.contains(&rule) {
                distinct.push(rule);
            }
        }
        let version = distinct
            .iter()
            .fold(0, |sum: u64, rule| sum.wrapping_add(rule.fingerprint()));
        Self(Arc::new(Inner {
            rules: distinct.into(),
            version,
        }))
    }

    /// These rules and those.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self::by(self.rules().iter().chain(other.rules()).cloned())
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.0.rules
    }

    /// The names of the rules, for a record.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.rules().iter().map(|rule| &**rule.name()).collect();
        names.join(", ")
    }

    /// Tells sets of rules apart, by what they say: a cache that answers several requests keeps what it has per value,
    /// and a record shows which wording held. It does not outlast a build.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.0.version
    }

    /// Whether `deployment`, which is at `place`, may be asked today.
    ///
    /// # Errors
    ///
    /// [`Refusal`] names the first rule that it does not satisfy.
    pub fn check(&self, deployment: &Deployment, place: &Place) -> Result<(), Refusal> {
        self.rules()
            .iter()
            .try_for_each(|rule| rule.check(deployment, place))
    }

    /// Whether this is the same decision, not just an equal one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Equal are those with the same rules in the same order.
impl PartialEq for Residency {
    fn eq(&self, other: &Self) -> bool {
        self.rules() == other.rules()
    }
}

impl Eq for Residency {}

impl Hash for Residency {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.version().hash(state);
    }
}

impl fmt::Debug for Residency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Residency").field(&self.names()).finish()
    }
}

/// In the extensions of a request for which the policies have no rule. It has no size, so that this costs nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unrestricted(());

impl Unrestricted {
    pub(crate) const fn new() -> Self {
        Self(())
    }
}
