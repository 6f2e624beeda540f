//! Opening, probing, closing.

use backstop_sim::{Outage, Provider};
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::support::{Client, Deployment, Gateway, Response, ask, config, deployment, sim, within};
use crate::upstream::Upstream;
use crate::{calls, field, logged, until, warnings};

/// Opens at the first failure, for a moment.
const NERVOUS: &str = "router_settings: {allowed_fails: 0, cooldown_time: 0.2, num_retries: 0}";

fn second() -> Deployment {
    deployment("smart", "anthropic/claude-sonnet-4-6").id("second")
}

/// A gateway whose primary has just failed once, and the line that says until when it rests.
async fn tripped(upstream: &mut Upstream, sim: &backstop_sim::Sim) -> (Gateway, String) {
    let gateway = Gateway::start(
        sim,
        &config(
            &[upstream.deployment("smart", "primary"), second()],
            NERVOUS,
        ),
    )
    .await;
    let fail = async { upstream.call().await.fail() };
    let (response, ()) = tokio::join!(gateway.ask("smart", false), fail);
    assert_eq!(served_by(&response), "second");
    let opened = logged(&gateway, "circuit opened", "primary").await;
    (gateway, opened)
}

fn served_by(response: &Response) -> &str {
    assert_eq!(response.status, 200, "{}", response.text());
    response.header("x-backstop-deployment")
}

/// Sends `n` requests at the same time, each on a connection that stands already.
async fn together(gateway: &Gateway, n: usize) -> JoinSet<Response> {
    let mut clients = Vec::new();
    for _ in 0..n {
        clients.push(Client::connect(gateway.addr()).await);
    }
    let sends = clients
        .into_iter()
        .map(|mut client| async move { client.send(ask("smart", false)).await });
    sends.collect()
}

#[tokio::test]
async fn enough_failures_skip_a_deployment_until_a_probe_brings_it_back() {
    let sim = sim().await;
    let deployments = [deployment("smart", "openai/gpt-4o").id("primary"), second()];
    let settings = "router_settings: {allowed_fails: 2, cooldown_time: 1}";
    let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
    sim.faults()
        .begin(Outage::new(Provider::OpenAi, "500").expect("a fault"));
    for failures in 1..=3 {
        assert_eq!(served_by(&gateway.ask("smart", false).await), "second");
        assert_eq!(calls(&sim, "gpt-4o"), failures);
    }
    let response = gateway.ask("smart", true).await;
    assert_eq!(served_by(&response), "second");
    assert_eq!(calls(&sim, "gpt-4o"), 3, "skipped without a call");
    assert_eq!(response.header("x-backstop-attempts"), "1");
    assert_eq!(response.header("x-backstop-fallbacks"), "1");
    let record = gateway.record(response.request_id()).await;
    let skipped = &record["skipped"][0];
    assert_eq!(
        (&skipped["deployment"], &skipped["reason"]),
        (&"primary".into(), &"cooling".into())
    );
    assert_eq!(skipped["detail"], "server_error");

    sim.faults().clear();
    let opened = logged(&gateway, "circuit opened", "primary").await;
    until(&opened).await;
    assert_eq!(
        served_by(&gateway.ask("smart", false).await),
        "primary",
        "the probe is a request like any other"
    );
    logged(&gateway, "circuit closed", "primary").await;
    assert_eq!(served_by(&gateway.ask("smart", false).await), "primary");
    assert_eq!(calls(&sim, "gpt-4o"), 5);
}

#[tokio::test]
async fn two_hundred_requests_make_one_probe() {
    let sim = sim().await;
    let mut upstream = Upstream::start().await;
    let (gateway, opened) = tripped(&mut upstream, &sim).await;
    until(&opened).await;

    let mut requests = together(&gateway, 200).await;
    let probe = upstream.call().await;
    for _ in 0..199 {
        let response = requests.join_next().await.expect("200").expect("no panic");
        assert_eq!(
            served_by(&response),
            "second",
            "while the probe is held open"
        );
    }
    assert!(upstream.is_quiet(), "exactly one");
    probe.succeed();
    let response = requests.join_next().await.expect("200").expect("no panic");
    assert_eq!(served_by(&response), "primary");
    logged(&gateway, "circuit closed", "primary").await;

    let succeed = async { upstream.call().await.succeed() };
    let (response, ()) = tokio::join!(gateway.ask("smart", false), succeed);
    assert_eq!(served_by(&response), "primary", "it has returned");
}

