//! The layer around services of one's own.

mod allocations;
mod crowd;
mod layer;
mod support;
