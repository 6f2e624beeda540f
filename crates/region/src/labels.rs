use std::sync::Arc;

use crate::Regions;

/// What is known of a request, in its extensions: the attributes that rules match on. (The model is the request's
/// own.)
///
/// There are two voices. Whoever authenticates the caller *knows*: what is known can bring a rule in and keep another
/// out. The caller and a classifier *claim*: a claim can only bring rules in, so it never widens what the request may
/// reach.
///
/// ```
/// use backstop_region::Labels;
///
/// let labels = Labels::new().key("web").team("growth").tags(["eu"]).claim_class("pii");
/// let mut request = http::Request::new("");
/// request.extensions_mut().insert(labels);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Labels {
    pub(crate) key: Option<Arc<str>>,
    pub(crate) team: Option<Arc<str>>,
    pub(crate) tags: Option<Arc<[Arc<str>]>>,
    pub(crate) user_region: Option<Regions>,
    pub(crate) classes: Option<Arc<[Arc<str>]>>,
    pub(crate) rules: Vec<Arc<str>>,
    pub(crate) claimed_region: Option<Regions>,
    pub(crate) claimed_classes: Vec<Arc<str>>,
}

impl Labels {
    /// Nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the id of the caller's key.
    pub fn key(mut self, id: impl Into<Arc<str>>) -> Self {
        self.key = Some(id.into());
        self
    }

    /// Sets the caller's team.
    pub fn team(mut self, team: impl Into<Arc<str>>) -> Self {
        self.team = Some(team.into());
        self
    }

    /// Sets the tags, all of them: none at all is knowledge too.
    pub fn tags<T: Into<Arc<str>>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// Sets where the user is.
    pub const fn user_region(mut self, region: Regions) -> Self {
        self.user_region = Some(region);
        self
    }

    /// Sets the classes of the data (`pii`, `phi`, `financial`, or any other name), all of them. Case does not matter.
    pub fn classes<T: AsRef<str>>(mut self, classes: impl IntoIterator<Item = T>) -> Self {
        let classes = classes.into_iter();
        self.classes = Some(classes.map(|class| lower(class.as_ref())).collect());
        self
    }

    /// Names a rule that holds for this request, whatever it matches on.
    pub fn rule(mut self, name: impl Into<Arc<str>>) -> Self {
        self.rules.push(name.into());
        self
    }

    /// Claims that the user is here, next to what is known. Of several claims each counts.
    pub fn claim_user_region(mut self, region: Regions) -> Self {
        let claimed = self.claimed_region.unwrap_or_default();
        self.claimed_region = Some(claimed.or(&region));
        self
    }

    /// Claims that the data is of this class too.
    pub fn claim_class(mut self, class: &str) -> Self {
        self.claimed_classes.push(lower(class));
        self
    }
}

fn lower(name: &str) -> Arc<str> {
    name.to_lowercase().into()
}