#[tokio::test]
async fn a_probe_that_fails_rests_the_deployment_for_longer() {
    let sim = sim().await;
    let mut upstream = Upstream::start().await;
    let (gateway, opened) = tripped(&mut upstream, &sim).await;
    until(&opened).await;
    let fail = async { upstream.call().await.fail() };
    let (response, ()) = tokio::join!(gateway.ask("smart", false), fail);
    assert_eq!(served_by(&response), "second");
    let reopened = async {
        loop {
            let log = gateway.log();
            if let [_, reopened] = warnings(&log)[..] {
                break reopened.to_owned();
            }
            tokio::task::yield_now().await;
        }
    };
    let reopened = within("another line", reopened).await;
    assert!(reopened.contains("circuit opened"), "{reopened}");
    let rest = |line: &str| {
        let (logged, _) = line.split_once(' ').expect("when it was logged");
        let logged: Timestamp = logged.parse().expect("a moment");
        let until: Timestamp = field(line, "until").parse().expect("a moment");
        until.duration_since(logged).as_millis()
    };
    // 200 ms and up to a fifth of jitter, and twice as much; when they are logged they have just begun.
    assert!(
        rest(&opened) <= 240 && rest(&reopened) > 240,
        "{opened} then {reopened}"
    );
    until(&reopened).await;
    let succeed = async { upstream.call().await.succeed() };
    let (response, ()) = tokio::join!(gateway.ask("smart", false), succeed);
    assert_eq!(served_by(&response), "primary");
}

#[tokio::test]
async fn a_dropped_probe_leads_to_exactly_one_new_one() {
    let sim = sim().await;
    let mut upstream = Upstream::start().await;
    let (gateway, opened) = tripped(&mut upstream, &sim).await;
    until(&opened).await;

    let mut client = Client::connect(gateway.addr()).await;
    let answer = client.begin(ask("smart", false)).await;
    let probe = upstream.call().await;
    assert_eq!(
        served_by(&gateway.ask("smart", false).await),
        "second",
        "its place is taken"
    );
    drop((answer, client));
    probe.gone().await;
    let records = gateway.records(3).await;
    assert_eq!(records[2]["outcome"], "cancelled", "{records:?}");

    let mut requests = together(&gateway, 20).await;
    let probe = upstream.call().await;
    for _ in 0..19 {
        let response = requests.join_next().await.expect("20").expect("no panic");
        assert_eq!(served_by(&response), "second");
    }
    assert!(upstream.is_quiet(), "exactly one");
    probe.succeed();
    let response = requests.join_next().await.expect("20").expect("no panic");
    assert_eq!(served_by(&response), "primary");
    logged(&gateway, "circuit closed", "primary").await;
    assert_eq!(
        warnings(&gateway.log()).len(),
        2,
        "a dropped probe is no news: {}",
        gateway.log()
    );
}

#[tokio::test]
async fn stragglers_from_before_the_trip_change_nothing() {
    let sim = sim().await;
    let mut upstream = Upstream::start().await;
    let gateway = Gateway::start(
        &sim,
        &config(
            &[upstream.deployment("smart", "primary"), second()],
            NERVOUS,
        ),
    )
    .await;

    let mut early = JoinSet::new();
    let mut calls = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(gateway.addr()).await;
        early.spawn(async move { client.send(ask("smart", false)).await });
        calls.push(upstream.call().await);
    }
    calls.pop().expect("four").fail();
    let opened = logged(&gateway, "circuit opened", "primary").await;
    assert_eq!(
        served_by(&early.join_next().await.expect("four").expect("no panic")),
        "second"
    );

    // Open: a failure does not open it again, a success does not close it.
    calls.pop().expect("three").fail();
    assert_eq!(
        served_by(&early.join_next().await.expect("three").expect("no panic")),
        "second"
    );
    calls.pop().expect("two").succeed();
    assert_eq!(
        served_by(&early.join_next().await.expect("two").expect("no panic")),
        "primary"
    );

    // Probing: the probe alone decides.
    until(&opened).await;
    let mut client = Client::connect(gateway.addr()).await;
    let probing = tokio::spawn(async move { client.send(ask("smart", false)).await });
    let probe = upstream.call().await;
    calls.pop().expect("one").succeed();
    assert_eq!(
        served_by(&early.join_next().await.expect("one").expect("no panic")),
        "primary"
    );
    assert_eq!(
        served_by(&gateway.ask("smart", false).await),
        "second",
        "still probing"
    );
    assert!(upstream.is_quiet());
    assert_eq!(warnings(&gateway.log()), [opened.as_str()]);

    probe.succeed();
    assert_eq!(served_by(&probing.await.expect("no panic")), "primary");
    logged(&gateway, "circuit closed", "primary").await;
}

#[tokio::test]
async fn each_opening_and_closing_is_one_line_with_deployment_cause_and_until() {
    let sim = sim().await;
    let mut upstream = Upstream::start().await;
    let (gateway, opened) = tripped(&mut upstream, &sim).await;
    until(&opened).await;
    let succeed = async { upstream.call().await.succeed() };
    let (response, ()) = tokio::join!(gateway.ask("smart", false), succeed);
    assert_eq!(served_by(&response), "primary");
    let closed = logged(&gateway, "circuit closed", "primary").await;
    for line in [&opened, &closed] {
        assert_eq!(field(line, "deployment"), "primary");
        assert!(line.contains(" cause=server error (status 500) "), "{line}");
        assert_eq!(field(line, "kind"), "server_error");
    }
    assert!(field(&closed, "until") >= field(&opened, "until"));
    let finished = gateway.stop().await;
    assert_eq!(warnings(&finished.stderr), [opened, closed]);
}
