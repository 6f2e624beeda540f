//! Spend ceilings of a running gateway: they hold whatever happens, and what they say is what was spent.

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod books;
mod ceilings;
mod chain;
mod crowd;
mod killed;
mod lost;
mod modes;
mod replicas;
mod scopes;
mod trouble;
mod turmoil;

use std::collections::BTreeMap;

use backstop_sim::Sim;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use serde_json::{Value, json};

use self::support::{Deployment, Redis, Response, Setup, config, deployment, post};

/// What a call costs at most, and in truth, is not the same: the prompt is smaller than its bound. It is so cheap that
/// a hundred calls make no difference of one.
const OUTPUT_PRICE: u64 = 100_000;
/// The bound on every answer here, and its length: no budget can make it smaller.
const TOKENS: u64 = 64;
/// What a call costs, but for its prompt, in nano-dollars.
const PRICE: u64 = TOKENS * OUTPUT_PRICE;

/// A deployment with that price.
fn priced(group: &str, model: &str) -> Deployment {
    deployment(group, model)
        .info("input_cost_per_token: 0.00000001")
        .info("output_cost_per_token: 0.0001")
}

/// Exactly so many calls fit, as long as the prompts of all of them together cost less than half a call.
fn room_for(calls: u64) -> String {
    let nano = calls * PRICE + PRICE / 2;
    format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000)
}

/// A question whose answer is bounded.
fn question(model: &str, stream: bool) -> Request<Bytes> {
    bounded(model, stream, TOKENS)
}

fn bounded(model: &str, stream: bool, tokens: u64) -> Request<Bytes> {
    let body = json!({
        "model": model,
        "stream": stream,
        "max_tokens": tokens,
        "messages": [{"role": "user", "content": "Hello"}],
    });
    post(body.to_string())
}

/// The same request with another header.
fn with(mut request: Request<Bytes>, name: &'static str, value: &str) -> Request<Bytes> {
    let value = HeaderValue::from_bytes(value.as_bytes()).expect("no control characters");
    request
        .headers_mut()
        .insert(HeaderName::from_static(name), value);
    request
}

fn with_key(request: Request<Bytes>, key: &str) -> Request<Bytes> {
    with(request, "authorization", &format!("Bearer {key}"))
}

/// How many answers there are of each kind: a status, and the code of an error.
fn tally(answers: &[Response]) -> BTreeMap<(u16, String), usize> {
    let mut tally = BTreeMap::new();
    for answer in answers {
        let status = answer.status.as_u16();
        let code = if status == 200 {
            String::new()
        } else {
            answer.code()
        };
        *tally.entry((status, code)).or_default() += 1;
    }
    tally
}

fn tallied<const N: usize>(kinds: [(u16, &str, usize); N]) -> BTreeMap<(u16, String), usize> {
    let kinds = kinds.map(|(status, code, n)| ((status, code.to_owned()), n));
    kinds.into_iter().collect()
}

/// How often the simulator was asked for a model whose name begins like this.
fn calls(sim: &Sim, model: &str) -> usize {
    let entries = sim.journal().entries();
    entries
        .iter()
        .filter(|entry| entry.model.starts_with(model))
        .count()
}

/// What these records say was spent.
fn cost(records: &[Value]) -> u64 {
    let cost = |record: &Value| record["cost_nano_usd"].as_u64().unwrap_or(0);
    records.iter().map(cost).sum()
}

/// The `store` section for this Redis. An answer is waited for as long as a busy machine may take.
fn on_redis(redis: &Redis, lease: f64, allotment: u32) -> String {
    format!(
        "store: {{redis: '{}', timeout: 10, lease: {lease}, allotment: {allotment}}}",
        redis.url()
    )
}

/// A Redis that a gateway has used before: an empty one is not trusted until a lease has passed.
async fn used_redis(sim: &Sim) -> Redis {
    let redis = Redis::start();
    let text = format!(
        "budgets: [{{scope: global, limit_requests: 1, window: total}}]\n{}",
        on_redis(&redis, 0.05, 0)
    );
    let gateway = Setup::serve(&config(&[deployment("any", "openai/gpt-4o")], &text)).before(sim);
    gateway.start().await.stop().await;
    redis
}
