//! Rules for models: for the name that is asked for, and for the model that a name stands for.

use serde_json::json;

use crate::support::{Gateway, post};
use crate::{Sides, inside, outside};

const MORE: &str = "
capabilities:
  auto: {vision: eyes, tools: plain, default: smart}
  careful: {default: plain}
residency:
  rules:
    - {name: for-smart, match: {model: [smart]}, require: {processing: [eu]}}
    - {name: for-careful, match: {model: ['care*']}, require: {processing: [eu]}}
    - {name: of-eyes, match: none, require: {processing: [eu]}}
";

async fn held(
    gateway: &Gateway,
    sides: &Sides,
    model: &str,
    body: serde_json::Value,
) -> Option<String> {
    let mut body = body;
    body["model"] = json!(model);
    let response = gateway.send(post(body.to_string())).await;
    assert_eq!(response.status, 200, "{model}: {}", response.text());
    let record = gateway.record(response.request_id()).await;
    let policy = record["policy"].as_str().map(str::to_owned);
    let left = !sides.us.journal().entries().is_empty();
    assert_eq!(left, policy.is_none(), "{model}: {policy:?}");
    sides.us.journal().clear();
    policy
}

#[tokio::test]
async fn a_name_that_stands_for_models_brings_the_rules_of_the_chosen_one() {
    let sides = Sides::new().await;
    let deployments: Vec<_> = ["smart", "eyes", "plain"]
        .into_iter()
        .flat_map(|group| {
            let ruled = |it: crate::support::Deployment| match group {
                "eyes" => it.info("residency: of-eyes"),
                _ => it,
            };
            [
                ruled(outside(group, &format!("{group}-us"), "openai/gpt-4o")),
                inside(group, &format!("{group}-eu"), "openai/gpt-4o"),
            ]
        })
        .collect();
    let gateway = sides.gateway(&deployments, MORE).await;
    let text = json!({"messages": [{"role": "user", "content": "Hello"}]});
    let image = json!({"messages": [{"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]}]});
    let mut tools = text.clone();
    tools["tools"] =
        json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    for (model, body, expected) in [
        ("smart", &text, Some("for-smart")),
        ("eyes", &text, Some("of-eyes")),
        ("plain", &text, None),
        // What is asked for by another name is held to the same rules.
        ("auto", &text, Some("for-smart")),
        ("auto", &image, Some("of-eyes")),
        ("auto", &tools, None),
        ("careful", &text, Some("for-careful")),
    ] {
        let held = held(&gateway, &sides, model, body.clone()).await;
        assert_eq!(held.as_deref(), expected, "{model}: {body}");
    }
}
