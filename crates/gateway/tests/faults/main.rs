//! The three-provider chain through the running gateway, before every fault that its providers can have.

#[path = "../support/mod.rs"]
mod support;

mod alone;
mod chain;
mod fault;
mod member;
mod surfaced;
mod waits;
