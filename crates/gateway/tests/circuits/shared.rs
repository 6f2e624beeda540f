//! Circuits that several deployments share: their key, their endpoint.

use std::net::TcpListener;

use crate::support::{Gateway, Setup, config, deployment, sim};
use crate::{calls, field, logged, warnings};

#[tokio::test]
async fn a_rejected_key_rests_every_deployment_that_uses_it() {
    let sim = sim().await;
    let deployments = [
        deployment("smart", "openai/gpt-4o")
            .id("one")
            .param("api_key: sk-bad"),
        deployment("smart", "openai/gpt-4.1")
            .id("same-key")
            .param("api_key: sk-bad"),
        deployment("smart", "openai/gpt-4o-mini").id("other-key"),
        deployment("elsewhere", "openai/gpt-4.1")
            .id("same-key-too")
            .param("api_key: sk-bad"),
        deployment("elsewhere", "anthropic/claude-sonnet-4-6").id("other-provider"),
    ];
    let gateway = Gateway::start(&sim, &config(&deployments, "")).await;
    for (group, by) in [
        ("smart", "other-key"),
        ("smart", "other-key"),
        ("elsewhere", "other-provider"),
    ] {
        let response = gateway.ask(group, false).await;
        assert_eq!(
            response.header("x-backstop-deployment"),
            by,
            "{}",
            response.text()
        );
    }
    assert_eq!([calls(&sim, "gpt-4o+"), calls(&sim, "gpt-4.1")], [0, 0]);
    let rejected = sim
        .journal()
        .entries()
        .iter()
        .filter(|entry| !entry.key_ok)
        .count();
    assert_eq!(rejected, 1, "one rejection is enough for all of them");

    let opened = logged(&gateway, "circuit opened", "one (credential)").await;
    assert!(
        opened.contains(" cause=credential rejected (status 401) "),
        "{opened}"
    );
    assert_eq!(field(&opened, "kind"), "auth");
    assert!(!field(&opened, "until").is_empty());
    let finished = gateway.stop().await;
    assert_eq!(
        warnings(&finished.stderr),
        [opened],
        "a rejected key is one line"
    );
    assert!(!finished.stderr.contains("sk-bad"));
    let record = &finished.records()[0];
    assert_eq!(record["skipped"][0]["deployment"], "same-key");
}

#[tokio::test]
async fn a_dead_endpoint_rests_every_deployment_behind_it() {
    let sim = sim().await;
    // Bound, and never listened at once it is dropped.
    let dead = TcpListener::bind("127.0.0.1:0")
        .expect("a free port")
        .local_addr()
        .expect("bound");
    let base = format!("api_base: http://{dead}/v1");
    let deployments = [
        deployment("smart", "openai/gpt-4o")
            .id("one")
            .param(&base)
            .param("api_key: sk-one"),
        deployment("smart", "openai/gpt-4.1")
            .id("same-endpoint")
            .param(&base)
            .param("api_key: sk-two"),
        deployment("smart", "anthropic/claude-sonnet-4-6").id("elsewhere"),
    ];
    let settings = "router_settings: {allowed_fails: 0, num_retries: 0}";
    let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
    let response = gateway.ask("smart", false).await;
    assert_eq!(response.header("x-backstop-deployment"), "elsewhere");
    let record = gateway.record(response.request_id()).await;
    assert_eq!(record["attempts"][0]["deployment"], "one");
    assert_eq!(record["attempts"][0]["result"], "network");
    assert_eq!(record["attempt_count"], 2);
    assert_eq!(record["skipped"][0]["deployment"], "same-endpoint");
    let opened = logged(&gateway, "circuit opened", "one (endpoint)").await;
    let finished = gateway.stop().await;
    assert_eq!(warnings(&finished.stderr), [opened]);
}

#[tokio::test]
async fn a_failing_model_rests_alone() {
    let sim = sim().await;
    let deployments = [
        deployment("smart", "openai/gpt-4o+500").id("failing"),
        deployment("smart", "openai/gpt-4.1").id("same-key-and-endpoint"),
    ];
    let settings = "router_settings: {allowed_fails: 0}";
    let gateway = Gateway::start(&sim, &config(&deployments, settings)).await;
    for _ in 0..3 {
        let response = gateway.ask("smart", false).await;
        assert_eq!(
            response.header("x-backstop-deployment"),
            "same-key-and-endpoint"
        );
    }
    assert_eq!((calls(&sim, "gpt-4o"), calls(&sim, "gpt-4.1")), (1, 3));
    logged(&gateway, "circuit opened", "failing").await;
}

#[tokio::test]
async fn a_new_key_resets_what_the_old_one_opened() {
    let sim = sim().await;
    let with_key = |model: &str, id: &str| {
        deployment("smart", model)
            .id(id)
            .param("api_key: 'file:key'")
    };
    for deployments in [
        vec![with_key("openai/gpt-4o", "one")],
        vec![
            with_key("openai/gpt-4o", "one"),
            with_key("openai/gpt-4.1", "two"),
        ],
    ] {
        let circuit = if deployments.len() == 1 {
            "one"
        } else {
            "one (credential)"
        };
        let second = deployment("smart", "anthropic/claude-sonnet-4-6").id("second");
        let config = config(&[deployments, vec![second]].concat(), "");
        let gateway = Setup::serve(&config)
            .before(&sim)
            .file("key", "sk-bad")
            .start()
            .await;
        for _ in 0..2 {
            assert_eq!(
                gateway
                    .ask("smart", false)
                    .await
                    .header("x-backstop-deployment"),
                "second"
            );
        }
        let opened = logged(&gateway, "circuit opened", circuit).await;

        std::fs::write(gateway.path("key"), "sk-better").expect("writable");
        gateway.logged(&["configuration reloaded"]).await;
        let closed = logged(&gateway, "circuit closed", circuit).await;
        assert_eq!(field(&closed, "kind"), "auth");
        assert_eq!(
            gateway
                .ask("smart", false)
                .await
                .header("x-backstop-deployment"),
            "one"
        );
        let finished = gateway.stop().await;
        assert_eq!(warnings(&finished.stderr), [opened, closed]);
    }
    let rejected = sim
        .journal()
        .entries()
        .iter()
        .filter(|entry| !entry.key_ok)
        .count();
    assert_eq!(rejected, 2, "one for each gateway");
}
