//! Names that stand for several models: whoever can do what the request needs answers.

use serde_json::{Value, json};

use crate::support::{Gateway, Setup, config, deployment, get, sim};
use crate::{asked, question};

const SETTINGS: &str = "
capabilities:
  auto: {vision: seeing, tools: calling, json_schema: exact, default: small}
";

fn text() -> String {
    let deployments = [
        deployment("small", "openai/small"),
        deployment("calling", "openai/calling"),
        deployment("seeing", "openai/seeing"),
        deployment("exact", "openai/exact"),
    ];
    config(&deployments, SETTINGS)
}

#[tokio::test]
async fn the_first_named_need_of_a_request_chooses() {
    let sim = sim().await;
    let gateway = Gateway::start(&sim, &text()).await;
    let tools = json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]);
    let image = json!([{"role": "user", "content": [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "https://pictures.example/cat.png"}},
    ]}]);
    let schema =
        json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}});
    for (body, chosen) in [
        (json!({}), "small"),
        (json!({"tools": tools}), "calling"),
        (json!({"messages": image}), "seeing"),
        (json!({"response_format": schema}), "exact"),
        // The order of the file decides, not that of the request.
        (
            json!({"tools": tools, "messages": image, "response_format": schema}),
            "seeing",
        ),
        (
            json!({"response_format": schema, "tools": tools}),
            "calling",
        ),
        // Nobody was named for it.
        (json!({"reasoning_effort": "low"}), "small"),
    ] {
        sim.journal().clear();
        let response = gateway.send(question("auto", &body)).await;
        let record = gateway.record(response.request_id()).await;
        assert_eq!(asked(&sim), [chosen], "{body}");
        assert_eq!(record["requested_model"], "auto", "as it was asked for");
        assert_eq!(record["attempts"][0]["model"], chosen);
    }
}

#[tokio::test]
async fn it_is_a_model_like_any_other() {
    let sim = sim().await;
    let gateway = Gateway::start(&sim, &text()).await;
    let list = gateway.send(get("/v1/models")).await.json();
    let ids: Vec<_> = list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|model| &model["id"])
        .collect();
    assert_eq!(ids, ["auto", "calling", "exact", "seeing", "small"]);
    let one = gateway.send(get("/v1/models/auto")).await;
    assert_eq!(one.json()["id"], "auto", "{}", one.text());
    let other = gateway.ask("aut", false).await;
    assert_eq!(other.code(), "model_not_found");
    assert!(
        other.text().contains("did you mean `auto`?"),
        "{}",
        other.text()
    );
}

#[tokio::test]
async fn keys_and_budgets_know_it_by_its_own_name() {
    let sim = sim().await;
    let settings = format!(
        "{SETTINGS}
general_settings: {{master_key: sk-master}}
keys:
  - {{id: web, key: sk-web, models: [auto]}}
  - {{id: app, key: sk-app, models: [small]}}
budgets:
  - {{scope: model, id: auto, limit_requests: 1, window: total}}
store: memory
"
    );
    let deployments = ["small", "calling", "seeing", "exact"]
        .map(|model| deployment(model, &format!("openai/{model}")));
    let gateway = Gateway::start(&sim, &config(&deployments, &settings)).await;
    let ask = async |key: &str, model: &str| {
        let mut request = question(model, &Value::Object(serde_json::Map::new()));
        let key = format!("Bearer {key}").parse().expect("visible ASCII");
        request.headers_mut().insert("authorization", key);
        let response = gateway.send(request).await;
        (response.status.as_u16(), response)
    };
    for (key, model, status) in [
        ("sk-web", "small", 404),
        ("sk-app", "auto", 404),
        ("sk-app", "small", 200),
        ("sk-web", "auto", 200),
        // The one request is spent; that for its model's own name was another.
        ("sk-web", "auto", 402),
        ("sk-app", "small", 200),
    ] {
        let (found, response) = ask(key, model).await;
        assert_eq!(found, status, "{key} {model}: {}", response.text());
    }
}

#[tokio::test]
async fn check_says_who_answers_what() {
    let sim = sim().await;
    let check = Setup::new(&["check", "--config", "backstop.yaml"]).file("backstop.yaml", &text());
    let finished = check.before(&sim).run().await;
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    let shown = "auto\n  vision       seeing\n  tools        calling\n  json_schema  exact\n  default      small\n";
    assert!(finished.stdout.contains(shown), "{}", finished.stdout);
}
