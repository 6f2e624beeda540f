//! The three formats, byte by byte.

use crate::support::{Client, PROVIDERS, ask, ask_with, request, send, sim};
use aws_smithy_eventstream::frame::read_message_from;
use aws_smithy_types::event_stream::Message;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn openai_answers_in_one_piece() {
    let sim = sim().await;
    let response = send(&sim, ask("openai", "gpt-4o+tokens=3", false))
        .await
        .unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("x-request-id"), Some("req_sim1"));
    let body = response.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "gpt-4o");
    assert_eq!(
        body["choices"],
        json!([{
            "index": 0,
            "message": {"role": "assistant", "content": "A bridge is", "refusal": null, "annotations": []},
            "logprobs": null,
            "finish_reason": "stop",
        }])
    );
    assert_eq!(body["usage"]["completion_tokens"], 3);
}

#[tokio::test]
async fn openai_streams_a_role_tokens_a_finish_usage_and_done() {
    let sim = sim().await;
    let usage = json!({"stream_options": {"include_usage": true, "include_obfuscation": false}});
    let response = send(&sim, ask_with("openai", "gpt-4o+tokens=2", true, &usage))
        .await
        .unwrap();
    assert_eq!(
        response.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    let chunk = |choices: &str, usage: &str| {
        format!(
            r#"data: {{"id":"chatcmpl-sim1","object":"chat.completion.chunk","created":1767225600,"model":"gpt-4o","service_tier":"default","system_fingerprint":"fp_sim","choices":[{choices}],"usage":{usage}}}{}"#,
            "\n\n"
        )
    };
    let choice = |delta: &str, finish: &str| {
        chunk(
            &format!(r#"{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}"#),
            "null",
        )
    };
    let usage = r#"{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}"#;
    let expected = [
        choice(
            r#"{"role":"assistant","content":"","refusal":null}"#,
            "null",
        ),
        choice(r#"{"content":"A"}"#, "null"),
        choice(r#"{"content":" bridge"}"#, "null"),
        choice("{}", r#""stop""#),
        chunk("", usage),
        "data: [DONE]\n\n".to_owned(),
    ];
    // hyper hands on what one read of the socket held, so the frames are compared as one text.
    assert_eq!(response.text(), expected.concat());
}

#[tokio::test]
async fn anthropic_streams_its_events_in_order() {
    let sim = sim().await;
    let response = send(&sim, ask("anthropic", "claude-sonnet-4-6+tokens=1", true))
        .await
        .unwrap();
    assert_eq!(response.header("request-id"), Some("req_sim1"));
    let expected = [
        r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_sim1","type":"message","role":"assistant","model":"claude-sonnet-4-6","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1,"service_tier":"standard"}}}"#,
        r#"event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"event: ping
data: {"type": "ping"}"#,
        r#"event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"A"}}"#,
        r#"event: content_block_stop
data: {"type":"content_block_stop","index":0}"#,
        r#"event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":1}}"#,
        r#"event: message_stop
data: {"type":"message_stop"}"#,
    ];
    assert_eq!(response.text(), expected.join("\n\n") + "\n\n");
}

fn messages(mut bytes: Bytes) -> Vec<Message> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        messages.push(read_message_from(&mut bytes).unwrap());
    }
    messages
}

fn header<'a>(message: &'a Message, name: &str) -> &'a str {
    let header = message
        .headers()
        .iter()
        .find(|header| header.name().as_str() == name)
        .unwrap();
    header.value().as_string().unwrap().as_str()
}

#[tokio::test]
async fn bedrock_streams_binary_messages_in_order() {
    let sim = sim().await;
    let response = send(
        &sim,
        ask("bedrock", "anthropic.claude-sonnet-4-6+tokens=1", true),
    )
    .await
    .unwrap();
    assert_eq!(
        response.header("content-type"),
        Some("application/vnd.amazon.eventstream")
    );
    assert_eq!(
        response.header("x-amzn-requestid"),
        Some("00000000-0000-4000-8000-000000000001")
    );
    let events: Vec<(String, Value)> = messages(response.body())
        .iter()
        .map(|message| {
            assert_eq!(header(message, ":message-type"), "event");
            let payload = serde_json::from_slice(message.payload()).unwrap();
            (header(message, ":event-type").to_owned(), payload)
        })
        .collect();
    let expected = [
        ("messageStart", json!({"role": "assistant"})),
        (
            "contentBlockDelta",
            json!({"contentBlockIndex": 0, "delta": {"text": "A"}}),
        ),
        ("contentBlockStop", json!({"contentBlockIndex": 0})),
        ("messageStop", json!({"stopReason": "end_turn"})),
        (
            "metadata",
            json!({
                "usage": {"inputTokens": 5, "outputTokens": 1, "totalTokens": 6, "cacheReadInputTokens": 0, "cacheWriteInputTokens": 0},
                "metrics": {"latencyMs": 1},
            }),
        ),
    ];
    assert_eq!(
        events,
        expected.map(|(name, payload)| (name.to_owned(), payload))
    );
}

