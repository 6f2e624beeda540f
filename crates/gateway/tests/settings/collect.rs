//! `collect_streams`: callers that want no stream have a stream's timeouts and failover.

use serde_json::{Value, json};

use crate::support::{Deployment, Gateway, ask, config, deployment, post, sim};
use crate::{calls, each};

const COLLECT: &str = "collect_streams: true";

/// One deployment at each provider, `first` with a fault, all with the same text.
fn chain(first: usize, fault: &str) -> [Deployment; 2] {
    let models = [
        "openai/gpt-4o",
        "anthropic/claude-sonnet-4-6",
        "bedrock/anthropic.claude-sonnet-4-6",
    ];
    let second = models[(first + 1) % models.len()];
    [
        deployment("smart", &format!("{}+tokens=12+{fault}", models[first])).id("first"),
        deployment("smart", &format!("{second}+tokens=12")).id("second"),
    ]
}

fn text() -> String {
    backstop_sim::text("m+tokens=12")
}

/// For each model that was asked for, whether it was asked for a stream.
fn streamed(sim: &backstop_sim::Sim) -> Vec<bool> {
    let entries = sim.journal().entries();
    entries.iter().map(|entry| entry.stream).collect()
}

#[tokio::test]
async fn an_answer_that_breaks_in_the_middle_goes_on() {
    for first in 0..3 {
        for fault in ["cut=4", "eof=4", "error=4", "stall=4"] {
            let sim = sim().await;
            let [broken, second] = chain(first, fault);
            let broken = broken.param(COLLECT).param("stream_timeout: 0.1");
            let gateway = Gateway::start(&sim, &config(&[broken, second.param(COLLECT)], "")).await;
            let response = gateway.ask("smart", false).await;
            let what = format!("{fault} at {first}: {}", response.text());
            assert_eq!(response.status, 200, "{what}");
            assert_eq!(
                response.header("content-type"),
                "application/json",
                "{what}"
            );
            assert_eq!(response.header("x-backstop-deployment"), "second", "{what}");
            assert_eq!(response.header("x-backstop-attempts"), "2", "{what}");
            let document = response.json();
            assert_eq!(document["object"], "chat.completion", "{what}");
            assert_eq!(
                document["choices"].as_array().map(Vec::len),
                Some(1),
                "{what}"
            );
            let choice = &document["choices"][0];
            assert_eq!(choice["message"]["content"], text(), "{what}");
            assert_eq!(choice["message"]["role"], "assistant", "{what}");
            assert_eq!(choice["finish_reason"], "stop", "{what}");
            assert!(
                document["usage"]["total_tokens"].as_u64() > Some(0),
                "{what}"
            );
            let record = gateway.record(response.request_id()).await;
            assert_eq!(record["stream"], false, "{record}");
            assert_eq!(
                record["resumes"].as_array().map(Vec::len),
                Some(1),
                "{record}"
            );
            assert_eq!(streamed(&sim), [true, true], "{what}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_nobody_goes_on_with_is_an_error_of_its_own_status() {
    let sim = sim().await;
    let alone = "router_settings: {mid_stream: off}";
    for (fault, status, code, kind) in [
        ("cut=4", 502, "upstream_error", "network"),
        ("stall=4", 504, "upstream_timeout", "timeout"),
        ("error=4+429", 429, "rate_limit_exceeded", "rate_limit"),
    ] {
        let [broken, second] = chain(0, fault);
        let broken = broken.param(COLLECT).param("stream_timeout: 0.1");
        let gateway = Gateway::start(&sim, &config(&[broken, second], alone)).await;
        let response = gateway.ask("smart", false).await;
        assert_eq!(response.status, status, "{fault}: {}", response.text());
        assert_eq!(response.code(), code, "{fault}");
        assert!(
            !response.text().contains(&text()[..4]),
            "no half of it: {}",
            response.text()
        );
        let record = gateway.record(response.request_id()).await;
        assert_eq!(record["http_status"], status, "{record}");
        assert_eq!(each(&record, "result"), [kind], "{record}");
        assert_eq!(each(&record, "next_action"), ["surface"], "{record}");
    }
}

#[tokio::test]
async fn one_that_cannot_be_gone_on_with_begins_again() {
    let tool = json!({"type": "function", "function": {
        "name": "lookup", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
    }});
    let schema = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {
        "type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a", "b"],
    }}});
    for (more, after) in [
        (json!({"response_format": schema}), 2),
        (json!({"tools": [tool], "tool_choice": "required"}), 2),
    ] {
        for first in 0..3 {
            let sim = sim().await;
            let [broken, second] = chain(first, &format!("cut={after}"));
            let deployments = [broken.param(COLLECT), second.param(COLLECT)];
            let gateway = Gateway::start(&sim, &config(&deployments, "")).await;
            let mut body =
                json!({"model": "smart", "messages": [{"role": "user", "content": "Hello"}]});
            for (name, value) in more.as_object().expect("an object") {
                body[name] = value.clone();
            }
            let response = gateway.send(post(body.to_string())).await;
            let what = format!("{more} at {first}: {}", response.text());
            assert_eq!(response.status, 200, "{what}");
            assert_eq!(response.header("x-backstop-deployment"), "second", "{what}");
            let message = &response.json()["choices"][0]["message"];
            let said = match message["tool_calls"][0]["function"]["arguments"].as_str() {
                Some(arguments) => arguments,
                None => message["content"].as_str().expect("text"),
            };
            serde_json::from_str::<Value>(said).expect("one document, and whole");
            let record = gateway.record(response.request_id()).await;
            assert_eq!(each(&record, "next_action"), ["resume", "done"], "{record}");
        }
    }
}

