//! Who spends: `keys`, the request's `user`, and what each of them may ask for.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use crate::support::{Gateway, config, get, post, sim};
use crate::{calls, priced, question, with, with_key};

const KEYS: &str = "
general_settings: {master_key: sk-master}
keys:
  - {id: web, key: sk-web, team: growth, org: acme, tags: [eu, batch]}
  - {id: app, key: sk-app, team: growth, org: acme}
  - {id: ops, key: sk-ops, org: acme, tags: [batch]}
  - {id: lone, key: sk-lone}
store: memory
";

fn by(key: &str) -> Request<Bytes> {
    with_key(question("smart", false), key)
}

fn for_user(key: &str, user: &str) -> Request<Bytes> {
    with(by(key), "x-backstop-user", user)
}

fn says_user(key: &str, user: &Value) -> Request<Bytes> {
    let body = json!({
        "model": "smart",
        "user": user,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "Hello"}],
    });
    with_key(post(body.to_string()), key)
}

async fn statuses(budget: &str, requests: Vec<Request<Bytes>>) -> Vec<u16> {
    let sim = sim().await;
    let more = format!("{KEYS}budgets: [{{{budget}, limit_requests: 1, window: total}}]");
    let deployments = [
        priced("smart", "openai/gpt-4o"),
        priced("other", "openai/gpt-4.1"),
    ];
    let gateway = Gateway::start(&sim, &config(&deployments, &more)).await;
    let mut statuses = Vec::new();
    for request in requests {
        statuses.push(gateway.send(request).await.status.as_u16());
    }
    let answered = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(calls(&sim, "gpt-4"), answered, "{budget}");
    statuses
}

#[tokio::test]
async fn each_scope_counts_its_own() {
    let everybody = || ["sk-web", "sk-web", "sk-app", "sk-ops", "sk-lone", "sk-lone"].map(by);
    for (budget, expected) in [
        ("scope: key", [200, 402, 200, 200, 200, 402]),
        ("scope: key, id: web", [200, 402, 200, 200, 200, 200]),
        ("scope: team", [200, 402, 402, 200, 200, 200]),
        ("scope: team, id: growth", [200, 402, 402, 200, 200, 200]),
        ("scope: team, id: others", [200, 200, 200, 200, 200, 200]),
        ("scope: org", [200, 402, 402, 402, 200, 200]),
        ("scope: tag", [200, 402, 200, 402, 200, 200]),
        ("scope: tag, id: eu", [200, 402, 200, 200, 200, 200]),
        ("scope: user", [200, 200, 200, 200, 200, 200]),
        ("scope: global", [200, 402, 402, 402, 402, 402]),
        ("scope: model", [200, 402, 402, 402, 402, 402]),
        ("scope: model, id: other", [200, 200, 200, 200, 200, 200]),
    ] {
        assert_eq!(
            statuses(budget, everybody().into()).await,
            expected,
            "{budget}"
        );
    }
    let masters = ["sk-master", "sk-master", "sk-web"].map(by).into();
    assert_eq!(
        statuses("scope: key, id: master", masters).await,
        [200, 402, 200]
    );
}

#[tokio::test]
async fn a_user_is_who_the_request_says_or_else_its_header() {
    let requests = vec![
        for_user("sk-web", "alice"),
        for_user("sk-app", "alice"),
        for_user("sk-web", "bob"),
        says_user("sk-web", &json!("alice")),
        says_user("sk-web", &json!("carol")),
        // The request's own word goes before the header's.
        with(
            says_user("sk-web", &json!("carol")),
            "x-backstop-user",
            "dave",
        ),
        with(
            says_user("sk-web", &json!("erin")),
            "x-backstop-user",
            "alice",
        ),
        says_user("sk-web", &Value::Null),
        with(says_user("sk-web", &Value::Null), "x-backstop-user", "bob"),
        with(says_user("sk-web", &json!("")), "x-backstop-user", "bob"),
        for_user("sk-web", "Jürgen"),
        for_user("sk-web", "Jürgen"),
        says_user("sk-web", &json!(7)),
        says_user("sk-web", &json!("x".repeat(257))),
        by("sk-web"),
    ];
    let expected = [
        200, 402, 200, 402, 200, 402, 200, 200, 402, 402, 200, 402, 400, 400, 200,
    ];
    assert_eq!(statuses("scope: user", requests).await, expected);
}

#[tokio::test]
async fn a_key_may_ask_for_its_own_models_and_sees_no_others() {
    let sim = sim().await;
    let more = "
general_settings: {master_key: sk-master}
keys:
  - {id: web, key: sk-web, models: ['smart/*', mini]}
  - {id: app, key: sk-app}
  - {id: none, key: sk-none, models: []}
";
    let deployments = [
        priced("smart/balanced", "openai/gpt-4o"),
        priced("mini", "openai/gpt-4.1"),
        priced("other", "openai/gpt-4o-mini"),
    ];
    let gateway = Gateway::start(&sim, &config(&deployments, more)).await;
    for (key, may) in [
        ("sk-web", [true, true, false]),
        ("sk-app", [true, true, true]),
        ("sk-none", [false, false, false]),
        ("sk-master", [true, true, true]),
    ] {
        let mut seen = Vec::new();
        for (model, may) in ["smart/balanced", "mini", "other"].into_iter().zip(may) {
            let response = gateway.send(with_key(question(model, false), key)).await;
            let one = gateway
                .send(with_key(get(&format!("/v1/models/{model}")), key))
                .await;
            if may {
                seen.push(model);
                assert_eq!((response.status.as_u16(), one.status.as_u16()), (200, 200));
            } else {
                for refused in [&response, &one] {
                    assert_eq!(refused.status, 404, "{key} {model}");
                    assert_eq!(refused.code(), "model_not_found");
                }
            }
            let record = gateway.record(response.request_id()).await;
            assert_eq!(record["key_id"], key["sk-".len()..]);
        }
        seen.sort_unstable();
        let list = gateway.send(with_key(get("/v1/models"), key)).await.json();
        let list = list["data"].as_array().expect("a list").clone();
        let ids: Vec<_> = list.iter().map(|model| model["id"].as_str()).collect();
        assert_eq!(ids, seen.into_iter().map(Some).collect::<Vec<_>>(), "{key}");
    }
}

#[tokio::test]
async fn nobody_else_gets_in_and_accounts_are_the_operators() {
    let sim = sim().await;
    let more = format!("{KEYS}budgets: [{{scope: key, limit_requests: 1, window: total}}]");
    let gateway = Gateway::start(&sim, &config(&[priced("smart", "openai/gpt-4o")], &more)).await;
    for request in [
        question("smart", false),
        by("sk-wrong"),
        by("sk-we"),
        get("/budgets"),
        with_key(get("/budgets"), "sk-wrong"),
    ] {
        let refused = gateway.send(request).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (401, "invalid_api_key".to_owned())
        );
    }
    let refused = gateway.send(with_key(get("/budgets"), "sk-web")).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (403, "master_key_needed".to_owned())
    );
    let told = gateway.send(with_key(get("/budgets"), "sk-master")).await;
    assert_eq!(told.status, 200);
    assert_eq!(told.json()["data"], json!([]), "nobody has an account yet");
    assert_eq!(sim.journal().entries().len(), 0);
}
