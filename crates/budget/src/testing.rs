//! What every [`Ledger`](crate::Ledger) is checked against: a model so simple that it is plainly right, and a thousand callers at once.
//!
//! ```no_run
//! use backstop_budget::testing::{self, Step};
//! use backstop_budget::MemoryLedger;
//! use proptest::prelude::*;
//!
//! proptest! {
//!     #[test]
//!     fn agrees_with_the_model(steps in testing::steps()) {
//!         let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//!         runtime.block_on(testing::agrees(&MemoryLedger::new(), "any prefix", steps));
//!     }
//! }
//!
//! #[tokio::test(flavor = "multi_thread")]
//! async fn admits_exactly_what_fits() {
//!     testing::exactly_what_fits(std::sync::Arc::new(MemoryLedger::new()), "any prefix").await;
//! }
//! # fn main() {}
//! ```
//!
//! Each function names its budgets with the prefix that it is given, so that one ledger can serve for several.

mod crowd;
mod model;
mod steps;

pub use self::crowd::{exactly_what_fits, no_gap_in_a_swap, one_name_is_not_one_account, turmoil};
pub use self::model::Model;
pub use self::steps::{Step, agrees, steps};
