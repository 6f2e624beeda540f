//! A running `backstop`, a client that talks to it, and the records that it leaves.
//!
//! Each test has its own process, folder and simulator. Everything that is waited for is an event (a line of output, a
//! response, an entry of the simulator's journal) but for the records, whose file is looked at again and again.
//! Nothing is waited for longer than [`PATIENCE`].

// Each test binary uses its own part of it.
#![allow(dead_code, unused_imports)]

mod answer;
mod client;
mod config;
mod process;
mod records;
mod redis;

use std::future::Future;
use std::time::Duration;

use backstop_sim::Sim;

pub(crate) use self::answer::Answer;
pub(crate) use self::client::{Client, Response, Stream, ask, get, post, raw, request};
pub(crate) use self::config::{Deployment, config, deployment};
pub(crate) use self::process::{Finished, Gateway, Setup};
pub(crate) use self::redis::Redis;

/// How long anything may take before the test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A simulator of its own.
pub(crate) async fn sim() -> Sim {
    Sim::bind("127.0.0.1:0").await.expect("a free port")
}

/// Waits for something that has to happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let patience = tokio::time::timeout(PATIENCE, future);
    patience
        .await
        .unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}
