//! Failures, fallbacks, broken streams and clients that leave, all at once: no limit is passed at any moment, and in the
//! end the ledger, the records and the calls agree.

use std::sync::Arc;
use std::time::Duration;

use backstop_sim::{Progress, Sim};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};
use tokio::time::interval;

use crate::books::{Account, Auditor};
use crate::crowd::{absolute, connect};
use crate::support::{Deployment, Gateway, config, sim, within};
use crate::{bounded, cost, on_redis, priced, question, room_for, used_redis};

const REQUESTS: usize = 400;
const TOGETHER: usize = 48;

/// What the first deployment of each group does; the second is well.
const FAULTS: [&str; 9] = [
    "500",
    "429",
    "reset",
    "cut=8",
    "eof=8",
    "error=8",
    "stall=8",
    "slow=2",
    "tokens=70",
];

fn deployments() -> Vec<Deployment> {
    let group = |fault: &str| {
        let name = name(fault);
        [
            priced(&name, &format!("openai/gpt-4o+{fault}")).id(&format!("{name}-does")),
            priced(&name, "anthropic/claude-sonnet-4-6").id(&format!("{name}-next")),
        ]
    };
    FAULTS.into_iter().flat_map(group).collect()
}

/// The group whose first deployment does that.
fn name(fault: &str) -> String {
    format!("first-{}", fault.split('=').next().expect("a name"))
}

/// When a client has enough.
#[derive(Clone, Copy)]
enum Leaves {
    Never,
    /// Before there is an answer, after so many looks.
    Early(usize),
    /// After so many pieces of it.
    Late(usize),
}

fn case(turn: usize) -> (Request<Bytes>, Leaves) {
    let fault = FAULTS[turn % FAULTS.len()];
    let model = &name(fault);
    let turn = turn / FAULTS.len();
    let leaves = match turn % 4 {
        0 | 1 => Leaves::Never,
        2 => Leaves::Early(turn * 7 % 200),
        _ => Leaves::Late(turn * 5 % 40),
    };
    // Some ask for less than there can be, some for more.
    let tokens = [64, 20, 200][turn % 3];
    (bounded(model, turn % 5 < 3, tokens), leaves)
}

async fn visit(mut sender: SendRequest<Full<Bytes>>, request: Request<Bytes>, leaves: Leaves) {
    sender.ready().await.expect("open");
    let response = sender.send_request(absolute(request));
    let response = if let Leaves::Early(looks) = leaves {
        let gone = async {
            for _ in 0..looks {
                yield_now().await;
            }
        };
        tokio::select! {
            response = response => response,
            () = gone => return,
        }
    } else {
        within("a response", response).await
    };
    let mut body = response.expect("a response").into_body();
    let mut pieces = 0;
    while let Some(piece) = within("a piece of the answer", body.frame()).await {
        piece.expect("an unbroken body");
        pieces += 1;
        if matches!(leaves, Leaves::Late(enough) if pieces > enough) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn breaks_nothing_in_memory() {
    breaks_nothing(&sim().await, "store: memory").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn breaks_nothing_in_a_file() {
    breaks_nothing(&sim().await, "store: {sqlite: ./ledger.db}").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn breaks_nothing_in_redis() {
    let sim = sim().await;
    let redis = used_redis(&sim).await;
    breaks_nothing(&sim, &on_redis(&redis, 30.0, 4)).await;
}

async fn breaks_nothing(sim: &Sim, store: &str) {
    // Towards the end there is no room for some of them, in one way or another.
    let more = format!(
        "budgets:
  - {{scope: global, limit_usd: {}, window: total}}
  - {{scope: global, limit_tokens: 40000, window: total}}
  - {{scope: global, limit_requests: 330, window: total}}
  - {{scope: deployment, id: first-slow-does, limit_requests: 30, window: total}}
router_settings: {{cooldown_time: 0, num_retries: 1, retry_after: 0.001, timeout: 1, stream_timeout: 0.3}}
{store}",
        room_for(300)
    );
    let gateway = Gateway::start(sim, &config(&deployments(), &more)).await;
    let auditor = Auditor::of(&gateway);
    let senders = [
        connect(gateway.addr()).await,
        connect(gateway.addr()).await,
        connect(gateway.addr()).await,
    ];
    let together = Arc::new(Semaphore::new(TOGETHER));
    let mut visits = JoinSet::new();
    for turn in 0..REQUESTS {
        let (together, sender) = (Arc::clone(&together), senders[turn % 3].clone());
        let (request, leaves) = case(turn);
        visits.spawn(async move {
            let _turn = together.acquire().await.expect("it is not closed");
            visit(sender, request, leaves).await;
        });
    }
    visits.join_all().await;
    // What was sent before on the same connection has been seen before.
    for sender in senders {
        visit(sender, question(&name("tokens=70"), false), Leaves::Never).await;
    }
    let accounts = within("agreement", agreement(&gateway)).await;
    assert!(auditor.stop().await > 0);
    let open = |entry: &backstop_sim::Entry| entry.progress == Progress::Open;
    assert!(!sim.journal().entries().iter().any(open));

    let records = gateway.stop().await.records();
    assert_eq!(accounts[0].spent, cost(&records), "nothing came later");
    let outcomes: Vec<_> = records.iter().map(|record| &record["outcome"]).collect();
    for outcome in ["ok", "cancelled", "rejected_budget"] {
        assert!(outcomes.iter().any(|it| **it == outcome), "{outcomes:?}");
    }
}

/// Waits until the accounts are what the records say. Who has left may be noticed late.
async fn agreement(gateway: &Gateway) -> Vec<Account> {
    let mut looks = interval(Duration::from_millis(20));
    loop {
        looks.tick().await;
        let accounts = gateway.settled().await;
        let records = gateway.records(0).await;
        let said = [cost(&records), tokens(&records), requests(&records)];
        let booked = [0, 1, 2].map(|budget: usize| accounts[budget].spent);
        if booked == said {
            for account in &accounts {
                assert_eq!((account.reserved, account.overrun), (0, 0), "{account:?}");
            }
            return accounts;
        }
        assert!(
            booked
                .iter()
                .zip(said)
                .all(|(booked, said)| *booked >= said)
        );
    }
}

/// All that attempts took.
fn tokens(records: &[Value]) -> u64 {
    let attempts = records
        .iter()
        .filter_map(|record| record["attempts"].as_array());
    let usage = attempts.flatten().map(|attempt| &attempt["usage"]);
    let count = |usage: &Value, name: &str| usage[name].as_u64().unwrap_or(0);
    usage
        .map(|usage| count(usage, "input") + count(usage, "output"))
        .sum()
}

/// Those that had to be paid for.
fn requests(records: &[Value]) -> u64 {
    let paid = |record: &&Value| {
        record["cost_nano_usd"]
            .as_u64()
            .is_some_and(|cost| cost > 0)
    };
    records.iter().filter(paid).count() as u64
}
