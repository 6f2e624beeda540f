//! When everybody rests: one may look early, the others are told to come back.

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{Client, Gateway, Response, ask, config, sim};
use crate::upstream::Upstream;
use crate::{logged, warnings};

const RESTING: &str = "router_settings: {allowed_fails: 0, num_retries: 0}";

fn assert_refused(response: &Response, code: &str) {
    assert_eq!(
        (response.status.as_u16(), &*response.code()),
        (503, code),
        "{}",
        response.text()
    );
    assert!(
        response.headers.contains_key("retry-after"),
        "{:?}",
        response.headers
    );
    assert_eq!(response.header("x-backstop-attempts"), "0");
}

/// Fails every call that comes while `asking` is under way, and counts them.
async fn failing<T>(upstream: &mut Upstream, asking: impl Future<Output = T>) -> (T, usize) {
    let mut asking = std::pin::pin!(asking);
    let mut calls = 0;
    loop {
        tokio::select! {
            biased;
            call = upstream.call() => { calls += 1; call.fail(); }
            done = &mut asking => return (done, calls),
        }
    }
}

#[tokio::test]
async fn at_most_one_a_second_asks_a_chain_that_rests() {
    let sim = sim().await;
    for chain in [&["alone"][..], &["first", "other"]] {
        let mut upstream = Upstream::start().await;
        let deployments: Vec<_> = chain
            .iter()
            .map(|id| upstream.deployment("smart", id))
            .collect();
        // Their common endpoint and key did nothing wrong: each deployment has a circuit of its own.
        let gateway = Gateway::start(&sim, &config(&deployments, RESTING)).await;
        let (tripping, calls) = failing(&mut upstream, gateway.ask("smart", false)).await;
        assert_eq!(
            (calls, tripping.header("x-backstop-attempts")),
            (chain.len(), &*chain.len().to_string())
        );

        let code = if chain.len() == 1 {
            "upstream_overloaded"
        } else {
            "all_deployments_failed"
        };
        let begun = Instant::now();
        let mut client = Client::connect(gateway.addr()).await;
        let asking = async {
            let mut asked = 0;
            for _ in 0..50 {
                let response = client.send(ask("smart", false)).await;
                match response.header("x-backstop-attempts") {
                    "0" => assert_refused(&response, code),
                    _ => asked += 1,
                }
            }
            asked
        };
        let (asked, calls) = failing(&mut upstream, asking).await;
        let seconds = Instant::now().saturating_duration_since(begun).as_secs();
        assert_eq!(calls, asked, "an early request asks one deployment");
        assert!(calls >= 1, "somebody looks whether it is over");
        assert!(
            calls as u64 <= chain.len() as u64 * (1 + seconds),
            "{calls} in {seconds} s"
        );
        let opened = warnings(&gateway.log()).len();
        assert_eq!(
            opened,
            chain.len(),
            "a last resort that fails opens nothing anew: {}",
            gateway.log()
        );
    }
}

#[tokio::test]
async fn one_at_a_time_asks_and_its_success_is_everybodys() {
    let sim = sim().await;
    let mut upstream = Upstream::start().await;
    let gateway = Gateway::start(
        &sim,
        &config(&[upstream.deployment("smart", "alone")], RESTING),
    )
    .await;
    let (response, _) = failing(&mut upstream, gateway.ask("smart", false)).await;
    assert_eq!(
        (response.status.as_u16(), &*response.code()),
        (502, "upstream_error")
    );
    logged(&gateway, "circuit opened", "alone").await;

    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let mut client = Client::connect(gateway.addr()).await;
        requests.spawn(async move { client.send(ask("smart", false)).await });
    }
    let early = upstream.call().await;
    for _ in 0..49 {
        assert_refused(
            &requests.join_next().await.expect("50").expect("no panic"),
            "upstream_overloaded",
        );
    }
    assert!(upstream.is_quiet(), "exactly one");
    early.succeed();
    assert_eq!(
        requests
            .join_next()
            .await
            .expect("50")
            .expect("no panic")
            .status,
        200
    );
    logged(&gateway, "circuit closed", "alone").await;
}
