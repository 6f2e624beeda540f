//! Answers that are not streamed.

use serde_json::{Value, json};

use crate::books::{Books, ROOM, priced};
use crate::support::{Deployment, Gateway, ask, config, deployment, sim};
use crate::{each, question};

const PROVIDER: Option<&str> = Some("provider");
const ESTIMATE: Option<&str> = Some("estimate");

/// A model's deployments, the answer's status, and who counted the tokens of each call.
type Case = (
    &'static str,
    &'static [&'static str],
    u16,
    &'static [Option<&'static str>],
);

const CASES: &[Case] = &[
    ("openai", &["openai/gpt-4o"], 200, &[PROVIDER]),
    (
        "anthropic",
        &["anthropic/claude-sonnet-4-6"],
        200,
        &[PROVIDER],
    ),
    (
        "bedrock",
        &["bedrock/anthropic.claude-sonnet-4-6"],
        200,
        &[PROVIDER],
    ),
    // A repeat: the first call was refused, and nobody bills for that.
    (
        "retry",
        &["openai/gpt-4o-retry+500+first=1"],
        200,
        &[None, PROVIDER],
    ),
    (
        "rate-limit",
        &["openai/gpt-4o+429=0.001+first=1"],
        200,
        &[None, PROVIDER],
    ),
    (
        "fallback",
        &[
            "openai/gpt-4o+500",
            "bedrock/anthropic.claude-sonnet-4-6+503",
            "anthropic/claude-sonnet-4-6",
        ],
        200,
        &[None, None, PROVIDER],
    ),
    // The provider may have answered: it is paid as much as it may have taken.
    (
        "timeout",
        &["openai/gpt-4o+hang", "anthropic/claude-sonnet-4-6"],
        200,
        &[ESTIMATE, PROVIDER],
    ),
    (
        "cut",
        &["anthropic/claude-sonnet-4-6+truncated", "openai/gpt-4o"],
        200,
        &[ESTIMATE, PROVIDER],
    ),
    (
        "reset",
        &["bedrock/anthropic.claude-sonnet-4-6+reset", "openai/gpt-4o"],
        200,
        &[ESTIMATE, PROVIDER],
    ),
    // Blocked, and billed.
    (
        "filter",
        &["openai/gpt-4o+filter200=5", "anthropic/claude-sonnet-4-6"],
        200,
        &[PROVIDER, PROVIDER],
    ),
    ("filtered", &["openai/gpt-4o+filter200=5"], 200, &[PROVIDER]),
    // Nobody answers, and still somebody may have to be paid.
    ("refused", &["openai/gpt-4o+400"], 400, &[None]),
    (
        "lost",
        &["openai/gpt-4o+hang", "anthropic/claude-sonnet-4-6+529"],
        503,
        &[ESTIMATE, None],
    ),
    // The cache, at rates of its own.
    (
        "openai-cache",
        &["openai/gpt-4o+cached=1001"],
        200,
        &[PROVIDER],
    ),
    (
        "anthropic-cache",
        &["anthropic/claude-sonnet-4-6+cached=1001+written=203+written1h=77"],
        200,
        &[PROVIDER],
    ),
    (
        "bedrock-cache",
        &["bedrock/anthropic.claude-sonnet-4-6+cached=1001+written=203+written1h=77"],
        200,
        &[PROVIDER],
    ),
];

fn deployments() -> Vec<Deployment> {
    let one = |group: &str, place: usize, model: &str| {
        let deployment = priced(group, model).id(&format!("{group}/{place}"));
        if model.ends_with("+hang") {
            deployment.param("timeout: 0.2")
        } else {
            deployment
        }
    };
    let cases = CASES.iter().flat_map(|(group, models, ..)| {
        let models = models.iter().enumerate();
        models.map(move |(place, model)| one(group, place, model))
    });
    cases.collect()
}

#[tokio::test]
async fn record_ledger_and_header_tell_the_same_cost() {
    let sim = sim().await;
    let settings = format!("{ROOM}router_settings: {{retry_after: 0.001}}\n");
    let gateway = Gateway::start(&sim, &config(&deployments(), &settings)).await;
    let mut books = Books::of(&gateway);
    for (group, _, status, sources) in CASES {
        // Bounded, so that what is held for it is not the longest answer that the model can give.
        let response = gateway
            .send(question(group, &json!({"max_tokens": 100})))
            .await;
        assert_eq!(response.status, *status, "{group}: {}", response.text());
        let record = gateway.record(response.request_id()).await;
        let cost = books.enter(&record, sources).await;
        let header = response.headers.get("x-litellm-response-cost");
        assert_eq!(
            header.map(|cost| cost.to_str().expect("text")),
            cost.as_deref(),
            "{group}"
        );
        if *status == 200 {
            // What the client reads is what the last call took.
            let usage = &response.json()["usage"];
            let row = &record["attempts"]
                .as_array()
                .expect("a list")
                .last()
                .expect("one")["usage"];
            for (theirs, ours) in [("prompt_tokens", "input"), ("completion_tokens", "output")] {
                assert_eq!(usage[theirs], row[ours], "{group}");
            }
        }
    }
    let held = |record: &Value| record["attempts"][0]["usage"]["output"].clone();
    let response = gateway
        .send(question("timeout", &json!({"max_tokens": 100})))
        .await;
    let record = gateway.record(response.request_id()).await;
    books.enter(&record, &[ESTIMATE, PROVIDER]).await;
    assert_eq!(held(&record), 100, "as long as it may have been");
}

