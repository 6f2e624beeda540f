//! Limits that only tell, and answers that are made to fit.

use crate::support::{Gateway, config, deployment, post, sim};
use crate::{OUTPUT_PRICE, bounded, priced, question};
use serde_json::json;

#[tokio::test]
async fn a_soft_limit_and_a_shadow_admit_and_tell() {
    for mode in ["soft", "shadow"] {
        let sim = sim().await;
        let more = format!(
            "budgets: [{{scope: global, limit_requests: 1, window: total, mode: {mode}, name: mild}}]\nstore: memory"
        );
        let gateway =
            Gateway::start(&sim, &config(&[priced("smart", "openai/gpt-4o")], &more)).await;
        let first = gateway.send(question("smart", false)).await;
        assert_eq!(
            gateway.record(first.request_id()).await["budget"],
            json!(null)
        );
        for _ in 0..2 {
            let beyond = gateway.send(question("smart", false)).await;
            assert_eq!(beyond.status, 200, "{}", beyond.text());
            let record = gateway.record(beyond.request_id()).await;
            let told = json!([{"budget": "mild", "id": "", "effect": mode}]);
            assert_eq!(record["budget"], told);
        }
        let account = gateway.account("mild").await;
        assert_eq!((account.limit, account.spent), (1, 3));
        let log = gateway.stop().await.stderr;
        let told = log.lines().filter(|line| line.contains("budget exceeded"));
        let told: Vec<_> = told.collect();
        assert_eq!(told.len(), 1, "once for each window: {log}");
        assert!(
            told[0].contains("requests go on") && told[0].contains(mode),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_is_bounded_to_what_fits_and_no_closer_than_64_tokens() {
    let sim = sim().await;
    // Room for about 150 tokens, and for the prompt.
    let usd = 150 * OUTPUT_PRICE + 1_000;
    let more = format!(
        "budgets:
  - {{scope: model, id: dollars, limit_usd: 0.{usd:09}, window: total}}
  - {{scope: model, id: tokens, limit_tokens: 250, window: total}}
store: memory"
    );
    let deployments = [
        priced("dollars", "openai/gpt-4o+tokens=1000"),
        priced("tokens", "openai/gpt-4.1+tokens=1000"),
    ];
    let gateway = Gateway::start(&sim, &config(&deployments, &more)).await;
    for model in ["dollars", "tokens"] {
        sim.journal().clear();
        let response = gateway.send(bounded(model, false, 1000)).await;
        assert_eq!(response.status, 200, "{}", response.text());
        let sent = sim.journal().entries()[0].json();
        let bound = sent["max_tokens"].as_u64().expect("a number");
        assert!((64..250).contains(&bound), "{sent}");
        assert_eq!(sent["messages"][0]["content"], "Hello");
        assert_eq!(response.json()["choices"][0]["finish_reason"], "length");
        assert_eq!(response.json()["usage"]["completion_tokens"], bound);
        let record = gateway.record(response.request_id()).await;
        let note = format!("answer bounded to {bound} tokens by a budget");
        assert_eq!(record["attempts"][0]["notes"], json!([note]));
        // What is left is less than 64 tokens.
        let refused = gateway.send(bounded(model, false, 1000)).await;
        assert_eq!(refused.code(), "budget_exceeded");
        assert_eq!(sim.journal().entries().len(), 1);
    }
    for account in gateway.accounts().await {
        assert!(account.spent <= account.limit, "{account:?}");
        assert_eq!(account.overrun, 0);
    }
}

#[tokio::test]
async fn an_answer_that_nobody_bounds_gets_a_bound() {
    let sim = sim().await;
    let open = deployment("own", "openai/homemade");
    let more = "budgets: [{scope: global, limit_tokens: 100000, window: total}]\nstore: memory";
    for (budgets, bound) in [("store: memory", json!(null)), (more, json!(4096))] {
        let gateway = Gateway::start(&sim, &config(std::slice::from_ref(&open), budgets)).await;
        sim.journal().clear();
        let body = json!({"model": "own", "messages": [{"role": "user", "content": "Hello"}]});
        let response = gateway.send(post(body.to_string())).await;
        assert_eq!(response.status, 200, "{}", response.text());
        let sent = sim.journal().entries()[0].json();
        assert_eq!(sent["max_completion_tokens"], bound, "{sent}");
    }
}
