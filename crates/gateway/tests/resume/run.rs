//! Many streams at once, through as many gateways as it takes.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::case::Case;
use crate::check::check;
use crate::support::{Client, Gateway, Response, config, post, sim};

/// How many streams one gateway is configured for.
const BATCH: usize = 500;
/// How many are under way together.
const TOGETHER: usize = 48;
/// So many failures tell enough.
const SHOWN: usize = 8;

/// Runs the cases; fails with what is wrong with those that are.
pub(crate) async fn run(cases: impl IntoIterator<Item = Case>) {
    let mut cases = cases.into_iter();
    let (mut ran, mut failures) = (0, Vec::new());
    loop {
        let batch: Vec<Case> = cases.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        ran += batch.len();
        failures.extend(run_batch(batch).await);
    }
    assert!(ran > 0, "no case");
    assert!(
        failures.is_empty(),
        "{} of {ran} streams went wrong; the first of them:\n{}",
        failures.len(),
        failures[..failures.len().min(SHOWN)].join("\n")
    );
}

async fn run_batch(cases: Vec<Case>) -> Vec<String> {
    let sim = sim().await;
    let deployments: Vec<_> = cases.iter().flat_map(Case::deployments).collect();
    let more = "router_settings: {cooldown_time: 0, num_retries: 0}\naudit: {mode: async}";
    let gateway = Gateway::start(&sim, &config(&deployments, more)).await;
    let (together, address) = (Arc::new(Semaphore::new(TOGETHER)), gateway.addr());
    let mut tasks = JoinSet::new();
    for case in cases {
        let together = Arc::clone(&together);
        tasks.spawn(async move {
            let _turn = together.acquire().await.expect("it is not closed");
            let ask = post(body(&case).to_string());
            let sent = async move { Client::connect(address).await.send(ask).await };
            // Of its own, so that one that takes too long is told by what it is.
            (case, tokio::spawn(sent).await.ok())
        });
    }
    let answered: Vec<(Case, Option<Response>)> = tasks.join_all().await;
    let records = records(gateway).await;
    let mut failures = Vec::new();
    for (case, response) in &answered {
        let record = |response: &Response| records.get(response.request_id());
        let checked = match response.as_ref().map(|it| (it, record(it))) {
            Some((response, Some(record))) => check(case, response, record),
            Some((response, None)) => Err(format!("no record: {}", response.text())),
            None => Err("no end in time".to_owned()),
        };
        if let Err(why) = checked {
            failures.push(format!("{case}: {why}"));
        }
    }
    failures.sort();
    failures
}

/// Stops a gateway; its records by the requests' ids.
pub(crate) async fn records(gateway: Gateway) -> HashMap<String, Value> {
    let id = |record: &Value| record["request_id"].as_str().unwrap_or_default().to_owned();
    let records = gateway.stop().await.records().into_iter();
    records.map(|record| (id(&record), record)).collect()
}

fn body(case: &Case) -> Value {
    let mut body = json!({
        "model": case.name,
        "stream": true,
        "messages": [{"role": "user", "content": "Hello"}],
    });
    if case.replays.is_some() {
        body["temperature"] = json!(0);
    }
    if case.usage {
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}