#[tokio::test]
async fn each_deployment_is_asked_as_it_says() {
    let sim = sim().await;
    let [broken, second] = chain(0, "500");
    let deployments = [broken.param(COLLECT), second];
    let gateway = Gateway::start(
        &sim,
        &config(&deployments, "router_settings: {num_retries: 0}"),
    )
    .await;
    let response = gateway.ask("smart", false).await;
    assert_eq!(response.header("x-backstop-deployment"), "second");
    assert_eq!(response.said(), text());
    assert_eq!(streamed(&sim), [true, false]);

    // A stream that the caller asked for is one everywhere, and a deployment that does not collect is asked for none.
    sim.journal().clear();
    assert_eq!(gateway.ask("smart", true).await.answer().text, text());
    assert_eq!(streamed(&sim), [true, true]);
    sim.journal().clear();
    let gateway = Gateway::start(&sim, &config(&chain(0, "cut=4"), "")).await;
    assert_eq!(gateway.ask("smart", false).await.said(), text());
    assert!(streamed(&sim).iter().all(|streamed| !streamed));
}

#[tokio::test]
async fn an_answer_may_take_as_long_as_it_flows() {
    let sim = sim().await;
    for (collects, served) in [("true", "first"), ("false", "second")] {
        let [slow, second] = chain(0, "slow=40");
        let slow = slow
            .param(&format!("collect_streams: {collects}"))
            .param("timeout: 0.3")
            .param("stream_timeout: 0.3");
        let gateway = Gateway::start(&sim, &config(&[slow, second], "")).await;
        let response = gateway.ask("smart", false).await;
        assert_eq!(response.header("x-backstop-deployment"), served);
        assert_eq!(response.said(), text());
    }
}

#[tokio::test]
async fn tool_calls_come_whole() {
    let sim = sim().await;
    let tool = json!({"type": "function", "function": {
        "name": "lookup", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
    }});
    let messages = json!([{"role": "user", "content": "Hello"}]);
    let request = |model: &str| {
        let body = json!({"model": model, "messages": messages, "tools": [tool], "tool_choice": "required"});
        post(body.to_string())
    };
    for model in [
        "openai/gpt-4o",
        "anthropic/claude-sonnet-4-6",
        "bedrock/anthropic.claude-sonnet-4-6",
    ] {
        let collected = deployment("collected", model).param(COLLECT);
        let plain = deployment("plain", model).id("plain");
        let gateway = Gateway::start(&sim, &config(&[collected, plain], "")).await;
        let mut answers = Vec::new();
        for group in ["collected", "plain"] {
            let response = gateway.send(request(group)).await;
            let mut choice = response.json()["choices"][0].clone();
            let calls = choice["message"]["tool_calls"]
                .as_array_mut()
                .expect("calls");
            for call in calls {
                assert!(call["id"].is_string(), "{model}");
                call["id"] = Value::Null;
            }
            // OpenAI's documents say that there are none; its streams do not.
            let message = choice["message"].as_object_mut().expect("a message");
            message.remove("annotations");
            answers.push(choice);
        }
        assert_eq!(answers[0], answers[1], "{model}");
    }
}

#[tokio::test]
async fn check_says_what_is_collected() {
    let [first, second] = chain(0, "tokens=12");
    let config = config(&[first.param(COLLECT), second], "");
    let sim = sim().await;
    let checked = crate::support::Setup::new(&["check", "--config", "backstop.yaml"])
        .before(&sim)
        .file("backstop.yaml", &config)
        .run()
        .await;
    let lines = |id: &str| {
        checked
            .stdout
            .lines()
            .find(|line| line.contains(id))
            .map(|line| line.contains("collects streams"))
    };
    assert_eq!(
        (lines("first"), lines("second")),
        (Some(true), Some(false)),
        "{}",
        checked.stdout
    );
}

#[tokio::test]
async fn a_model_may_keep_its_streams_as_they_are() {
    let sim = sim().await;
    let broken = |group: &str| deployment(group, "openai/gpt-4o+tokens=12+cut=4").id(group);
    let second = |group: &str| {
        deployment(group, "anthropic/claude-sonnet-4-6+tokens=12").id(&format!("{group}-2"))
    };
    let deployments = [
        broken("goes-on"),
        second("goes-on"),
        broken("exact").param("mid_stream: {prompt: false}"),
        second("exact"),
        broken("never").param("mid_stream: off"),
        second("never"),
    ];
    let gateway = Gateway::start(
        &sim,
        &config(&deployments, "router_settings: {cooldown_time: 0}"),
    )
    .await;
    assert_eq!(gateway.ask("goes-on", true).await.answer().text, text());
    // The second is a model without prefill: it could go on only by a prompt.
    for model in ["exact", "never"] {
        let answer = gateway.ask(model, true).await.answer();
        assert_eq!(
            answer.error.expect("an error")["code"],
            "upstream_error",
            "{model}"
        );
    }
    let refused = gateway.send(ask("never", true)).await;
    let record = gateway.record(refused.request_id()).await;
    assert_eq!(each(&record, "result"), ["network"], "{record}");
    assert!(calls(&sim, "claude") >= 1);
}
