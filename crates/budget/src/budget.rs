use std::fmt;
use std::sync::Arc;

use backstop_core::NanoUsd;

use crate::amounts::capped;
use crate::{Currency, Window};

/// What a budget's limit is shared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// An organisation.
    Org,
    /// A team.
    Team,
    /// A client's key, by its id.
    Key,
    /// An end user.
    User,
    /// A model, by the name that callers use.
    Model,
    /// A deployment, by its id.
    Deployment,
    /// A provider.
    Provider,
    /// A label of the request. A request with several counts under each.
    Tag,
    /// Everything.
    Global,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 9] = [
        Self::Org,
        Self::Team,
        Self::Key,
        Self::User,
        Self::Model,
        Self::Deployment,
        Self::Provider,
        Self::Tag,
        Self::Global,
    ];

    /// The name that configurations, records and metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Team => "team",
            Self::Key => "key",
            Self::User => "user",
            Self::Model => "model",
            Self::Deployment => "deployment",
            Self::Provider => "provider",
            Self::Tag => "tag",
            Self::Global => "global",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happens to a call that a limit has no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is refused.
    #[default]
    Hard,
    /// It is made, and whoever observes is told.
    Soft,
    /// It is made; whoever observes is told that it would have been refused. For trying a limit out.
    Shadow,
}

impl Mode {
    /// The name that configurations, records and metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::Shadow => "shadow",
        }
    }
}

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So much money.
    Usd(NanoUsd),
    /// So many tokens, in and out.
    Tokens(u64),
    /// So many requests.
    Requests(u64),
}

impl Limit {
    /// What it counts.
    #[must_use]
    pub const fn currency(self) -> Currency {
        match self {
            Self::Usd(_) => Currency::NanoUsd,
            Self::Tokens(_) => Currency::Tokens,
            Self::Requests(_) => Currency::Requests,
        }
    }

    /// The number; at most [`MAX_AMOUNT`](crate::MAX_AMOUNT).
    #[must_use]
    pub const fn amount(self) -> u64 {
        capped(match self {
            Self::Usd(amount) => amount.as_nano(),
            Self::Tokens(amount) | Self::Requests(amount) => amount,
        })
    }
}

/// One rule: so much, shared by these, for so long.
///
/// ```
/// use backstop_budget::{Budget, Limit, Mode, Scope, Window};
/// use backstop_core::NanoUsd;
/// use std::time::Duration;
///
/// // Thirty dollars a month for one key.
/// let dollars = NanoUsd::from_usd_str("30")?;
/// let web = Budget::new(Scope::Key, Limit::Usd(dollars), Window::month("UTC")?).of("web");
/// assert_eq!(web.name(), "key=web/usd/month@UTC");
/// assert_eq!(&**web.account(), web.name());
///
/// // A hundred requests in 24 hours for each user. So far, it only tells.
/// let users = Budget::new(Scope::User, Limit::Requests(100), Window::rolling(Duration::from_secs(86_400)))
///     .with_mode(Mode::Soft);
/// assert_eq!(users.name(), "user/requests/86400s");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    name: Option<Arc<str>>,
    account: Arc<str>,
    scope: Scope,
    id: Option<Arc<str>>,
    limit: Limit,
    window: Window,
    mode: Mode,
}

impl Budget {
    /// A hard limit for each member of `scope`; for everything together if that is [`Scope::Global`].
    ///
    /// A limit of 0 refuses everything that takes any of it.
    #[must_use]
    pub fn new(scope: Scope, limit: Limit, window: Window) -> Self {
        let mut budget = Self {
            name: None,
            account: Arc::from(""),
            scope,
            id: (scope == Scope::Global).then(|| Arc::from("")),
            limit,
            window,
            mode: Mode::Hard,
        };
        budget.describe();
        budget
    }

    /// For this one member of the scope alone.
    #[must_use]
    pub fn of(mut self, id: impl Into<Arc<str>>) -> Self {
        if self.scope != Scope::Global {
            self.id = Some(id.into());
            self.describe();
        }
        self
    }

    /// Sets what happens to a call that does not fit.
    #[must_use]
    pub const fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets its name: see [`name`](Self::name).
    #[must_use]
    pub fn with_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self.describe();
        self
    }

    fn describe(&mut self) {
        let Self { scope, window, .. } = self;
        let currency = self.limit.currency();
        let id = self.id.as_deref().filter(|id| !id.is_empty());
        let of_whom = match id {
            Some(id) => format!("{scope}={id}/{currency}/{window}"),
            None => format!("{scope}/{currency}/{window}"),
        };
        self.account = match &self.name {
            Some(name) => format!("{name}: {of_whom}").into(),
            None => of_whom.into(),
        };
    }

    /// What it is called. Unless it was set it follows from scope, id, currency and window: two budgets that differ in
    /// nothing else need names of their own.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_ref().unwrap_or(&self.account)
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(self.name.as_ref().unwrap_or(&self.account))
    }

    /// Under which a ledger keeps its accounts: its name, and if that was set, scope, id, currency and window, so that
    /// nothing is read as what it is not. Limit and mode may change, and what was spent stays.
    #[must_use]
    pub const fn account(&self) -> &Arc<str> {
        &self.account
    }

    /// What the limit is shared by.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// The one member that it is for; `None` if each has its own. Empty for [`Scope::Global`].
    #[must_use]
    pub const fn id(&self) -> Option<&Arc<str>> {
        self.id.as_ref()
    }

    /// What it counts.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.limit.currency()
    }

    /// How much there is, in that.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit.amount()
    }

    /// For how long.
    #[must_use]
    pub const fn window(&self) -> &Window {
        &self.window
    }

    /// What happens to a call that does not fit.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }
}
