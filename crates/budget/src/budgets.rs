use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use backstop_core::{Ask, Deployment, HasExtensions, Observe, wall};

use crate::{Balances, Budget, Event, Ledger, Leg, Scope, Spender};

/// The budgets of a process and the ledger that keeps their accounts. Clones share them.
///
/// Stacks come and go with each reload of a configuration; what was spent must not. So the ledger is made once, and
/// passed into each new set of budgets; budgets that keep their [names](Budget::name) keep their accounts.
#[derive(Clone)]
pub struct Budgets(Arc<Shared>);

struct Shared {
    ledger: Arc<dyn Ledger>,
    rules: Vec<Arc<Budget>>,
    observer: Option<Box<dyn for<'a> Observe<Event<'a>> + Send + Sync>>,
}

impl Budgets {
    /// These budgets, with their accounts in `ledger`.
    ///
    /// # Errors
    ///
    /// [`SameName`] if two of them would share their accounts.
    pub fn new(
        ledger: Arc<dyn Ledger>,
        budgets: impl IntoIterator<Item = Budget>,
    ) -> Result<Self, SameName> {
        Self::build(ledger, budgets, None)
    }

    /// The same, with somebody who is told what happens.
    ///
    /// # Errors
    ///
    /// [`SameName`], as for [`new`](Self::new).
    pub fn observed(
        ledger: Arc<dyn Ledger>,
        budgets: impl IntoIterator<Item = Budget>,
        observer: impl for<'a> Observe<Event<'a>> + Send + Sync + 'static,
    ) -> Result<Self, SameName> {
        Self::build(ledger, budgets, Some(Box::new(observer)))
    }

    fn build(
        ledger: Arc<dyn Ledger>,
        budgets: impl IntoIterator<Item = Budget>,
        observer: Option<Box<dyn for<'a> Observe<Event<'a>> + Send + Sync>>,
    ) -> Result<Self, SameName> {
        let rules: Vec<_> = budgets.into_iter().map(Arc::new).collect();
        let mut names = HashSet::new();
        if let Some(twice) = rules.iter().find(|rule| !names.insert(rule.name())) {
            return Err(SameName(twice.name().into()));
        }
        Ok(Self(Arc::new(Shared {
            ledger,
            rules,
            observer,
        })))
    }

    /// The rules, in the order in which they were given.
    #[must_use]
    pub fn list(&self) -> &[Arc<Budget>] {
        &self.0.rules
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.0.ledger
    }

    /// How the accounts stand now. See [`Ledger::balances`].
    pub fn balances(&self) -> Balances {
        self.0.ledger.balances(&self.0.rules, wall::now())
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        if let Some(observer) = &self.0.observer {
            observer.observe(event);
        }
    }

    /// Those that can hold for a call to `deployment`.
    pub(crate) fn of(&self, deployment: &Deployment) -> Arc<[Arc<Budget>]> {
        let holds = |rule: &&Arc<Budget>| {
            let place = match rule.scope() {
                Scope::Deployment => deployment.id(),
                Scope::Provider => deployment.provider(),
                _ => return true,
            };
            !place.is_empty() && rule.id().is_none_or(|only| only == place)
        };
        self.0.rules.iter().filter(holds).cloned().collect()
    }
}

/// The accounts that a call to `deployment` is booked to.
pub(crate) fn legs<Req: Ask + HasExtensions>(
    rules: &[Arc<Budget>],
    deployment: &Deployment,
    request: &Req,
) -> Vec<Leg> {
    if rules.is_empty() {
        return Vec::new();
    }
    let mut legs = Legs {
        legs: Vec::new(),
        room: rules.len(),
        now: None,
    };
    let spender = request.extensions().get::<Spender>();
    for rule in rules {
        let of_spender = |member: fn(&Spender) -> Option<&Arc<str>>| spender.and_then(member);
        let id = match rule.scope() {
            Scope::Global => rule.id(),
            Scope::Deployment => Some(deployment.id()),
            Scope::Provider => Some(deployment.provider()),
            Scope::Org => of_spender(|spender| spender.org.as_ref()),
            Scope::Team => of_spender(|spender| spender.team.as_ref()),
            Scope::Key => of_spender(|spender| spender.key.as_ref()),
            Scope::User => of_spender(|spender| spender.user.as_ref()),
            Scope::Model => {
                let is_it = |only: &Arc<str>| **only == *request.model();
                if rule.id().is_none_or(is_it) {
                    legs.add(rule, &request.shared_model());
                }
                continue;
            }
            Scope::Tag => {
                for tag in spender.map_or(&[][..], |spender| &spender.tags) {
                    legs.add(rule, tag);
                }
                continue;
            }
        };
        if let Some(id) = id {
            legs.add(rule, id);
        }
    }
    legs.legs
}

struct Legs {
    legs: Vec<Leg>,
    room: usize,
    /// Read once a first leg is there, and the same for all of them.
    now: Option<SystemTime>,
}

impl Legs {
    fn add(&mut self, rule: &Arc<Budget>, id: &Arc<str>) {
        if rule.id().is_some_and(|only| only != id) {
            return;
        }
        if self.legs.is_empty() {
            self.legs.reserve(self.room);
        }
        let now = *self.now.get_or_insert_with(wall::now);
        self.legs
            .push(Leg::new(Arc::clone(rule), Arc::clone(id), now));
    }
}

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budgets")
            .field("ledger", &self.0.ledger)
            .field("rules", &self.0.rules)
            .finish_non_exhaustive()
    }
}

/// Two budgets have one name, and would share their accounts: see [`Budget::with_name`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SameName(Box<str>);

impl SameName {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SameName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "two budgets differ in nothing but their limit or mode, and need names of their own: `{}`",
            self.0
        )
    }
}

impl Error for SameName {}