#[tokio::test]
async fn bedrock_breaks_a_stream_with_an_exception() {
    let sim = sim().await;
    for (fault, name) in [
        ("error=1", "modelStreamErrorException"),
        ("error=1+429", "throttlingException"),
        ("error=1+503", "serviceUnavailableException"),
    ] {
        let response = send(&sim, ask("bedrock", &format!("m+{fault}"), true))
            .await
            .unwrap();
        let messages = messages(response.body());
        assert_eq!(messages.len(), 3);
        assert_eq!(header(&messages[2], ":message-type"), "exception");
        assert_eq!(header(&messages[2], ":exception-type"), name);
    }
}

/// The texts of all kinds come out whole, in one piece and in any odd form of a stream.
#[tokio::test]
async fn every_text_survives_every_form() {
    let sim = sim().await;
    for style in ["ascii", "multibyte", "emoji", "combining", "crlf", "code"] {
        let model = format!("gpt-4o+tokens=30+text={style}");
        let text = backstop_sim::text(&model);
        let plain = send(&sim, ask("openai", &model, false))
            .await
            .unwrap()
            .json();
        assert_eq!(plain["choices"][0]["message"]["content"], *text);
        for wire in ["", "+crlf", "+comments", "+split", "+split+crlf+comments"] {
            let stream = send(&sim, ask("openai", &format!("{model}{wire}"), true))
                .await
                .unwrap();
            assert_eq!(stream.text().contains("\r\n"), wire.contains("crlf"));
            assert_eq!(stream.text().contains(": sim"), wire.contains("comments"));
            let said: String = stream
                .text()
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
                .filter_map(|chunk| {
                    Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned())
                })
                .collect();
            assert_eq!(said, text, "{style}{wire}");
        }
    }
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let sim = sim().await;
    let mut client = Client::connect(&sim).await;
    for provider in PROVIDERS {
        for stream in [false, true] {
            for model in ["gpt-4o", "gpt-4o+500"] {
                let response = client.send(ask(provider, model, stream)).await.unwrap();
                assert_eq!(response.broken, None);
            }
        }
    }
    assert_eq!(sim.journal().entries().len(), 12);
}

#[tokio::test]
async fn two_runs_give_the_same_bytes() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let sim = sim().await;
        let mut bytes = Vec::new();
        for provider in PROVIDERS {
            for stream in [false, true] {
                bytes.push(
                    send(&sim, ask(provider, "m+tokens=9", stream))
                        .await
                        .unwrap()
                        .body(),
                );
            }
        }
        runs.push(bytes);
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn requests_that_a_provider_would_refuse_are_refused() {
    let sim = sim().await;
    let user = json!({"role": "user", "content": "x"});
    for (provider, model, more, words) in [
        (
            "openai",
            "gpt-4o",
            json!({"messages": null}),
            "Missing required parameter: 'messages'",
        ),
        ("openai", "gpt-4o", json!({"messages": []}), "empty array"),
        (
            "openai",
            "gpt-4o",
            json!({"messages": [{"role": "bot", "content": "x"}]}),
            "Supported values",
        ),
        (
            "openai",
            "gpt-4o",
            json!({"stream_options": {"include_usage": true}}),
            "stream_options",
        ),
        (
            "openai",
            "gpt-4o",
            json!({"tool_choice": "auto"}),
            "only allowed when 'tools'",
        ),
        ("openai", "gpt-4o", json!({"temperature": 3}), "temperature"),
        (
            "openai",
            "o4-mini",
            json!({"max_tokens": 5}),
            "Use 'max_completion_tokens'",
        ),
        ("openai", "gpt-5.5", json!({"top_p": 0.1}), "top_p"),
        ("openai", "o3", json!({"stop": "x"}), "stop"),
        (
            "openai",
            "gpt-4o",
            json!({"reasoning_effort": "low"}),
            "reasoning_effort",
        ),
        (
            "anthropic",
            "claude-opus-4-8",
            json!({"max_tokens": null}),
            "max_tokens: Field required",
        ),
        (
            "anthropic",
            "claude-opus-4-8",
            json!({"temperature": 0.5}),
            "deprecated for this model",
        ),
        (
            "anthropic",
            "claude-sonnet-4-6",
            json!({"temperature": 0.5, "top_p": 0.5}),
            "cannot both",
        ),
        (
            "anthropic",
            "claude-sonnet-4-6",
            json!({"n": 1}),
            "n: Extra inputs",
        ),
        (
            "anthropic",
            "claude-sonnet-4-6",
            json!({"messages": [user, {"role": "assistant", "content": "A bridge"}]}),
            "does not support assistant message prefill",
        ),
        (
            "anthropic",
            "claude-sonnet-4-5",
            json!({"messages": [user, {"role": "assistant", "content": "A bridge "}]}),
            "trailing whitespace",
        ),
        (
            "anthropic",
            "claude-sonnet-4-6",
            json!({"thinking": {"type": "enabled", "budget_tokens": 2000}}),
            "`max_tokens` must be greater",
        ),
        (
            "bedrock",
            "m",
            json!({"messages": []}),
            "must start with a user message",
        ),
        (
            "bedrock",
            "m",
            json!({"messages": [{"role": "user", "content": [{"text": " "}]}]}),
            "is blank",
        ),
        (
            "bedrock",
            "m",
            json!({"inferenceConfig": {"temperature": 2}}),
            "inferenceConfig.temperature",
        ),
        (
            "bedrock",
            "anthropic.claude-sonnet-4-6",
            json!({"messages": [{"role": "user", "content": [{"text": "x"}]}, {"role": "assistant", "content": [{"text": "A"}]}]}),
            "prefill",
        ),
    ] {
        let response = send(&sim, ask_with(provider, model, false, &more))
            .await
            .unwrap();
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{more}");
        assert!(response.text().contains(words), "{}", response.text());
    }
}

