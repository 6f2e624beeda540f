//! Files over the catalogue that is built in: in our format, and in LiteLLM's.

use rustix::process::Signal;
use serde_json::json;

use crate::question;
use crate::support::{Gateway, Setup, config, deployment, sim};

const OURS: &str = r#"[
  {"id": "openai/house-model", "context_window": 1000, "input_usd_per_mtok": 2, "output_usd_per_mtok": 8,
   "lacks": ["vision"]},
  {"id": "openai/gpt-4o", "input_usd_per_mtok": 1, "output_usd_per_mtok": 1}
]"#;

/// Some of LiteLLM's file, with members that are nobody's business here.
const LITELLM: &str = r#"{
  "sample_spec": {"max_tokens": "LEGACY parameter", "litellm_provider": "one of https://docs.litellm.ai"},
  "house-model": {
    "max_tokens": 4096, "max_input_tokens": 1000, "max_output_tokens": 4096,
    "input_cost_per_token": 2e-06, "output_cost_per_token": 8e-06,
    "litellm_provider": "openai", "mode": "chat", "supports_function_calling": true, "supports_vision": false,
    "source": "https://example.com"
  },
  "gpt-4o": {
    "max_input_tokens": 128000, "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06,
    "litellm_provider": "openai", "mode": "chat"
  },
  "text-embedding-3-small": {
    "input_cost_per_token": 2e-08, "output_cost_per_token": 0.0, "litellm_provider": "openai", "mode": "embedding"
  }
}"#;

fn text(more: &str) -> String {
    let deployments = [
        deployment("house", "openai/house-model"),
        deployment("known", "openai/gpt-4o"),
        deployment("other", "anthropic/claude-sonnet-4-6"),
        deployment("own", "openai/gpt-4o")
            .id("own")
            .info("input_cost_per_token: 0.000003")
            .info("output_cost_per_token: 0.000003"),
    ];
    config(
        &deployments,
        &format!("catalog: {{file: prices.json}}\n{more}"),
    )
}

/// What 5 tokens of a prompt and 10 of an answer cost: the simulator counts so many.
async fn cost(gateway: &Gateway, model: &str) -> String {
    let response = gateway
        .send(question(model, &json!({"max_tokens": 10})))
        .await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.header("x-litellm-response-cost").to_owned()
}

#[tokio::test]
async fn a_file_in_either_format_is_what_counts() {
    let sim = sim().await;
    for file in [OURS, LITELLM] {
        let gateway = Setup::serve(&text(""))
            .before(&sim)
            .file("prices.json", file)
            .start()
            .await;
        assert_eq!(cost(&gateway, "house").await, "0.00009");
        assert_eq!(
            cost(&gateway, "known").await,
            "0.000015",
            "over what is built in"
        );
        assert_eq!(
            cost(&gateway, "own").await,
            "0.000045",
            "model_info has the last word"
        );
        assert_eq!(
            cost(&gateway, "other").await,
            "0.000165",
            "what it does not say stays"
        );

        let long = json!({"messages": [{"role": "user", "content": " word".repeat(1_000)}]});
        let response = gateway.send(question("house", &long)).await;
        assert_eq!(response.code(), "context_length_exceeded");
        let image = json!({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "https://pictures.example/cat.png"}}]}]});
        let response = gateway.send(question("house", &image)).await;
        assert_eq!(response.code(), "no_capable_deployment");

        let check = Setup::new(&["check", "--config", "backstop.yaml"])
            .file("backstop.yaml", &text(""))
            .file("prices.json", file);
        let shown = check.before(&sim).run().await.stdout;
        for part in [
            "openai/house-model  openai     house-model  ",
            "window 1000  $2 in, $8 out a million",
            "window 128000  $1 in, $1 out a million",
            "window 128000  $3 in, $3 out a million",
            "window 1000000  $3 in, $15 out a million",
        ] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }
}

#[tokio::test]
async fn a_file_that_changes_is_read_again() {
    let sim = sim().await;
    let budgets = "budgets: [{scope: global, limit_usd: 1, window: total}]\nstore: memory\n";
    let gateway = Setup::serve(&text(budgets))
        .before(&sim)
        .file("prices.json", OURS)
        .start()
        .await;
    assert_eq!(cost(&gateway, "house").await, "0.00009");

    let dearer = OURS.replace("\"output_usd_per_mtok\": 8", "\"output_usd_per_mtok\": 80");
    std::fs::write(gateway.path("prices.json"), &dearer).expect("writable");
    gateway
        .logged(&["INFO", "configuration reloaded", "file"])
        .await;
    assert_eq!(cost(&gateway, "house").await, "0.00081");
    let account = gateway.send(crate::support::get("/budgets")).await.json()["data"][0].clone();
    assert_eq!(
        account["usd"]["spent"], "0.0009",
        "what was spent at the old price stays spent"
    );

    // What cannot be read changes nothing, and says where.
    std::fs::write(gateway.path("prices.json"), dearer.replace(": 80", ": -80")).expect("writable");
    gateway
        .logged(&["ERROR", "not reloaded", "backstop.yaml:", "prices.json:2:"])
        .await;
    assert_eq!(cost(&gateway, "house").await, "0.00081");

    std::fs::write(gateway.path("prices.json"), OURS).expect("writable");
    gateway.signal(Signal::HUP);
    gateway
        .logged(&["INFO", "configuration reloaded", "SIGHUP"])
        .await;
    assert_eq!(cost(&gateway, "house").await, "0.00009");
}
