//! Requests that not every model can serve.

use serde_json::{Value, json};

use crate::support::{Deployment, Gateway, config, deployment, sim};
use crate::{asked, each, question};

fn tool() -> Value {
    json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}])
}

fn saying(part: &Value) -> Value {
    json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, part]}]})
}

/// A dot in PNG.
const IMAGE: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// The key of `model_info`, what a request needs that it is about, and what is said of a model without it.
fn needs() -> [(&'static str, Value, &'static str); 9] {
    let schema =
        json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}});
    let history = json!([
        {"role": "user", "content": "Look"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "seen"},
    ]);
    [
        (
            "supports_function_calling",
            json!({"tools": tool()}),
            "it calls no tools",
        ),
        (
            "supports_function_calling",
            json!({"messages": history, "tools": tool()}),
            "it calls no tools",
        ),
        (
            "supports_parallel_function_calling",
            json!({"tools": tool(), "parallel_tool_calls": true}),
            "it calls one tool at a time",
        ),
        (
            "supports_vision",
            saying(&json!({"type": "image_url", "image_url": {"url": IMAGE}})),
            "it sees no images",
        ),
        (
            "supports_audio_input",
            saying(
                &json!({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}),
            ),
            "it hears no audio",
        ),
        (
            "supports_audio_output",
            json!({"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}),
            "it does not speak",
        ),
        (
            "supports_pdf_input",
            saying(
                &json!({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}}),
            ),
            "it reads no files",
        ),
        (
            "supports_response_schema",
            json!({"response_format": schema}),
            "it follows no JSON schema",
        ),
        (
            "supports_reasoning",
            json!({"reasoning_effort": "low"}),
            "it does not reason",
        ),
    ]
}

/// For each need: a model without it before one with it, one without it alone, and two without it.
fn deployments() -> Vec<Deployment> {
    let one = |(place, (key, ..)): (usize, (&str, Value, &str))| {
        let model = |group: &str, id: &str, able: bool| {
            let group = format!("{group}-{place}");
            let name = if able { "openai/able" } else { "openai/unable" };
            deployment(&group, name)
                .id(&format!("{group}/{id}"))
                .info(&format!("{key}: {able}"))
        };
        [
            model("chain", "without", false),
            model("chain", "with", true),
            model("alone", "without", false),
            model("none", "one", false),
            model("none", "two", false),
        ]
    };
    needs().into_iter().enumerate().flat_map(one).collect()
}

#[tokio::test]
async fn a_model_that_lacks_what_a_request_needs_is_not_asked() {
    let sim = sim().await;
    let gateway = Gateway::start(&sim, &config(&deployments(), "")).await;
    for (place, (key, body, lacks)) in needs().into_iter().enumerate() {
        sim.journal().clear();
        let model = format!("chain-{place}");
        let response = gateway.send(question(&model, &body)).await;
        let record = gateway.record(response.request_id()).await;
        // The simulator need not like it: it was asked, and by the right one.
        assert_eq!(
            each(&record, "attempts", "deployment"),
            [format!("{model}/with")],
            "{key}"
        );
        assert_eq!(asked(&sim), ["able"], "{key}");
        assert_eq!(
            each(&record, "skipped", "deployment"),
            [format!("{model}/without")],
            "{key}"
        );
        assert_eq!(each(&record, "skipped", "reason"), ["capability"], "{key}");
        assert_eq!(each(&record, "skipped", "detail"), [lacks], "{key}");

        sim.journal().clear();
        for model in ["alone", "none"] {
            let response = gateway
                .send(question(&format!("{model}-{place}"), &body))
                .await;
            assert_eq!(response.status, 400, "{key}: {}", response.text());
            assert_eq!(response.code(), "no_capable_deployment", "{key}");
            let error = response.json();
            let message = error["error"]["message"].as_str().expect("text");
            assert!(message.ends_with(lacks), "{message}");
        }
        assert_eq!(asked(&sim).len(), 0, "{key}");
    }
    // What needs nothing passes.
    let plain = gateway.ask("alone-0", false).await;
    assert_eq!(plain.status, 200, "{}", plain.text());
}

#[tokio::test]
async fn a_vision_request_skips_the_text_models_of_the_catalogue() {
    let sim = sim().await;
    let deployments = [
        deployment("smart", "openai/o3-mini").id("text"),
        deployment("smart", "anthropic/claude-sonnet-4-6").id("seeing"),
    ];
    let gateway = Gateway::start(&sim, &config(&deployments, "")).await;
    let image = saying(&json!({"type": "image_url", "image_url": {"url": IMAGE}}));
    let response = gateway.send(question("smart", &image)).await;
    assert_eq!(
        response.header("x-backstop-deployment"),
        "seeing",
        "{}",
        response.text()
    );
    let record = gateway.record(response.request_id()).await;
    assert_eq!(each(&record, "skipped", "deployment"), ["text"]);
    assert_eq!(asked(&sim), ["claude-sonnet-4-6"]);
}

#[tokio::test]
async fn what_is_not_known_is_not_held_against_a_model() {
    let sim = sim().await;
    let deployments = [deployment("smart", "openai/house-model")];
    let gateway = Gateway::start(&sim, &config(&deployments, "")).await;
    let image = saying(&json!({"type": "image_url", "image_url": {"url": IMAGE}}));
    let response = gateway.send(question("smart", &image)).await;
    assert_eq!(response.status, 200, "{}", response.text());
}
