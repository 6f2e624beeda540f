//! Who is asked, in which order.

use std::collections::BTreeMap;

use backstop_sim::{Outage, Progress, Provider};

use crate::support::{Client, Gateway, ask, config, deployment, sim, within};
use crate::{calls, each, served};

#[tokio::test]
async fn fallbacks_name_groups_and_deployments() {
    let sim = sim().await;
    let deployments = [
        deployment("first", "openai/gpt-4o+500"),
        deployment("backup", "openai/gpt-4.1+500"),
        deployment("backup", "anthropic/claude-haiku-4-5+500"),
        deployment("elsewhere", "anthropic/claude-sonnet-4-6"),
    ];
    let settings = r#"
router_settings:
  num_retries: 0
  fallbacks:
    - first: [backup]
    - "anthropic/claude-haiku-4-5+500": ["anthropic/claude-sonnet-4-6"]
"#;
    let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
    let response = gateway.ask("first", false).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("x-backstop-fallbacks"), "3");
    let record = gateway.record(response.request_id()).await;
    assert_eq!(
        each(&record, "deployment"),
        [
            "openai/gpt-4o+500",
            "openai/gpt-4.1+500",
            "anthropic/claude-haiku-4-5+500",
            "anthropic/claude-sonnet-4-6"
        ]
    );
    assert_eq!(record["requested_model"], "first");

    let gateway = Gateway::start(
        &sim,
        &config(&deployments, "router_settings: {num_retries: 0}"),
    )
    .await;
    let response = gateway.ask("first", false).await;
    assert_eq!(
        (response.status.as_u16(), &*response.code()),
        (502, "upstream_error"),
        "nobody else without them"
    );
}

#[tokio::test]
async fn fallbacks_order_the_deployments_of_one_group() {
    let sim = sim().await;
    let deployments = [
        "bedrock/anthropic.claude-sonnet-4-6",
        "anthropic/claude-sonnet-4-6+500",
        "openai/gpt-4o+500",
    ]
    .map(|model| deployment("smart", model));
    let settings = r#"
router_settings:
  fallbacks:
    - "openai/gpt-4o+500": ["anthropic/claude-sonnet-4-6+500", "bedrock/anthropic.claude-sonnet-4-6"]
"#;
    let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
    let response = gateway.ask("smart", false).await;
    let record = gateway.record(response.request_id()).await;
    assert_eq!(
        each(&record, "provider"),
        ["openai", "anthropic", "bedrock"]
    );
}

#[tokio::test]
async fn default_fallbacks_come_last_for_every_model() {
    let sim = sim().await;
    let deployments = [
        deployment("one", "openai/gpt-4o+500"),
        deployment("two", "openai/gpt-4.1+500"),
        deployment("three", "anthropic/claude-haiku-4-5+500"),
        deployment("backup", "anthropic/claude-sonnet-4-6"),
    ];
    let settings = "
router_settings:
  num_retries: 0
  fallbacks: [{two: [three]}]
  default_fallbacks: [backup]
";
    let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
    for (model, fallbacks) in [("one", "1"), ("two", "2"), ("backup", "0")] {
        let response = gateway.ask(model, false).await;
        assert_eq!(
            response.header("x-backstop-deployment"),
            "anthropic/claude-sonnet-4-6",
            "{model}"
        );
        assert_eq!(
            response.header("x-backstop-fallbacks"),
            fallbacks,
            "{model}"
        );
    }
}

#[tokio::test]
async fn order_decides_before_the_list_does() {
    let sim = sim().await;
    let deployments = [
        deployment("smart", "bedrock/anthropic.claude-sonnet-4-6").param("order: 3"),
        deployment("smart", "openai/gpt-4o+500").param("order: 1"),
        deployment("smart", "anthropic/claude-sonnet-4-6+500").param("order: 2"),
    ];
    for strategy in ["in_order", "simple_shuffle", "least-busy"] {
        let settings = format!("router_settings: {{routing_strategy: {strategy}}}");
        let gateway = Gateway::start(&sim, &config(&deployments, &settings)).await;
        let response = gateway.ask("smart", false).await;
        let record = gateway.record(response.request_id()).await;
        assert_eq!(
            each(&record, "provider"),
            ["openai", "anthropic", "bedrock"],
            "{strategy}"
        );
    }
}

