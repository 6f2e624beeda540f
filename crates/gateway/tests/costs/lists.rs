//! Fallbacks for one kind of failure.

use backstop_sim::Provider;
use serde_json::json;

use crate::support::{Gateway, Response, config, deployment, post, sim};
use crate::{asked, each, fault};

async fn ask(gateway: &Gateway, tokens: usize) -> Response {
    let content = " word".repeat(tokens);
    let body = json!({"model": "smart", "messages": [{"role": "user", "content": content}]});
    gateway.send(post(body.to_string())).await
}

const LISTS: &str = "
router_settings:
  num_retries: 0
  cooldown_time: 0
  context_window_fallbacks: [{smart: [long]}]
  content_policy_fallbacks: [{smart: [lenient]}]
  default_fallbacks: [spare]
";

/// Which models are asked when the first one shows this fault, and what comes of it.
const CASES: &[(&str, usize, &[&str], u16)] = &[
    // Healthy.
    ("tokens=5", 5, &["gpt-4o"], 200),
    // Neither list is for that.
    ("500", 5, &["gpt-4o", "claude-haiku-4-5"], 200),
    ("429", 5, &["gpt-4o", "claude-haiku-4-5"], 200),
    // Theirs come before what is there for all.
    ("context", 5, &["gpt-4o", "claude-sonnet-4-6"], 200),
    ("filter", 5, &["gpt-4o", "gpt-4.1"], 200),
    ("filter200=2", 5, &["gpt-4o", "gpt-4.1"], 200),
    // Too long by our own count: it is not even asked.
    ("tokens=5", 130_000, &["claude-sonnet-4-6"], 200),
];

#[tokio::test]
async fn a_list_takes_effect_after_its_own_failure_only() {
    let sim = sim().await;
    let deployments = [
        deployment("smart", "openai/gpt-4o"),
        deployment("long", "anthropic/claude-sonnet-4-6"),
        deployment("lenient", "openai/gpt-4.1"),
        deployment("spare", "anthropic/claude-haiku-4-5"),
    ];
    let gateway = Gateway::start(&sim, &config(&deployments, LISTS)).await;
    for (shown, tokens, models, status) in CASES {
        sim.journal().clear();
        let outage = *shown != "tokens=5";
        if outage {
            fault(&sim, Provider::OpenAi, "gpt-4o", shown);
        }
        let response = ask(&gateway, *tokens).await;
        assert_eq!(response.status, *status, "{shown}: {}", response.text());
        assert_eq!(asked(&sim), *models, "{shown}");
        let record = gateway.record(response.request_id()).await;
        let skipped: &[&str] = if *tokens > 5 { &["openai/gpt-4o"] } else { &[] };
        assert_eq!(each(&record, "skipped", "deployment"), skipped, "{shown}");
    }
}

#[tokio::test]
async fn without_the_lists_nobody_else_is_asked() {
    let sim = sim().await;
    let deployments = [
        deployment("smart", "openai/gpt-4o"),
        deployment("long", "anthropic/claude-sonnet-4-6"),
        deployment("lenient", "openai/gpt-4.1"),
    ];
    let settings = "router_settings: {num_retries: 0, cooldown_time: 0}";
    let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
    for (shown, code) in [
        ("context", "context_length_exceeded"),
        ("filter", "content_filter"),
    ] {
        sim.journal().clear();
        fault(&sim, Provider::OpenAi, "gpt-4o", shown);
        let response = ask(&gateway, 5).await;
        assert_eq!((response.status.as_u16(), &*response.code()), (400, code));
        assert_eq!(asked(&sim), ["gpt-4o"]);
    }
}

#[tokio::test]
async fn a_list_of_a_deployment_holds_for_its_group() {
    let sim = sim().await;
    let deployments = [
        deployment("smart", "openai/gpt-4o"),
        deployment("long", "anthropic/claude-sonnet-4-6"),
        deployment("longer", "openai/gpt-4.1"),
    ];
    let settings = r#"
router_settings:
  cooldown_time: 0
  context_window_fallbacks: [{"openai/gpt-4o": ["anthropic/claude-sonnet-4-6", longer]}]
"#;
    let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
    fault(&sim, Provider::OpenAi, "gpt-4o", "context");
    fault(&sim, Provider::Anthropic, "claude-sonnet-4-6", "context");
    let response = ask(&gateway, 5).await;
    assert_eq!(response.status, 200, "{}", response.text());
    // Each larger than the one before: 128 000, 1 000 000, 1 047 576.
    assert_eq!(asked(&sim), ["gpt-4o", "claude-sonnet-4-6", "gpt-4.1"]);
}
