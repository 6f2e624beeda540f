//! What a request costs is one number, wherever it is told; and who could not serve it is not asked.

#[path = "../support/mod.rs"]
mod support;

mod abilities;
mod books;
mod broken;
mod catalogue;
mod check;
mod lists;
mod needs;
mod whole;
mod windows;

use backstop_sim::{Outage, Provider, Sim};
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use self::support::post;

/// The simplest question, with more members.
fn question(model: &str, more: &Value) -> Request<Bytes> {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
    for (name, value) in more.as_object().expect("members") {
        body[name] = value.clone();
    }
    post(body.to_string())
}

/// The models that the simulator was asked for since its journal was emptied, in order.
fn asked(sim: &Sim) -> Vec<String> {
    let entries = sim.journal().entries();
    entries.into_iter().map(|entry| entry.model).collect()
}

/// The next call for `model` shows `fault`: its name stays one that the catalogue knows.
fn fault(sim: &Sim, provider: Provider, model: &str, fault: &str) {
    let outage = Outage::new(provider, fault).expect("a fault");
    sim.faults().begin(outage.model(model).times(1));
}

/// One field of each entry of a list in a record.
fn each<'a>(record: &'a Value, list: &str, field: &str) -> Vec<&'a str> {
    let entries = record[list].as_array().expect("a list").iter();
    entries
        .map(|entry| entry[field].as_str().unwrap_or_default())
        .collect()
}