#[tokio::test]
async fn weight_is_a_share_of_the_requests() {
    let sim = sim().await;
    let deployments = [("light", 1), ("heavy", 9), ("never", 0)].map(|(id, weight)| {
        deployment("smart", "openai/gpt-4o")
            .id(id)
            .param(&format!("weight: {weight}"))
    });
    for strategy in ["simple_shuffle", "simple-shuffle"] {
        let settings = format!("router_settings: {{routing_strategy: {strategy}}}");
        let gateway = Gateway::start(&sim, &config(&deployments, &settings)).await;
        let served = served(&gateway, "smart", 200).await;
        assert_eq!(served.get("never"), None);
        // Of 200 draws at nine to one, fewer than 150 or all 200 come once in a thousand million runs; with even
        // weights, 150 come as rarely.
        let heavy = served.get("heavy").copied().unwrap_or_default();
        assert!((150..200).contains(&heavy), "{served:?}");
    }
}

#[tokio::test]
async fn a_weight_of_zero_is_for_when_the_others_have_failed() {
    let sim = sim().await;
    let deployments = [
        deployment("smart", "openai/gpt-4o")
            .id("spare")
            .param("weight: 0"),
        deployment("smart", "anthropic/claude-sonnet-4-6+500").id("usual"),
    ];
    let settings = "router_settings: {routing_strategy: simple_shuffle}";
    let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
    let response = gateway.ask("smart", false).await;
    let record = gateway.record(response.request_id()).await;
    assert_eq!(each(&record, "deployment"), ["usual", "spare"]);
}

#[tokio::test]
async fn in_order_is_the_default_and_takes_the_first_that_is_healthy() {
    let sim = sim().await;
    let deployments = ["a", "b"].map(|id| deployment("smart", "openai/gpt-4o").id(id));
    for settings in ["", "router_settings: {routing_strategy: in_order}"] {
        let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
        assert_eq!(
            served(&gateway, "smart", 5).await,
            BTreeMap::from([("a".to_owned(), 5)])
        );
    }
}

#[tokio::test]
async fn least_busy_asks_whoever_has_the_fewest_requests_in_flight() {
    let sim = sim().await;
    let deployments = ["openai/gpt-4o", "openai/gpt-4.1"].map(|model| deployment("smart", model));
    let settings = "router_settings: {routing_strategy: least_busy}";
    for (stream, fault) in [(false, "hang"), (true, "stall=2")] {
        sim.journal().clear();
        let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
        // Equals take turns.
        assert_eq!(
            served(&gateway, "smart", 4)
                .await
                .values()
                .copied()
                .collect::<Vec<_>>(),
            [2, 2]
        );

        let count = sim.journal().entries().len();
        sim.faults().begin(
            Outage::new(Provider::OpenAi, fault)
                .expect("a fault")
                .times(1),
        );
        let mut client = Client::connect(gateway.addr()).await;
        let held = client.begin(ask("smart", stream)).await;
        let held = if stream {
            // It has begun, and is not over.
            let response = within("the answer's head", held).await.expect("an answer");
            (None, Some(response))
        } else {
            (Some(held), None)
        };
        let arrived = within("the call", sim.journal().wait_for(count + 1, |_| true)).await;
        let busy = arrived[count].model.clone();
        let idle = if busy == "gpt-4o" {
            "gpt-4.1"
        } else {
            "gpt-4o"
        };
        let expected = BTreeMap::from([(format!("openai/{idle}"), 5)]);
        assert_eq!(
            served(&gateway, "smart", 5).await,
            expected,
            "streamed: {stream}"
        );

        drop((held, client));
        let gone = |entry: &backstop_sim::Entry| entry.progress == Progress::ClientGone;
        within("the end of the call", sim.journal().wait_for(1, gone)).await;
        gateway.records(4 + 5 + 1).await;
        assert_eq!(
            served(&gateway, "smart", 4)
                .await
                .values()
                .copied()
                .collect::<Vec<_>>(),
            [2, 2]
        );
        assert_eq!(calls(&sim, "gpt-4"), 4 + 1 + 5 + 4);
    }
}

#[tokio::test]
async fn litellm_settings_say_the_same_in_their_own_section() {
    let sim = sim().await;
    let deployments = [
        deployment("smart", "openai/gpt-4o+hang"),
        deployment("backup", "anthropic/claude-sonnet-4-6+429").param("timeout: 30"),
        deployment("last", "anthropic/claude-haiku-4-5").param("timeout: 30"),
    ];
    let settings = "
litellm_settings:
  num_retries: 1
  request_timeout: 0.1
  fallbacks: [{smart: [backup]}]
  default_fallbacks: [last]
  allowed_fails: 0
  cooldown_time: 60
  drop_params: true
router_settings: {retry_after: 0.001}
";
    let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
    let first = gateway.ask("smart", false).await;
    let record = gateway.record(first.request_id()).await;
    assert_eq!(
        each(&record, "result"),
        ["timeout", "rate_limit", "rate_limit", "ok"]
    );
    let second = gateway.ask("smart", false).await;
    let record = gateway.record(second.request_id()).await;
    assert_eq!(record["skipped"][0]["deployment"], "openai/gpt-4o+hang");
}
