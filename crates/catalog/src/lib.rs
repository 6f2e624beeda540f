//! What is known of language models: context windows, capabilities, prices, and how many tokens a prompt has.
//!
//! - [`Catalog`]: facts by provider and model. A table comes with this crate ([`Catalog::shipped`]); a user's own
//!   file, or LiteLLM's `model_prices_and_context_window.json`, goes over it.
//! - [`Facts`]: what is known of one model. Unknown is `None`, neither zero nor "no".
//! - [`Price`]: whole nano-dollars per million tokens, by component; [`Price::cost`] of what was used, and
//!   [`Price::bound`] of what may be.
//! - [`estimate`]: tokens before a provider has counted them.
//!
//! ```
//! use backstop_catalog::{Capability, Catalog};
//! use backstop_core::{NanoUsd, Usage};
//!
//! let facts = Catalog::shipped().find("openai", "gpt-4o-2024-08-06").expect("a known model");
//! assert_eq!(facts.window(), Some(128_000));
//! assert_eq!(facts.supports(Capability::Vision), Some(true));
//!
//! let price = facts.price().expect("a known price");
//! assert_eq!(price.cost(&Usage::reported(1_000, 100)).to_string(), "0.0035");
//! ```
//!
//! The table is a snapshot of list prices that a community keeps (`NOTICE.md` says whose); no provider vouches for it.

mod capability;
mod catalog;
mod decimal;
mod error;
pub mod estimate;
mod facts;
mod names;
mod price;
mod read;

pub use self::capability::Capability;
pub use self::catalog::Catalog;
pub use self::error::InvalidCatalog;
pub use self::estimate::Family;
pub use self::facts::Facts;
pub use self::price::{Price, Rates};
