use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstop_core::Observe;

use crate::circuit::Observer;
use crate::{Circuit, CooldownConfig, Event};

/// The circuits of a process by id. Clones share them.
///
/// Stacks come and go with each reload of a configuration; what is known of a deployment must not. So circuits are
/// made here, and passed into layers.
///
/// ```
/// use backstop_cooldown::{Circuits, CooldownConfig, CooldownLayer};
///
/// let circuits = Circuits::new(CooldownConfig::default());
/// let before = CooldownLayer::new(circuits.entry("primary"));
/// let after_reload = CooldownLayer::new(circuits.entry("primary"));
/// assert_eq!(circuits.list().len(), 1);
/// # drop((before, after_reload));
/// ```
#[derive(Clone)]
pub struct Circuits(Arc<Shared>);

struct Shared {
    config: CooldownConfig,
    observer: Option<Observer>,
    entries: Mutex<BTreeMap<Arc<str>, Circuit>>,
}

impl Circuits {
    /// No circuits yet; those to come have these settings unless they are given their own.
    #[must_use]
    pub fn new(config: CooldownConfig) -> Self {
        Self::build(config, None)
    }

    /// The same, with somebody who is told what happens to each of them.
    ///
    /// ```
    /// use backstop_cooldown::{Circuits, CooldownConfig, Event};
    ///
    /// let circuits = Circuits::observed(CooldownConfig::default(), |event: &Event<'_>| {
    ///     if let Event::Opened { circuit, cause, rest, .. } = event {
    ///         eprintln!("{circuit} rests for {rest:?}: {cause}");
    ///     }
    /// });
    /// # drop(circuits);
    /// ```
    #[must_use]
    pub fn observed(
        config: CooldownConfig,
        observer: impl for<'a> Observe<Event<'a>> + Send + Sync + 'static,
    ) -> Self {
        Self::build(config, Some(Arc::new(observer)))
    }

    fn build(config: CooldownConfig, observer: Option<Observer>) -> Self {
        Self(Arc::new(Shared {
            config,
            observer,
            entries: Mutex::default(),
        }))
    }

    /// The circuit of this id, made if there is none; one that exists keeps its settings.
    #[must_use]
    pub fn entry(&self, id: impl Into<Arc<str>>) -> Circuit {
        self.get_or_make(id.into(), &self.0.config)
    }

    /// The circuit of this id with these settings, made if there is none; one that exists
    /// [takes them over](Circuit::configure) and keeps its state.
    #[must_use]
    pub fn entry_with(&self, id: impl Into<Arc<str>>, config: CooldownConfig) -> Circuit {
        let circuit = self.get_or_make(id.into(), &config);
        circuit.configure(config);
        circuit
    }

    fn get_or_make(&self, id: Arc<str>, config: &CooldownConfig) -> Circuit {
        self.entries()
            .entry(Arc::clone(&id))
            .or_insert_with(|| Circuit::build(id, config.clone(), self.0.observer.clone()))
            .clone()
    }

    /// The circuit of this id, if there is one.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Circuit> {
        self.entries().get(id).cloned()
    }

    /// All of them as they are now, by id.
    #[must_use]
    pub fn list(&self) -> Vec<Circuit> {
        self.entries().values().cloned().collect()
    }

    /// Forgets those for which `keep` is false; it must not ask the registry. Stacks that hold one go on with it.
    pub fn retain(&self, mut keep: impl FnMut(&Circuit) -> bool) {
        self.entries().retain(|_, circuit| keep(circuit));
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Circuit>> {
        self.0
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Circuits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries().values()).finish()
    }
}
