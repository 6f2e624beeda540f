//! Backstop's YAML configuration: read, checked, and built into running stacks.
//!
//! [`Config::load`] reads a file in LiteLLM's style and refuses what is wrong with one error that says where and
//! what to do. [`Live::start`] builds a stack for every model in it, as a [`tower::Service`] of chats;
//! [`Live::reload`] swaps them for those of another configuration and forgets nothing: circuits, retry budgets
//! and connection pools live on.
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

mod build;
mod chain;
mod circuits;
mod defaults;
mod document;
mod error;
mod keys;
mod live;
mod mid_stream;
mod provider;
mod read;
mod schema;
mod sections;
mod source;
mod view;

use std::path::{Path, PathBuf};

pub use self::build::BuildError;
pub use self::error::ConfigError;
pub use self::live::{Live, LiveFuture};
pub use self::schema::{AuditConfig, Config, General};
pub use self::source::Environment;
pub use self::view::{ChainView, StepView};

impl Config {
    /// Reads and checks a file, with the process's environment.
    ///
    /// # Errors
    ///
    /// The first mistake, with its file, line and column.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            ConfigError::new(format!("the configuration cannot be read: {error}")).in_file(&file)
        })?;
        Self::parse(&file, &text, &Environment::process())
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

    /// The files that values were read from: when one changes, the configuration has to be loaded again.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}
