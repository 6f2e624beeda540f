use std::sync::Arc;

/// Who a request is charged to; travels in its extensions.
///
/// Whoever knows the caller puts it there: authentication, or an axum user with `AddExtensionLayer`. A budget for
/// keys, users, teams, organisations or tags holds for the requests that name one; for a request that names none, it
/// does not.
///
/// ```
/// use backstop_budget::Spender;
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(Spender::new().key("web").team("growth").tag("eu"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spender {
    pub(crate) org: Option<Arc<str>>,
    pub(crate) team: Option<Arc<str>>,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) tags: Vec<Arc<str>>,
}

impl Spender {
    /// Nobody in particular.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            org: None,
            team: None,
            key: None,
            user: None,
            tags: Vec::new(),
        }
    }

    /// Sets the organisation.
    #[must_use]
    pub fn org(mut self, id: impl Into<Arc<str>>) -> Self {
        self.org = Some(id.into());
        self
    }

    /// Sets the team.
    #[must_use]
    pub fn team(mut self, id: impl Into<Arc<str>>) -> Self {
        self.team = Some(id.into());
        self
    }

    /// Sets the key, by its id: never the key itself.
    #[must_use]
    pub fn key(mut self, id: impl Into<Arc<str>>) -> Self {
        self.key = Some(id.into());
        self
    }

    /// Sets the end user.
    #[must_use]
    pub fn user(mut self, id: impl Into<Arc<str>>) -> Self {
        self.user = Some(id.into());
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<Arc<str>>) -> Self {
        self.tags.push(tag.into());
        self
    }
}
