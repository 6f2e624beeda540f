//! The simulator over loopback, seen through a plain HTTP client.

mod faults;
mod journal;
mod support;
mod wire;