#[tokio::test]
async fn a_broken_body_and_an_unknown_path_are_told_apart() {
    let sim = sim().await;
    let response = send(&sim, request("POST", "/openai/v1/chat/completions", "{"))
        .await
        .unwrap();
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    for path in [
        "/openai/v1/embeddings",
        "/anthropic/v1/complete",
        "/bedrock/model/m/invoke",
        "/other",
    ] {
        let response = send(&sim, request("POST", path, "{}")).await.unwrap();
        assert_eq!(response.status, StatusCode::NOT_FOUND, "{path}");
    }
    let response = send(&sim, request("GET", "/openai/v1/chat/completions", ""))
        .await
        .unwrap();
    assert_eq!(response.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_continuation_gets_the_rest_in_every_format() {
    let sim = sim().await;
    let whole = backstop_sim::text("m");
    let (prefix, rest) = whole.split_at(50);
    for provider in PROVIDERS {
        let turn = |role: &str, text: &str| match provider {
            "bedrock" => json!({"role": role, "content": [{"text": text}]}),
            _ => json!({"role": role, "content": text}),
        };
        let said = |body: &Value| {
            let text = match provider {
                "openai" => &body["choices"][0]["message"]["content"],
                "anthropic" => &body["content"][0]["text"],
                _ => &body["output"]["message"]["content"][0]["text"],
            };
            text.as_str().unwrap().to_owned()
        };
        let ask = format!("Begin with «{}» and go on.", &prefix[20..]);
        let begun = json!([
            turn("user", "Hello"),
            turn("assistant", prefix),
            turn("user", &ask)
        ]);
        let quoting = json!({"messages": begun});
        let prefilling = json!({"messages": [turn("user", "Hello"), turn("assistant", prefix)]});
        let fetch = async |seam, more: &Value| {
            let model = format!("claude-sonnet-4-5{seam}");
            let request = ask_with(provider, &model, false, more);
            send(&sim, request).await.unwrap()
        };
        for (seam, quoted, prefilled) in [
            ("", &whole[20..], rest),
            ("+noanchor", rest, rest),
            ("+noprefill", &whole[20..], ""),
            ("+echo", &whole, &whole),
            ("+restart", &whole, &whole),
            ("+overlap=5", &whole[45..], &whole[45..]),
            ("+overlap=51", &whole, &whole),
        ] {
            let answer = fetch(seam, &quoting).await;
            assert_eq!(said(&answer.json()), quoted, "{provider}{seam}");
            let answer = fetch(seam, &prefilling).await;
            if prefilled.is_empty() {
                assert_eq!(answer.status, StatusCode::BAD_REQUEST);
                let words = answer.text();
                let named = words.contains("prefill") || words.contains("continue_final_message");
                assert!(named, "{words}");
            } else {
                assert_eq!(said(&answer.json()), prefilled, "{provider}{seam}");
            }
        }
        for more in [&quoting, &prefilling] {
            let other = said(&fetch("+paraphrase", more).await.json());
            assert!(other.starts_with("Differently"), "{provider}: {other}");
        }
    }
}
