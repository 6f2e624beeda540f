use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use crate::{Facts, Family, InvalidCatalog, names, read};

/// The table that comes with this crate.
const SHIPPED: &str = include_str!("../catalog.json");

/// Facts by provider and model.
///
/// ```
/// use backstop_catalog::Catalog;
///
/// let mut catalog = Catalog::shipped().clone();
/// let mine = r#"[{"id": "openai/house-model", "context_window": 32000,
///                 "input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.4}]"#;
/// catalog.read("prices.json", mine)?;
///
/// assert_eq!(catalog.find("openai", "house-model").and_then(|facts| facts.window()), Some(32_000));
/// assert_eq!(catalog.find("openai", "gpt-4o-2031-01-01").and_then(|facts| facts.window()), Some(128_000));
/// assert!(catalog.find("openai", "unheard-of").is_none());
/// # Ok::<(), backstop_catalog::InvalidCatalog>(())
/// ```
#[derive(Clone, Default)]
pub struct Catalog {
    entries: HashMap<Box<str>, Facts>,
    remarks: Vec<String>,
}

impl Catalog {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The one that comes with this crate: list prices, which no provider vouches for. It is read at the first use.
    #[must_use]
    pub fn shipped() -> &'static Self {
        static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
            let mut catalog = Catalog::new();
            catalog
                .read("catalog.json", SHIPPED)
                .expect("the table that comes with this crate is valid");
            catalog
        });
        &CATALOG
    }

    /// Reads a file over what is here already: what it says of a model wins, what it does not say stays.
    ///
    /// A file is either a list of objects as in the table that comes with this crate, or an object as LiteLLM's
    /// `model_prices_and_context_window.json`, as it is. A price replaces the whole of an earlier one, tiers and
    /// cache included. In LiteLLM's format a price of zero is unknown, because most of its zeros are; in ours it is
    /// free. `name` is only for errors and remarks.
    ///
    /// # Errors
    ///
    /// [`InvalidCatalog`] says where; nothing of the file is taken over then.
    pub fn read(&mut self, name: &str, text: &str) -> Result<(), InvalidCatalog> {
        let file = read::file(name, text)?;
        for (id, facts) in file.entries {
            let facts = match self.entries.get(&*id) {
                Some(below) => facts.over(below),
                None => facts,
            };
            self.entries.insert(id.into(), facts);
        }
        self.remarks.extend(file.remarks);
        Ok(())
    }

    /// What the operator should know of the files that were read, such as a price that had to be rounded up.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// What is known of a provider's model.
    ///
    /// A name that is not listed is looked up without the day of its snapshot and, at Bedrock, without its version
    /// and the geography of its inference profile; a profile that is not listed has no price, because a region may
    /// cost more. An ARN is unknown: it does not say which model it stands for. What stands behind a `+` is not looked
    /// at: those are faults that the simulator is asked for.
    #[must_use]
    pub fn find(&self, provider: &str, model: &str) -> Option<Facts> {
        let (facts, priced) = names::ids(provider, model)
            .into_iter()
            .find_map(|(id, priced)| Some((self.entries.get(&*id)?, priced)))?;
        let mut facts = facts.clone();
        if !priced {
            facts.price = None;
        }
        facts.family = Family::of(provider, model);
        facts.output_apart = names::output_apart(facts.family, model);
        Some(facts)
    }

    /// The providers that list a model of this very name, sorted: what a name without its provider may mean.
    #[must_use]
    pub fn providers(&self, model: &str) -> Vec<&str> {
        let mut providers: Vec<_> = self
            .entries
            .keys()
            .filter_map(|id| id.split_once('/'))
            .filter(|(_, listed)| *listed == model)
            .map(|(provider, _)| provider)
            .collect();
        providers.sort_unstable();
        providers
    }

    /// How many models are listed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog")
            .field("models", &self.len())
            .field("remarks", &self.remarks.len())
            .finish_non_exhaustive()
    }
}
