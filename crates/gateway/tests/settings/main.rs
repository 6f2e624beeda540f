//! Every key of the configuration takes effect: each test shows what happens with it and without it.

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod chains;
mod collect;
mod cooldowns;
mod front;
mod retries;
mod streams;
mod timeouts;

use std::collections::BTreeMap;

use backstop_sim::Sim;
use serde_json::Value;

use self::support::{Deployment, Gateway, deployment};

/// A `primary` at OpenAI that shows this fault, and a healthy `second` at Anthropic.
fn pair(group: &str, fault: &str) -> [Deployment; 2] {
    [
        deployment(group, &format!("openai/gpt-4o+{fault}")).id(&format!("{group}-primary")),
        deployment(group, "anthropic/claude-sonnet-4-6").id(&format!("{group}-second")),
    ]
}

/// How often the simulator was asked for a model whose name begins like this.
fn calls(sim: &Sim, model: &str) -> usize {
    let entries = sim.journal().entries();
    entries
        .iter()
        .filter(|entry| entry.model.starts_with(model))
        .count()
}

/// One field of each attempt.
fn each<'a>(record: &'a Value, field: &str) -> Vec<&'a Value> {
    let attempts = record["attempts"].as_array().expect("a list");
    attempts.iter().map(|attempt| &attempt[field]).collect()
}

/// Who served how many of `n` requests that follow each other.
async fn served(gateway: &Gateway, model: &str, n: usize) -> BTreeMap<String, usize> {
    let mut client = support::Client::connect(gateway.addr()).await;
    let mut served = BTreeMap::new();
    for _ in 0..n {
        let response = client.send(support::ask(model, false)).await;
        assert_eq!(response.status, 200, "{}", response.text());
        *served
            .entry(response.header("x-backstop-deployment").to_owned())
            .or_default() += 1;
    }
    served
}
