//! What the ledger in memory locks and hashes with, so that it can be checked under loom.

#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Ids come from callers, so what they hash to must not be known. Loom has to see the same run twice.
#[cfg(not(loom))]
pub(crate) type Hashing = std::collections::hash_map::RandomState;
#[cfg(loom)]
pub(crate) type Hashing = std::hash::BuildHasherDefault<std::collections::hash_map::DefaultHasher>;

#[cfg(not(loom))]
pub(crate) const STRIPES: usize = 32;
#[cfg(loom)]
pub(crate) const STRIPES: usize = 2;