#[tokio::test]
async fn without_budgets_costs_are_told_all_the_same() {
    let sim = sim().await;
    let deployments = [
        priced("priced", "openai/gpt-4o+tokens=10"),
        deployment("unpriced", "openai/house-model"),
        deployment("both", "openai/house-model+500").id("unpriced-first"),
        priced("both", "anthropic/claude-sonnet-4-6+tokens=10"),
    ];
    let gateway = Gateway::start(&sim, &config(&deployments, "")).await;
    let response = gateway.ask("priced", false).await;
    let record = gateway.record(response.request_id()).await;
    // 5 tokens of "Hello" at the simulator, and 10 of the answer.
    let cost =
        (5 * 2_500_333_333_u64).div_ceil(1_000_000) + (10 * 10_000_777_777_u64).div_ceil(1_000_000);
    assert_eq!(record["cost_nano_usd"], cost);
    assert_eq!(
        response.header("x-litellm-response-cost"),
        crate::books::dollars(cost)
    );

    let response = gateway.ask("unpriced", false).await;
    assert_eq!(response.headers.get("x-litellm-response-cost"), None);
    let record = gateway.record(response.request_id()).await;
    assert_eq!(record["cost_nano_usd"], Value::Null);
    assert_eq!(record["cost_usd"], Value::Null);
    assert_eq!(
        record["usage"]["source"], "provider",
        "what it took is known"
    );
    assert_eq!(record["budget"], Value::Null);
    assert_eq!(record["key_id"], Value::Null);

    // What is known of any is told.
    let response = gateway.ask("both", false).await;
    assert_ne!(response.header("x-litellm-response-cost"), "");
}

#[tokio::test]
async fn what_is_streamed_has_no_header() {
    let sim = sim().await;
    let gateway = Gateway::start(&sim, &config(&[priced("smart", "openai/gpt-4o")], ROOM)).await;
    let mut books = Books::of(&gateway);
    let response = gateway.ask("smart", true).await;
    assert_eq!(response.headers.get("x-litellm-response-cost"), None);
    let record = gateway.record(response.request_id()).await;
    assert!(books.enter(&record, &[PROVIDER]).await.is_some());
}

#[tokio::test]
async fn the_record_says_who_spent_and_which_budget_had_no_room() {
    let sim = sim().await;
    let settings = "
general_settings: {master_key: sk-master}
keys: [{id: web, key: sk-web, team: growth}]
budgets:
  - {scope: key, id: web, limit_requests: 1, window: total, mode: soft}
  - {scope: team, limit_usd: 0.0000001, window: total, mode: shadow}
  - {scope: global, limit_requests: 2, window: total}
store: memory
";
    let gateway =
        Gateway::start(&sim, &config(&[priced("smart", "openai/gpt-4o")], settings)).await;
    let answers = async |status: u16| {
        let mut request = ask("smart", false);
        let key = "Bearer sk-web".parse().expect("visible ASCII");
        request.headers_mut().insert("authorization", key);
        let response = gateway.send(request).await;
        assert_eq!(response.status, status, "{}", response.text());
        gateway.record(response.request_id()).await
    };
    let team = json!({"budget": "team/usd/total", "id": "growth", "effect": "shadow"});
    let key = json!({"budget": "key=web/requests/total", "id": "web", "effect": "soft"});
    let all = json!({"budget": "global/requests/total", "id": "", "effect": "refused"});

    let first = answers(200).await;
    assert_eq!(first["key_id"], "web");
    assert_eq!(first["budget"], json!([team]));
    let second = answers(200).await;
    assert_eq!(each(&second, "budget", "effect"), ["soft", "shadow"]);
    assert!(second["budget"].as_array().expect("a list").contains(&key));
    let third = answers(402).await;
    assert_eq!(third["budget"], json!([all]));
    assert_eq!(third["outcome"], "rejected_budget");
    assert_eq!(third["cost_nano_usd"], Value::Null);
    assert_eq!(third["attempts"], json!([]));
}
