//! Upstreams that answer badly: each ends as a failure that moves on or is told, never as a silent success.

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod breaks;
mod pair;
mod resets;
