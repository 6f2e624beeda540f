//! Against the simulator, which refuses what Anthropic would and has its own reading of the wire format.

mod support;

use backstop_anthropic::Anthropic;
use backstop_chat::{Body, Chat, Provider};
use backstop_client::Client;
use backstop_core::FailureKind::{self, *};
use backstop_core::{Frame, failure_of};
use backstop_sim::Sim;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::chat;

const MODEL: &str = "claude-sonnet-4-6";

async fn sim() -> Sim {
    Sim::bind("127.0.0.1:0").await.expect("loopback")
}

fn provider(sim: &Sim, model: &str, key: &str) -> Provider<Anthropic, Client> {
    let base = sim.anthropic().parse().expect("a URI");
    let dialect = Anthropic::new(key.into()).model(model).base_url(&base);
    Provider::new(dialect.expect("absolute"), Client::plain_http())
}

/// The chunks of the answer, or how it failed: before it began, or within.
async fn asked(
    sim: &Sim,
    model: &str,
    chat: Chat,
) -> Result<Vec<backstop_chat::Chunk>, FailureKind> {
    let kind = |error: backstop_core::BoxError| failure_of(&*error).expect("classified").kind();
    let answer = provider(sim, model, "key")
        .oneshot(Request::new(chat))
        .await
        .map_err(kind)?;
    let mut body = Body::new(answer.into_body());
    let mut chunks = Vec::new();
    while let Some(frame) = body.frame().await {
        chunks.extend(frame.map_err(kind)?.into_data());
    }
    assert_eq!(chunks.iter().filter(|chunk| chunk.is_terminal()).count(), 1);
    match chunks.iter().find_map(Frame::failure) {
        Some(verdict) => Err(verdict.kind()),
        None => Ok(chunks),
    }
}

/// The text of the answer, or how it failed.
async fn said(sim: &Sim, model: &str, members: Value) -> Result<String, FailureKind> {
    let chunks = asked(sim, model, chat(members)).await?;
    let mut text = String::new();
    for chunk in chunks.iter().filter(|chunk| !chunk.json().is_empty()) {
        let json: Value = serde_json::from_slice(chunk.json()).expect("JSON");
        let choice = &json["choices"][0];
        for said in [&choice["delta"], &choice["message"]] {
            text.push_str(said["content"].as_str().unwrap_or_default());
        }
    }
    Ok(text)
}

#[tokio::test]
async fn the_whole_script_streamed_or_not() {
    let sim = sim().await;
    for oddity in [
        "text=ascii",
        "text=multibyte",
        "text=emoji",
        "text=crlf",
        "nodone",
        "crlf",
        "comments",
        "split",
    ] {
        let model = format!("{MODEL}+{oddity}");
        let whole = backstop_sim::text(&model);
        for stream in [false, true] {
            let said = said(&sim, &model, json!({"stream": stream})).await;
            assert_eq!(said.as_deref(), Ok(&*whole), "{oddity} {stream}");
        }
    }
}

#[tokio::test]
async fn usage_is_known_at_the_end() {
    let sim = sim().await;
    for stream in [false, true] {
        let chunks = asked(&sim, MODEL, chat(json!({"stream": stream})))
            .await
            .expect("an answer");
        let usage = chunks.iter().rev().find_map(Frame::usage).expect("usage");
        assert!(usage.input > 0 && usage.output > 0, "{usage:?}");
        assert_eq!(usage.source, backstop_core::UsageSource::Provider);
    }
}

#[tokio::test]
async fn faults_by_kind() {
    let sim = sim().await;
    for (fault, whole, stream) in [
        ("500", ServerError, ServerError),
        ("503", Overloaded, Overloaded),
        ("529", Overloaded, Overloaded),
        ("504", Timeout, Timeout),
        ("429", RateLimit, RateLimit),
        ("401", Auth, Auth),
        ("403", Permission, Permission),
        ("404", ModelNotFound, ModelNotFound),
        ("400", BadRequest, BadRequest),
        ("quota", QuotaExhausted, QuotaExhausted),
        ("context", ContextWindow, ContextWindow),
        ("filter", ContentFilter, ContentFilter),
        ("filter200", ContentFilter, ContentFilter),
        ("reset", Network, Network),
        ("hugeerror", ServerError, ServerError),
        ("garbage", ServerError, ServerError),
        ("html", ServerError, ServerError),
        ("wrongtype", ServerError, ServerError),
        ("empty", ServerError, Network),
        ("truncated", Network, Network),
        ("cut=5", Network, Network),
        ("eof=5", Network, Network),
        ("error=5", ServerError, Overloaded),
        ("error=5+429", RateLimit, RateLimit),
        ("cutat=30", Network, Network),
    ] {
        let model = format!("{MODEL}+{fault}");
        for (streamed, kind) in [(false, whole), (true, stream)] {
            let failed = said(&sim, &model, json!({"stream": streamed})).await;
            assert_eq!(failed.err(), Some(kind), "{fault} stream={streamed}");
        }
    }
}

