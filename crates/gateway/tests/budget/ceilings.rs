//! A thousand requests at once against a ceiling for 137 of them: exactly those are answered.

use crate::books::Auditor;
use crate::crowd;
use crate::support::{Gateway, config, sim};
use crate::{PRICE, calls, cost, on_redis, priced, question, room_for, tallied, tally, used_redis};

const ROOM: usize = 137;
const ASKED: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_in_memory() {
    hold(&sim().await, "store: memory").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_in_a_file() {
    hold(&sim().await, "store: {sqlite: ./ledger.db}").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_in_redis() {
    let sim = sim().await;
    let redis = used_redis(&sim).await;
    hold(&sim, &on_redis(&redis, 30.0, 4)).await;
}

async fn hold(sim: &backstop_sim::Sim, store: &str) {
    let deployments = [
        priced("counted", "openai/gpt-4o"),
        priced("priced", "openai/gpt-4.1"),
    ];
    let budgets = format!(
        "budgets:
  - {{scope: model, id: counted, limit_requests: {ROOM}, window: total}}
  - {{scope: model, id: priced, limit_usd: {}, window: total, name: dollars}}
{store}",
        room_for(ROOM as u64)
    );
    let gateway = Gateway::start(sim, &config(&deployments, &budgets)).await;
    for (model, upstream) in [("counted", "gpt-4o"), ("priced", "gpt-4.1")] {
        let auditor = Auditor::of(&gateway);
        let questions = vec![question(model, false); ASKED];
        let answers = crowd::ask([&gateway], questions).await;
        assert!(auditor.stop().await > 0);
        let expected = [(200, "", ROOM), (402, "budget_exceeded", ASKED - ROOM)];
        assert_eq!(tally(&answers), tallied(expected), "{model}");
        assert_eq!(calls(sim, upstream), ROOM, "who is refused is not asked");
    }
    let accounts = gateway.settled().await;
    let records = gateway.stop().await.records();
    assert_eq!(records.len(), 2 * ASKED);
    let of = |model: &str| -> Vec<_> {
        let is_it = |record: &&serde_json::Value| record["requested_model"] == model;
        records.iter().filter(is_it).cloned().collect()
    };
    assert_eq!(accounts[0].spent, ROOM as u64);
    assert_eq!(accounts[1].spent, cost(&of("priced")), "to the nano-dollar");
    let all = ROOM as u64 * PRICE;
    assert!((all..all + PRICE / 2).contains(&accounts[1].spent));
    assert_eq!(accounts[1].overrun, 0);
}
