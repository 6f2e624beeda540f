//! Prompts that are too long for some.

use backstop_sim::Provider;
use serde_json::json;

use crate::books::priced;
use crate::support::{Deployment, Gateway, Response, config, deployment, post, sim};
use crate::{asked, each, fault};

/// Windows of 128 000, 200 000 and a million tokens, as the catalogue has them.
fn ladder() -> [Deployment; 3] {
    [
        ("small", "openai/gpt-4o"),
        ("middle", "anthropic/claude-haiku-4-5"),
        ("large", "anthropic/claude-sonnet-4-6"),
    ]
    .map(|(id, model)| deployment("smart", model).id(id))
}

/// A prompt of so many tokens, which are words.
async fn ask(gateway: &Gateway, model: &str, tokens: usize, max: u64) -> Response {
    let body = json!({
        "model": model,
        "max_tokens": max,
        "messages": [{"role": "user", "content": " word".repeat(tokens)}],
    });
    gateway.send(post(body.to_string())).await
}

#[tokio::test]
async fn a_long_prompt_makes_one_call_to_the_first_that_has_room() {
    let sim = sim().await;
    let gateway = Gateway::start(&sim, &config(&ladder(), "")).await;
    for (tokens, max, served, skipped) in [
        (100_000, 1_000, "small", &[][..]),
        (150_000, 1_000, "middle", &["small"][..]),
        (250_000, 1_000, "large", &["small", "middle"]),
        // The answer needs room, too.
        (120_000, 16_000, "middle", &["small"]),
    ] {
        sim.journal().clear();
        let response = ask(&gateway, "smart", tokens, max).await;
        assert_eq!(
            response.header("x-backstop-deployment"),
            served,
            "{}",
            response.text()
        );
        assert_eq!(response.header("x-backstop-attempts"), "1");
        assert_eq!(asked(&sim).len(), 1, "{tokens}");
        let record = gateway.record(response.request_id()).await;
        assert_eq!(each(&record, "skipped", "deployment"), skipped);
        for (row, reason) in record["skipped"]
            .as_array()
            .expect("a list")
            .iter()
            .zip(each(&record, "skipped", "reason"))
        {
            assert_eq!(reason, "window");
            let detail = row["detail"].as_str().expect("why");
            assert!(
                detail.starts_with("at least 1") || detail.starts_with("at least 2"),
                "{detail}"
            );
            assert!(detail.contains(" in a window of "), "{detail}");
        }
    }
}

#[tokio::test]
async fn a_prompt_that_fits_nobody_is_400_and_says_why() {
    let sim = sim().await;
    let deployments = [
        deployment("alone", "openai/gpt-4o"),
        deployment("both", "openai/gpt-4o").id("one"),
        deployment("both", "anthropic/claude-haiku-4-5").id("two"),
    ];
    let gateway = Gateway::start(&sim, &config(&deployments, "")).await;
    for (model, whats) in [
        ("alone", &["a window of 128000"][..]),
        ("both", &["a window of 128000", "a window of 200000"]),
    ] {
        let response = ask(&gateway, model, 250_000, 10).await;
        assert_eq!(response.status, 400, "{}", response.text());
        assert_eq!(response.code(), "context_length_exceeded");
        assert_eq!(response.header("x-should-retry"), "false");
        let error = response.json();
        let message = error["error"]["message"].as_str().expect("text");
        for what in whats {
            assert!(message.contains(what), "{message}");
        }
        let record = gateway.record(response.request_id()).await;
        assert_eq!(record["outcome"], "client_error");
    }
    assert_eq!(asked(&sim).len(), 0);
}

#[tokio::test]
async fn a_provider_that_finds_it_too_long_is_followed_by_larger_ones_only() {
    let sim = sim().await;
    let chain = |group: &str| {
        [
            ("first", "openai/gpt-4o"),
            // As small as that one, and smaller.
            ("same", "openai/gpt-4-turbo"),
            ("smaller", "openai/gpt-4"),
            ("larger", "anthropic/claude-haiku-4-5"),
        ]
        .map(|(id, model)| deployment(group, model).id(&format!("{group}/{id}")))
    };
    let gateway = Gateway::start(&sim, &config(&chain("smart"), "")).await;
    fault(&sim, Provider::OpenAi, "gpt-4o", "context");
    let response = ask(&gateway, "smart", 5, 10).await;
    assert_eq!(response.header("x-backstop-deployment"), "smart/larger");
    assert_eq!(asked(&sim), ["gpt-4o", "claude-haiku-4-5"]);
    let record = gateway.record(response.request_id()).await;
    assert_eq!(
        each(&record, "attempts", "result"),
        ["context_window", "ok"]
    );
    assert_eq!(
        each(&record, "skipped", "deployment"),
        ["smart/same", "smart/smaller"]
    );
    assert_eq!(each(&record, "skipped", "reason"), ["window", "window"]);

    // Nobody is larger: the caller is told that it is too long, not that all failed.
    sim.journal().clear();
    let three = &chain("smart")[..3];
    let gateway = Gateway::start(&sim, &config(three, "")).await;
    fault(&sim, Provider::OpenAi, "gpt-4o", "context");
    let response = ask(&gateway, "smart", 5, 10).await;
    assert_eq!(response.status, 400, "{}", response.text());
    assert_eq!(response.code(), "context_length_exceeded");
    assert_eq!(asked(&sim), ["gpt-4o"]);
}

#[tokio::test]
async fn model_info_says_more_than_the_catalogue() {
    let sim = sim().await;
    let deployments = [
        deployment("smart", "openai/gpt-4o")
            .id("narrow")
            .info("max_input_tokens: 1000"),
        deployment("smart", "openai/house-model")
            .id("house")
            .info("max_input_tokens: 3000"),
        deployment("smart", "openai/gpt-4")
            .id("wide")
            .info("max_input_tokens: 50000"),
        deployment("brief", "openai/house-model")
            .id("brief")
            .info("max_input_tokens: 3000")
            .info("max_output_tokens: 100"),
    ];
    let gateway = Gateway::start(&sim, &config(&deployments, "")).await;
    for (tokens, served) in [(500, "narrow"), (2_000, "house"), (20_000, "wide")] {
        let response = ask(&gateway, "smart", tokens, 10).await;
        assert_eq!(
            response.header("x-backstop-deployment"),
            served,
            "{}",
            response.text()
        );
    }
    // The answer takes no more room than the model can write.
    let response = ask(&gateway, "brief", 2_800, 2_900).await;
    assert_eq!(response.status, 200, "{}", response.text());
}

#[tokio::test]
async fn what_does_not_fit_costs_nothing() {
    let sim = sim().await;
    let deployments = [priced("smart", "openai/gpt-4o").info("max_input_tokens: 100")];
    let gateway = Gateway::start(&sim, &config(&deployments, crate::books::ROOM)).await;
    let response = ask(&gateway, "smart", 200, 10).await;
    assert_eq!(response.code(), "context_length_exceeded");
    let record = gateway.record(response.request_id()).await;
    crate::books::Books::of(&gateway).enter(&record, &[]).await;
}