#[tokio::test]
async fn a_hint_and_a_key() {
    let sim = sim().await;
    let failed = async |model: &str, key: &str| {
        let error = provider(&sim, model, key)
            .oneshot(Request::new(Chat::user("hi")))
            .await;
        failure_of(&*error.expect_err("a failure"))
            .expect("classified")
            .clone()
    };
    let limited = failed(&format!("{MODEL}+429=7"), "key").await;
    assert_eq!(
        limited.retry_after(),
        Some(std::time::Duration::from_secs(7))
    );
    assert!(limited.request_id().is_some());
    assert_eq!(failed(MODEL, "bad-key").await.kind(), Auth);
}

#[tokio::test]
async fn tools_there_and_back() {
    let sim = sim().await;
    let model = format!("{MODEL}+twotools");
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
    let tools = json!([tool("f"), tool("g")]);
    let chunks = asked(&sim, &model, chat(json!({"tools": tools})))
        .await
        .expect("an answer");
    let answer: Value = serde_json::from_slice(chunks[0].json()).expect("JSON");
    let message = answer["choices"][0]["message"].clone();
    let calls = message["tool_calls"].as_array().expect("calls").clone();
    assert_eq!(calls.len(), 2);
    let streamed = asked(&sim, &model, chat(json!({"tools": tools, "stream": true})))
        .await
        .expect("an answer");
    assert!(streamed.iter().any(|chunk| chunk.meta().tool_call));

    let mut messages = vec![json!({"role": "user", "content": "hi"}), message];
    messages.extend(
        calls
            .iter()
            .map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "done"})),
    );
    // The tools are offered again, or not.
    for members in [
        json!({"messages": messages, "tools": tools}),
        json!({"messages": messages}),
    ] {
        let answer = said(&sim, &model, members).await;
        assert!(
            answer.is_ok_and(|text| !text.is_empty()),
            "the results are understood"
        );
    }
}

#[tokio::test]
async fn nothing_that_a_model_refuses_is_sent() {
    let sim = sim().await;
    let everything = json!({
        "max_tokens": 200, "temperature": 1.5, "top_p": 0.5, "stop": ["ZZZ"], "seed": 1, "user": "u-1",
        "presence_penalty": 1, "frequency_penalty": 1, "logit_bias": {"1": 1}, "logprobs": true, "top_logprobs": 2,
        "parallel_tool_calls": false, "reasoning_effort": "low", "metadata": {"a": "b"}, "service_tier": "auto",
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}],
    });
    for model in [
        "claude-3-5-haiku-latest",
        "claude-opus-4-1",
        "claude-sonnet-4-5",
        "claude-sonnet-4-6",
        "claude-opus-4-7",
        "claude-opus-5",
    ] {
        let answer = said(&sim, model, everything.clone()).await;
        assert!(
            answer.is_ok(),
            "{model}: {answer:?} {:?}",
            sim.journal().entries().last()
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_begun_is_gone_on_from() {
    let sim = sim().await;
    let model = "claude-sonnet-4-5";
    let whole = backstop_sim::text(model);
    let begun = whole[..40].trim_end();
    let messages =
        json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": begun}]);
    let rest = said(&sim, model, json!({"messages": messages, "stream": true})).await;
    assert_eq!(rest.as_deref(), Ok(&whole[begun.len()..]));
}

#[tokio::test]
async fn structured_output_and_forced_tools() {
    let sim = sim().await;
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": true}});
    let answer = said(&sim, MODEL, json!({"response_format": format}))
        .await
        .expect("an answer");
    assert!(serde_json::from_str::<Value>(&answer).expect("JSON")["a"].is_string());
    let tools =
        json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    for choice in [
        json!("required"),
        json!({"type": "function", "function": {"name": "f"}}),
    ] {
        let chunks = asked(
            &sim,
            MODEL,
            chat(json!({"tools": tools, "tool_choice": choice, "reasoning_effort": "high"})),
        )
        .await;
        assert!(chunks.expect("an answer")[0].meta().tool_call);
    }
}
