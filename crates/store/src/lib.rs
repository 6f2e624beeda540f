//! Ledgers that outlive a process: SQLite for one, Redis for many.
//!
//! They keep the accounts of [`backstop_budget`]: hand one to its layer in place of the ledger in memory.

#[cfg(feature = "redis")]
pub mod redis;
#[cfg(any(feature = "redis", feature = "sqlite"))]
mod shared;
#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(feature = "redis")]
pub use self::redis::RedisLedger;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteLedger;
