//! Against the simulator, which refuses what OpenAI would and has its own reading of the wire format.

#[path = "../../chat/tests/dialects/mod.rs"]
mod support;

use backstop_chat::{Chat, Chunk, Provider};
use backstop_client::Client;
use backstop_core::FailureKind::{self, *};
use backstop_core::{Frame, failure_of};
use backstop_openai::{OpenAi, Server};
use backstop_sim::Sim;
use http::Request;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{ALL, arrived, chat, places, rest, sim};

const MODEL: &str = "gpt-4o";

fn provider(sim: &Sim, model: &str, key: &str) -> Provider<OpenAi, Client> {
    let base = sim.openai().parse().expect("a URI");
    let dialect = OpenAi::new(key.into()).model(model).base_url(&base);
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
        ("error=5", ServerError, ServerError),
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
        "gpt-4o",
        "gpt-4.1",
        "o3",
        "o4-mini",
        "gpt-5",
        "gpt-5.1",
        "gpt-6-sol",
    ] {
        let answer = said(&sim, model, everything.clone()).await;
        assert!(
            answer.is_ok(),
            "{model}: {answer:?} {:?}",
            sim.journal().entries().last()
        );
    }
}

fn server(sim: &Sim, server: Server, model: &str) -> Provider<OpenAi, Client> {
    let base = match server {
        Server::DeepSeek => sim.openai().replace("/v1", "/beta"),
        _ => sim.openai(),
    };
    let dialect = OpenAi::at(server, Some("key".into()))
        .model(model)
        .base_url(&base.parse().expect("a URI"))
        .expect("absolute");
    Provider::new(dialect, Client::plain_http())
}

#[tokio::test]
async fn a_begun_answer_is_gone_on_from_at_any_place() {
    let sim = sim().await;
    for (at, faults) in [
        (Server::Vllm, "text=crlf"),
        (Server::Sglang, "text=emoji"),
        (Server::DeepSeek, "text=code"),
        (Server::Mistral, "text=combining+echo"),
    ] {
        let model = format!("m+tokens=20+{faults}");
        let whole = backstop_sim::text(&model);
        for place in places(&whole) {
            let asking = chat(json!({"stream": true}));
            let rest = rest(server(&sim, at, &model), asking, &whole[..place], 1, ALL).await;
            let rest = rest.expect("an answer");
            // White space at the end is not part of a prefill: it is said again.
            let expected = match at {
                Server::Mistral => &whole,
                _ => &whole[whole[..place].trim_end().len()..],
            };
            assert_eq!(
                (rest.mode, &*rest.text),
                ("prefill", expected),
                "{at:?} at {place}"
            );
        }
    }
}

#[tokio::test]
async fn each_server_is_asked_for_a_prefill_in_its_own_way() {
    let sim = sim().await;
    let marked = json!({"role": "assistant", "content": "A bridge", "prefix": true});
    let plain = json!({"role": "assistant", "content": "A bridge"});
    for (at, turn, goes_on) in [
        (Server::Mistral, &marked, false),
        (Server::DeepSeek, &marked, false),
        (Server::Vllm, &plain, true),
        (Server::Sglang, &plain, true),
    ] {
        let asking = chat(json!({"stream": true, "add_generation_prompt": true}));
        let answer = rest(server(&sim, at, "m"), asking, "A bridge ", 2, ALL).await;
        assert_eq!(answer.expect("an answer").mode, "prefill");
        let asked = arrived(&sim).pop().expect("a request");
        assert_eq!(asked["messages"][1], *turn, "{at:?}");
        let expected = match goes_on {
            true => [json!(true), json!(false), json!(false)],
            false => [json!(null), json!(true), json!(null)],
        };
        let members = ["continue_final_message", "add_generation_prompt", "echo"];
        assert_eq!(members.map(|name| asked[name].clone()), expected, "{at:?}");
    }
    for (at, base) in [
        (Server::DeepSeek, None),
        (Server::DeepSeek, Some("https://api.deepseek.com/v1")),
        (Server::OpenAi, None),
        (Server::Compatible, Some("http://localhost:8000/v1")),
    ] {
        let mut dialect = OpenAi::at(at, None);
        if let Some(base) = base {
            let base = base.parse().expect("a URI");
            dialect = dialect.base_url(&base).expect("absolute");
        }
        assert!(!dialect.takes_prefill(), "{at:?} at {base:?}");
    }
    let beta = "https://api.deepseek.com/beta/".parse().expect("a URI");
    let dialect = OpenAi::at(Server::DeepSeek, None).base_url(&beta);
    assert!(dialect.expect("absolute").takes_prefill());
}

#[tokio::test]
async fn a_model_that_refuses_a_prefill_is_prompted_at_once() {
    let sim = sim().await;
    let model = "m+noprefill";
    let whole = backstop_sim::text(model);
    let provider = server(&sim, Server::Vllm, model);
    for asked in [2, 3] {
        let asking = chat(json!({"stream": true}));
        let rest = rest(provider.clone(), asking, &whole[..100], 20, ALL).await;
        let rest = rest.expect("an answer");
        assert_eq!((rest.mode, &*rest.text), ("prompted", &*whole));
        let refused = rest.notes.iter().any(|note| note.contains("refuses"));
        assert_eq!(refused, asked == 2, "{:?}", rest.notes);
        assert_eq!(arrived(&sim).len(), asked, "it is not tried again");
    }
    let members = arrived(&sim);
    assert_eq!(members[0]["continue_final_message"], true);
    assert!(members[1].get("continue_final_message").is_none());
}

#[tokio::test]
async fn the_bound_is_what_is_left_under_the_name_that_the_model_takes() {
    let sim = sim().await;
    let whole = backstop_sim::text("m");
    // The last 160 characters are said twice.
    let delivered: String = whole.split_inclusive(' ').take(40).collect();
    for (model, name) in [("gpt-4o", "max_tokens"), ("gpt-5", "max_completion_tokens")] {
        let asking = chat(json!({"stream": true, "max_tokens": 45}));
        let rest = rest(provider(&sim, model, "key"), asking, &delivered, 40, ALL).await;
        let rest = rest.expect("an answer");
        let asked = arrived(&sim).pop().expect("a request");
        let bound = asked[name].as_u64().expect("a bound");
        let words = |text: &str| text.split_whitespace().count() as u64;
        assert_eq!(bound, words(&rest.text), "{model}");
        let end = whole.find(&rest.text).expect("a part of it") + rest.text.len();
        // A word more or less: the quoted part is taken to be as wordy as all of it.
        let all = words(&whole[..end]);
        assert!((43..=47).contains(&all), "{model}: {all} words");
    }
}
