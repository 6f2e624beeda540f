//! Backstop's YAML configuration: read, checked, and built into running stacks.
//!
//! [`Config::load`] reads a file in LiteLLM's style and refuses what is wrong with one error that says where and
//! what to do. [`Live::start`] builds a stack for every model in it, as a [`tower::Service`] of chats;
//! [`Live::reloaded`] builds those of another configuration, which forget nothing: circuits, retry budgets and
//! connection pools live on.
//!
//! ```
//! use backstop_config::{Config, Environment};
//!
//! let environment = Environment::given([("OPENAI_API_KEY", "sk-one")]);
//! let config = Config::parse(
//!     "backstop.yaml",
//!     "
//! model_list:
//!   - model_name: smart
//!     litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
//! router_settings:
//!   num_retrys: 3
//! ",
//!     &environment,
//! );
//! assert_eq!(
//!     config.unwrap_err().to_string(),
//!     "backstop.yaml:6:3: unknown key `num_retrys` in `router_settings`; did you mean `num_retries`?",
//! );
//! ```

mod budgets;
mod build;
mod capabilities;
mod chain;
mod circuits;
mod clients;
mod defaults;
mod document;
mod error;
mod facts;
mod host;
mod keys;
mod live;
mod mid_stream;
mod provider;
mod read;
mod residency;
mod schema;
mod sections;
mod source;
mod spending;
mod store;
mod unpriced;
mod view;

use std::path::{Path, PathBuf};

use self::error::Place;

pub use self::build::BuildError;
pub use self::clients::ClientKey;
pub use self::error::ConfigError;
pub use self::live::{Live, LiveFuture};
pub use self::residency::PolicyView;
// Nobody's but this crate's: doc tests, which stand outside of it, hold it against the compiler.
#[doc(hidden)]
pub use self::residency::SealedTarget;
pub use self::schema::{AuditConfig, Config, General};
pub use self::source::Environment;
pub use self::spending::BudgetView;
pub use self::view::{ChainView, StepView};

impl Config {
    /// Reads and checks a file, with the process's environment.
    ///
    /// # Errors
    ///
    /// The first mistake, with its file, line and column.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = Self::read(path)?;
        Self::parse(&path.display().to_string(), &text, &Environment::process())
    }

    /// The text of a file, to [`parse`](Self::parse) as often as what it refers to changes.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is not UTF-8.
    pub fn read(path: &Path) -> Result<String, ConfigError> {
        let bytes = std::fs::read(path).map_err(|error| {
            ConfigError::new(format!("the configuration cannot be read: {error}"))
        });
        let text = bytes.and_then(|bytes| {
            String::from_utf8(bytes).map_err(|error| {
                let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                ConfigError::at(Place::behind(sound), "the configuration is not UTF-8")
            })
        });
        text.map_err(|error| error.in_file(&path.display().to_string()))
    }

    /// Checks `text`, which came from `file`.
    ///
    /// # Errors
    ///
    /// The first mistake, with its file, line and column.
    pub fn parse(file: &str, text: &str, environment: &Environment) -> Result<Self, ConfigError> {
        let checked = || {
            let config = sections::config(document::parse(text)?, environment)?;
            chain::resolve(&config)?;
            Ok(config)
        };
        checked().map_err(|error: ConfigError| error.in_file(file))
    }

    /// A chain of the providers whose usual environment variables are set, under the model name `default`.
    ///
    /// # Errors
    ///
    /// If none is set: the error names them.
    pub fn from_environment(environment: &Environment) -> Result<Self, ConfigError> {
        let text = defaults::document(environment)?;
        Self::parse("the environment", &text, environment)
    }

    /// The chain of every model, as it will be tried.
    #[must_use]
    pub fn chains(&self) -> Vec<ChainView> {
        view::chains(self)
    }

    /// The residency rules, and which deployments satisfy each of them today.
    #[must_use]
    pub fn policies(&self) -> Vec<PolicyView> {
        residency::views(self)
    }

    /// What needs an operator's attention, in a line each: compliance marks that end within 30 days, or have, and
    /// deployments without a price under a budget in dollars.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = residency::expiring(self);
        warnings.extend(unpriced::warnings(self));
        warnings
    }

    /// The keys that clients may show, beside the master key.
    #[must_use]
    pub fn keys(&self) -> &[ClientKey] {
        &self.keys
    }

    /// Whether there is any residency rule: then somebody has to say what is known of each request.
    #[must_use]
    pub fn has_residency_rules(&self) -> bool {
        !self.policies.rules().is_empty()
    }

    /// Whether any budget holds: then somebody has to say who spends.
    #[must_use]
    pub fn has_budgets(&self) -> bool {
        !self.budgets.is_empty()
    }

    /// The budgets, in the order of the file, for people.
    #[must_use]
    pub fn budgets(&self) -> Vec<BudgetView> {
        self.budgets.iter().map(BudgetView::of).collect()
    }

    /// Where their accounts are kept, for people; `None` without budgets.
    #[must_use]
    pub fn store(&self) -> Option<String> {
        self.has_budgets().then(|| self.store.to_string())
    }

    /// The names that stand for several models, and which answers what, for people.
    #[must_use]
    pub fn capabilities(&self) -> Vec<String> {
        self.capabilities.iter().map(ToString::to_string).collect()
    }

    /// What there is to say of what was read, such as a price that had to be rounded up, or a deployment that is shown
    /// no key.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The files that values were read from: when one changes, the configuration has to be loaded again.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

/// A moment, for people.
fn when(moment: std::time::SystemTime) -> String {
    jiff::Timestamp::try_from(moment).map_or_else(|_| "never".to_owned(), |at| format!("{at:.0}"))
}
