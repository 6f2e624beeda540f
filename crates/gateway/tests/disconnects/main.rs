//! Clients that leave, at any moment, in each of the ways in which they can.
//!
//! What they leave behind in the process (tasks, circuits) is looked at in `backstop-config`'s own tests.

#[path = "../support/mod.rs"]
mod support;

mod uploads;
mod visitor;

use std::collections::BTreeMap;

use backstop_sim::{Entry, Outage, Progress, Provider, Sim};
use serde_json::json;

use self::support::{Client, Deployment, Gateway, ask, config, deployment, sim, within};
use self::visitor::{LEAVINGS, Leaving, Visitor};

const PROVIDERS: [(&str, Provider, [&str; 2]); 3] = [
    (
        "openai",
        Provider::OpenAi,
        ["openai/gpt-4o", "openai/gpt-4.1"],
    ),
    (
        "anthropic",
        Provider::Anthropic,
        ["anthropic/claude-sonnet-4-6", "anthropic/claude-haiku-4-5"],
    ),
    (
        "bedrock",
        Provider::Bedrock,
        [
            "bedrock/anthropic.claude-sonnet-4-6",
            "bedrock/us.anthropic.claude-sonnet-4-6",
        ],
    ),
];

/// Two deployments at each provider; whoever has fewer requests in flight is asked.
async fn gateway(sim: &Sim) -> Gateway {
    let pair =
        |(group, _, models): (&str, _, [&str; 2])| models.map(|model| deployment(group, model));
    let deployments: Vec<Deployment> = PROVIDERS.map(pair).concat();
    // Hints are waited for, so that a request can be left while it waits.
    let settings = "router_settings: {routing_strategy: least_busy, patience: 100, deadline: 500, timeout: 400}";
    Gateway::start(sim, &config(&deployments, settings)).await
}

/// One visit: the first call shows `fault`, and the client leaves once `moment` has come.
async fn visit(
    sim: &Sim,
    gateway: &Gateway,
    leaving: Leaving,
    fault: &str,
    stream: bool,
    moment: Moment,
) {
    for (group, provider, _) in PROVIDERS {
        let visit = format!("{group}, {fault}, streamed: {stream}, {leaving:?}");
        let before = gateway.records(0).await.len();
        sim.journal().clear();
        sim.faults()
            .begin(Outage::new(provider, fault).expect("a fault").times(1));
        let mut visitor = Visitor::connect(gateway.addr(), leaving).await;
        visitor.begin(ask(group, stream)).await;
        match moment {
            Moment::BeforeTheHead => {
                within("the call", sim.journal().wait_for(1, |_| true)).await;
            }
            Moment::BetweenAttempts => {
                let refused = |entry: &Entry| entry.progress == Progress::Finished;
                within("the refusal", sim.journal().wait_for(1, refused)).await;
            }
            Moment::InTheAnswer => visitor.reads_the_beginning().await,
        }
        let stays = visitor.leave();

        if moment != Moment::BetweenAttempts {
            let gone = |entry: &Entry| entry.progress == Progress::ClientGone;
            within("the end of the call", sim.journal().wait_for(1, gone)).await;
        }
        let records = gateway.records(before + 1).await;
        let record = &records[before];
        assert_eq!(record["outcome"], "cancelled", "{visit}: {record}");
        assert_eq!(record["stream"], stream, "{visit}: {record}");
        assert_eq!(record["attempt_count"], 1, "{visit}: {record}");
        assert_eq!(record["deployment"], json!(null), "nobody served: {record}");
        let status = if moment == Moment::InTheAnswer {
            json!(200)
        } else {
            json!(null)
        };
        assert_eq!(record["http_status"], status, "{visit}: {record}");
        if moment != Moment::BetweenAttempts {
            assert_eq!(
                record["attempts"][0]["result"], "cancelled",
                "{visit}: {record}"
            );
        }
        assert_eq!(
            sim.journal().entries().len(),
            1,
            "nobody is asked any more: {visit}"
        );

        // A request that was still counted would make its deployment the busier one.
        let mut served = BTreeMap::new();
        let mut client = Client::connect(gateway.addr()).await;
        for _ in 0..4 {
            let response = client.send(ask(group, false)).await;
            assert_eq!(response.status, 200, "{visit}");
            *served
                .entry(response.header("x-backstop-deployment").to_owned())
                .or_insert(0) += 1;
        }
        assert_eq!(
            served.into_values().collect::<Vec<_>>(),
            [2, 2],
            "nothing is in flight: {visit}"
        );
        gateway.records(before + 5).await;
        drop(stays);
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    BeforeTheHead,
    BetweenAttempts,
    InTheAnswer,
}

#[tokio::test]
async fn before_the_head_of_an_answer() {
    let sim = sim().await;
    let gateway = gateway(&sim).await;
    for leaving in LEAVINGS {
        for stream in [false, true] {
            visit(
                &sim,
                &gateway,
                leaving,
                "hang",
                stream,
                Moment::BeforeTheHead,
            )
            .await;
        }
        // Its head is there, but nothing yet that would commit to it; the whole of it is not.
        visit(
            &sim,
            &gateway,
            leaving,
            "stall=0",
            true,
            Moment::BeforeTheHead,
        )
        .await;
        visit(
            &sim,
            &gateway,
            leaving,
            "stall=0",
            false,
            Moment::BeforeTheHead,
        )
        .await;
    }
}

#[tokio::test]
async fn between_attempts() {
    let sim = sim().await;
    let gateway = gateway(&sim).await;
    for leaving in LEAVINGS {
        for stream in [false, true] {
            visit(
                &sim,
                &gateway,
                leaving,
                "429=20",
                stream,
                Moment::BetweenAttempts,
            )
            .await;
        }
    }
}

#[tokio::test]
async fn in_the_middle_of_a_stream() {
    let sim = sim().await;
    let gateway = gateway(&sim).await;
    for leaving in LEAVINGS {
        for fault in ["slow=20+tokens=10000", "stall=3"] {
            visit(&sim, &gateway, leaving, fault, true, Moment::InTheAnswer).await;
        }
    }
}

#[tokio::test]
async fn a_gateway_that_everybody_left_stops_at_once() {
    let sim = sim().await;
    let gateway = Gateway::start(
        &sim,
        &config(&[deployment("smart", "openai/gpt-4o+hang")], ""),
    )
    .await;
    let mut visitors = Vec::new();
    for leaving in LEAVINGS.into_iter().cycle().take(30) {
        let mut visitor = Visitor::connect(gateway.addr(), leaving).await;
        visitor.begin(ask("smart", false)).await;
        visitors.push(visitor);
    }
    within("all calls", sim.journal().wait_for(30, |_| true)).await;
    let stay: Vec<_> = visitors.into_iter().map(Visitor::leave).collect();
    gateway.records(30).await;
    let finished = gateway.stop().await;
    assert_eq!(finished.status.code(), Some(0));
    assert!(
        !finished.stderr.contains("cut off"),
        "nothing is under way: {}",
        finished.stderr
    );
    assert!(
        finished
            .records()
            .iter()
            .all(|record| record["outcome"] == "cancelled")
    );
    drop(stay);
}
