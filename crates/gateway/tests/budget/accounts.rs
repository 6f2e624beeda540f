//! What an operator reads in `GET /budgets`, and what outlives a reload and the process.

use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Client, Gateway, Setup, config, get, sim};
use crate::{PRICE, cost, priced, question};

async fn rows(gateway: &Gateway) -> Vec<Value> {
    let response = gateway.send(get("/budgets")).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("content-type"), "application/json");
    response.json()["data"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn say_what_is_spent_and_held_of_what_until_when() {
    let sim = sim().await;
    let more = "budgets:
  - {scope: global, limit_usd: 30, window: day, time_zone: UTC}
  - {scope: model, limit_tokens: 1000000, window: total, mode: soft, name: all tokens}
  - {scope: user, limit_requests: 100, window: 24h}
store: memory";
    // It is silent in the middle of its answer.
    let deployments = [
        priced("smart", "openai/gpt-4o"),
        priced("slow", "openai/gpt-4.1+stall=4"),
    ];
    let gateway = Gateway::start(&sim, &config(&deployments, more)).await;
    let none = rows(&gateway).await;
    assert_eq!(
        none.len(),
        1,
        "there is one account that is there without anybody: {none:?}"
    );

    let answer = gateway.send(question("smart", false)).await;
    let record = gateway.record(answer.request_id()).await;
    let mut client = Client::connect(gateway.addr()).await;
    let mut under_way = client.start(question("slow", true)).await;
    under_way.next().await.expect("a beginning");
    let rows = rows(&gateway).await;
    let [dollars, slow, smart] = &rows[..] else {
        panic!("{rows:?}")
    };
    let spent = cost(std::slice::from_ref(&record));
    let held = dollars["reserved"].as_u64().expect("a number");
    assert!((PRICE..PRICE + 10_000).contains(&held), "{held}");
    assert_eq!(dollars["budget"], "global/usd/day@UTC");
    assert_eq!(dollars["scope"], "global");
    assert_eq!(dollars["id"], "");
    assert_eq!(dollars["mode"], "hard");
    assert_eq!(dollars["window"], "day@UTC");
    assert_eq!(dollars["unit"], "nano_usd");
    assert_eq!(dollars["limit"], 30_000_000_000_u64);
    assert_eq!(dollars["spent"], spent);
    assert_eq!(dollars["remaining"], 30_000_000_000 - spent - held);
    assert_eq!(dollars["overrun"], 0);
    assert_eq!(dollars["usd"]["limit"], "30");
    assert_eq!(dollars["usd"]["spent"], record["cost_usd"]);
    let resets: Timestamp = dollars["resets_at"]
        .as_str()
        .and_then(|moment| moment.parse().ok())
        .expect("a moment");
    assert_eq!(resets.as_second() % 86_400, 0, "midnight");
    let left = dollars["resets_in_seconds"].as_u64().expect("a number");
    assert!(left <= 86_400, "{left}");

    assert_eq!(
        (&smart["id"], &slow["id"]),
        (&json!("smart"), &json!("slow"))
    );
    assert_eq!(smart["budget"], "all tokens");
    assert_eq!(
        (&smart["mode"], &smart["unit"]),
        (&json!("soft"), &json!("tokens"))
    );
    let usage = &record["usage"];
    let tokens = |name: &str| usage[name].as_u64().expect("a number");
    assert_eq!(smart["spent"], tokens("input") + tokens("output"));
    assert_eq!((&smart["reserved"], &slow["spent"]), (&json!(0), &json!(0)));
    assert!(slow["reserved"].as_u64() > Some(64));
    assert_eq!(smart["resets_at"], json!(null), "never");
    assert_eq!(smart["usd"], json!(null));
}

#[tokio::test]
async fn outlive_a_reload_with_other_limits() {
    let sim = sim().await;
    for (store, because) in [
        ("memory", "SIGHUP"),
        ("{sqlite: ./ledger.db}", "a file has changed"),
    ] {
        let text = |limit: u32| {
            let more = format!(
                "budgets: [{{scope: global, limit_requests: {limit}, window: total, name: one}}]\nstore: {store}"
            );
            config(
                &[priced("smart", "openai/gpt-4o").param("api_key: 'file:key'")],
                &more,
            )
        };
        let gateway = Setup::serve(&text(1))
            .file("key", "sk-one")
            .before(&sim)
            .start()
            .await;
        assert_eq!(gateway.send(question("smart", false)).await.status, 200);
        assert_eq!(gateway.send(question("smart", false)).await.status, 402);
        if because == "SIGHUP" {
            std::fs::write(gateway.path("backstop.yaml"), text(3)).expect("writable");
            gateway.signal(Signal::HUP);
        } else {
            std::fs::write(gateway.path("key"), "sk-another").expect("writable");
        }
        gateway.logged(&["configuration reloaded", because]).await;
        let account = gateway.account("one").await;
        assert_eq!(account.spent, 1, "it is remembered");
        let again = [
            gateway.send(question("smart", false)).await.status.as_u16(),
            gateway.send(question("smart", false)).await.status.as_u16(),
            gateway.send(question("smart", false)).await.status.as_u16(),
        ];
        let expected = if account.limit == 3 {
            [200, 200, 402]
        } else {
            [402; 3]
        };
        assert_eq!(again, expected, "{because}");
        assert_eq!(account.limit, if because == "SIGHUP" { 3 } else { 1 });
    }
}

#[tokio::test]
async fn outlive_the_process() {
    let sim = sim().await;
    let folder = tempfile::tempdir().expect("a folder");
    let more = format!(
        "budgets: [{{scope: global, limit_usd: 30, window: month, time_zone: Europe/Berlin}}]
store: {{sqlite: '{}'}}",
        folder.path().join("ledger.db").display()
    );
    let deployments = [
        priced("smart", "openai/gpt-4o"),
        priced("slow", "openai/gpt-4o+slow=5"),
    ];
    let text = config(&deployments, &more);
    let gateway = Gateway::start(&sim, &text).await;
    for _ in 0..3 {
        assert_eq!(gateway.send(question("smart", false)).await.status, 200);
    }
    // This one is under way when the gateway is told to stop, and is finished and booked.
    let mut client = Client::connect(gateway.addr()).await;
    let mut under_way = client.start(question("slow", true)).await;
    under_way.next().await.expect("a beginning");
    gateway.signal(Signal::TERM);
    assert!(
        under_way
            .finish()
            .await
            .text()
            .ends_with("data: [DONE]\n\n")
    );
    let finished = gateway.end().await;
    assert!(finished.status.success());
    let records = finished.records();
    assert_eq!(records.len(), 4);

    let gateway = Gateway::start(&sim, &text).await;
    let account = gateway.accounts().await.remove(0);
    assert_eq!((account.spent, account.reserved), (cost(&records), 0));
    assert!(!gateway.log().contains("left behind"), "nothing was lost");
}
