//! Circuits of a running gateway: who is skipped, who probes, and what an operator reads of it.

#[path = "../support/mod.rs"]
mod support;

mod last_resort;
mod probes;
mod shared;
mod upstream;

use backstop_sim::Sim;
use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;

use self::support::Gateway;

/// How often the simulator was asked for a model whose name begins like this.
fn calls(sim: &Sim, model: &str) -> usize {
    let entries = sim.journal().entries();
    entries
        .iter()
        .filter(|entry| entry.model.starts_with(model))
        .count()
}

/// The lines that an operator is paged for.
fn warnings(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("WARN")).collect()
}

/// The value of a field of a log line that stands in quotation marks.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let (_, value) = line.split_once(&format!(" {name}=\"")).expect(name);
    let (value, _) = value.split_once('"').expect("a closing quotation mark");
    value
}

/// Waits for the moment that a circuit's log line names: the one thing that is waited for by the clock.
async fn until(line: &str) {
    let until: Timestamp = field(line, "until").parse().expect("a moment");
    // It is written without what is below a millisecond.
    let until = until + SignedDuration::from_millis(1);
    let left = until.duration_since(Timestamp::now());
    // None is left of a moment that has passed.
    sleep(left.try_into().unwrap_or_default()).await;
}

/// Waits for the line that says that a circuit opened or closed.
async fn logged(gateway: &Gateway, what: &str, deployment: &str) -> String {
    let deployment = format!("deployment=\"{deployment}\"");
    gateway.logged(&["WARN", what, &deployment]).await
}
