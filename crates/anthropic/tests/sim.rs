//! Against the simulator, which refuses what Anthropic would and has its own reading of the wire format.

#[path = "../../chat/tests/dialects/mod.rs"]
mod support;

use backstop_anthropic::Anthropic;
use backstop_chat::{Chat, Chunk, Modes, Provider};
use backstop_client::Client;
use backstop_core::FailureKind::{self, *};
use backstop_core::Ineligible::Capability;
use backstop_core::{Frame, failure_of};
use backstop_sim::Sim;
use http::Request;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{ALL, arrived, chat, places, rest, sim};

const MODEL: &str = "claude-sonnet-4-6";

fn provider(sim: &Sim, model: &str, key: &str) -> Provider<Anthropic, Client> {
    let base = sim.anthropic().parse().expect("a URI");
    let dialect = Anthropic::new(key.into()).model(model).base_url(&base);
    Provider::new(dialect.expect("absolute"), Client::plain_http())
}

/// The chunks of the answer, or how it failed.
async fn asked(sim: &Sim, model: &str, chat: Chat) -> Result<Vec<Chunk>, FailureKind> {
    support::asked(provider(sim, model, "key"), chat).await
}

/// The text of the answer, or how it failed.
async fn said(sim: &Sim, model: &str, members: Value) -> Result<String, FailureKind> {
    let chunks = asked(sim, model, chat(members)).await?;
    Ok(support::text(&chunks))
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
        ("garbage=5", ServerError, ServerError),
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

#[tokio::test]
async fn a_begun_answer_is_gone_on_from_at_any_place() {
    let sim = sim().await;
    for style in ["crlf", "code", "emoji"] {
        let model = format!("claude-sonnet-4-5+tokens=20+text={style}");
        let whole = backstop_sim::text(&model);
        for place in places(&whole) {
            let asking = chat(json!({"stream": true}));
            let provider = provider(&sim, &model, "key");
            let rest = rest(provider, asking, &whole[..place], 1, ALL).await;
            let rest = rest.expect("white space at the end would be refused");
            let expected = &whole[whole[..place].trim_end().len()..];
            assert_eq!(
                (rest.mode, &*rest.text),
                ("prefill", expected),
                "{style} at {place}"
            );
        }
    }
}

#[tokio::test]
async fn a_model_that_refuses_a_prefill_is_prompted_at_once() {
    let sim = sim().await;
    let model = "claude-sonnet-4-5+noprefill";
    let whole = backstop_sim::text(model);
    let provider = provider(&sim, model, "key");
    for asked in [2, 3] {
        let asking = chat(json!({"stream": true}));
        let rest = rest(provider.clone(), asking, &whole[..100], 20, ALL).await;
        let rest = rest.expect("an answer");
        assert_eq!((rest.mode, &*rest.text), ("prompted", &*whole));
        let refused = rest.notes.iter().any(|note| note.contains("refuses"));
        assert_eq!(refused, asked == 2, "{:?}", rest.notes);
        assert_eq!(arrived(&sim).len(), asked, "it is not tried again");
    }
    let exact = Modes {
        prompted: false,
        ..ALL
    };
    let asking = chat(json!({"stream": true}));
    let refused = rest(provider, asking, "A bridge", 2, exact).await;
    assert_eq!(refused.err(), Some(Ineligible(Capability)));
}

#[tokio::test]
async fn the_bound_is_what_is_left() {
    let sim = sim().await;
    let model = "claude-sonnet-4-5";
    let whole = backstop_sim::text(model);
    let words = |n| -> String { whole.split_inclusive(' ').take(n).collect() };
    for bound in ["max_tokens", "max_completion_tokens"] {
        let asking = chat(json!({"stream": true, bound: 45}));
        let provider = provider(&sim, model, "key");
        let rest = rest(provider, asking, words(40).trim_end(), 40, ALL).await;
        let rest = rest.expect("an answer");
        assert_eq!(rest.mode, "prefill");
        let joined = words(40).trim_end().to_owned() + &rest.text;
        assert_eq!(joined, words(45).trim_end());
    }
}
