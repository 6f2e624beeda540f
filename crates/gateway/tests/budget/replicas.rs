//! Several gateways on one Redis have one ceiling.

use crate::books::Auditor;
use crate::crowd;
use crate::support::{Gateway, config, sim};
use crate::{calls, cost, on_redis, priced, question, room_for, tallied, tally, used_redis};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_admit_together_exactly_what_fits() {
    const ROOM: usize = 137;
    const ASKED: usize = 1000;
    let sim = sim().await;
    let redis = used_redis(&sim).await;
    let budgets = format!(
        "budgets: [{{scope: global, limit_usd: {}, window: total, name: dollars}}]\n{}",
        room_for(ROOM as u64),
        on_redis(&redis, 30.0, 4)
    );
    let text = config(&[priced("smart", "openai/gpt-4o")], &budgets);
    let one = Gateway::start(&sim, &text).await;
    let other = Gateway::start(&sim, &text).await;
    let auditors = [Auditor::of(&one), Auditor::of(&other)];
    let questions = vec![question("smart", false); ASKED];
    let answers = crowd::ask([&one, &other], questions).await;
    for auditor in auditors {
        assert!(auditor.stop().await > 0);
    }
    let expected = [(200, "", ROOM), (402, "budget_exceeded", ASKED - ROOM)];
    assert_eq!(tally(&answers), tallied(expected));
    assert_eq!(calls(&sim, "gpt-4o"), ROOM);
    // What the other has settled is on its way to Redis.
    one.settled().await;
    let first = one.stop().await.records();
    let spent = other.settled().await[0].spent;
    let second = other.stop().await.records();
    assert_eq!(spent, cost(&first) + cost(&second));
}
