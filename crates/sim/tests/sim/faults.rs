//! Each fault as a client sees it.

use crate::support::{Broken, Client, PROVIDERS, Response, ask, ask_with, request, send, sim};
use backstop_sim::{Outage, Provider, Sim};
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Value, json};

async fn get(sim: &Sim, provider: &str, faults: &str, stream: bool) -> Result<Response, Broken> {
    send(sim, ask(provider, &format!("m+{faults}"), stream)).await
}

/// Status and what the provider calls it.
fn told(provider: &str, response: &Response) -> (u16, String) {
    let body = response.json();
    let name = match provider {
        "openai" => body["error"]["code"]
            .as_str()
            .or(body["error"]["type"].as_str()),
        "anthropic" => body["error"]["type"].as_str(),
        _ => response
            .header("x-amzn-errortype")
            .and_then(|name| name.split(':').next()),
    };
    (response.status.as_u16(), name.unwrap().to_owned())
}

#[tokio::test]
async fn each_provider_reports_errors_in_its_own_words() {
    let sim = sim().await;
    for (fault, openai, anthropic, bedrock) in [
        (
            "500",
            (500, "server_error"),
            (500, "api_error"),
            (500, "InternalServerException"),
        ),
        (
            "503",
            (503, "server_is_overloaded"),
            (503, "api_error"),
            (503, "ServiceUnavailableException"),
        ),
        (
            "529",
            (503, "server_is_overloaded"),
            (529, "overloaded_error"),
            (503, "ServiceUnavailableException"),
        ),
        (
            "504",
            (504, "server_error"),
            (504, "timeout_error"),
            (408, "ModelTimeoutException"),
        ),
        (
            "429",
            (429, "rate_limit_exceeded"),
            (429, "rate_limit_error"),
            (429, "ThrottlingException"),
        ),
        (
            "401",
            (401, "invalid_api_key"),
            (401, "authentication_error"),
            (403, "UnrecognizedClientException"),
        ),
        (
            "403",
            (403, "unsupported_country_region_territory"),
            (403, "permission_error"),
            (403, "AccessDeniedException"),
        ),
        (
            "404",
            (404, "model_not_found"),
            (404, "not_found_error"),
            (404, "ResourceNotFoundException"),
        ),
        (
            "400",
            (400, "invalid_value"),
            (400, "invalid_request_error"),
            (400, "ValidationException"),
        ),
        (
            "quota",
            (429, "credit_balance_exhausted"),
            (400, "invalid_request_error"),
            (429, "ThrottlingException"),
        ),
        (
            "context",
            (400, "context_length_exceeded"),
            (400, "invalid_request_error"),
            (400, "ValidationException"),
        ),
    ] {
        for (provider, (status, name)) in PROVIDERS.into_iter().zip([openai, anthropic, bedrock]) {
            for stream in [false, true] {
                let response = get(&sim, provider, fault, stream).await.unwrap();
                assert_eq!(
                    told(provider, &response),
                    (status, name.to_owned()),
                    "{provider} {fault}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_rate_limit_carries_its_hint_in_the_providers_own_header() {
    let sim = sim().await;
    let hints = |response: &Response| {
        ["retry-after", "retry-after-ms", "x-amz-retry-after"]
            .map(|name| response.header(name).map(str::to_owned))
    };
    for (provider, expected) in [
        ("openai", [Some("2"), Some("1500"), None]),
        ("anthropic", [Some("1.5"), None, None]),
        ("bedrock", [None, None, Some("1500")]),
    ] {
        let response = get(&sim, provider, "429=1.5", false).await.unwrap();
        assert_eq!(
            hints(&response),
            expected.map(|hint| hint.map(str::to_owned))
        );
        let response = get(&sim, provider, "429", false).await.unwrap();
        assert_eq!(hints(&response), [None, None, None]);
    }
}

#[tokio::test]
async fn a_content_filter_speaks_in_an_error_or_in_a_200() {
    let sim = sim().await;
    assert_eq!(
        get(&sim, "openai", "filter", false).await.unwrap().status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        get(&sim, "anthropic", "filter", false)
            .await
            .unwrap()
            .status,
        StatusCode::BAD_REQUEST
    );
    for (provider, fault, word) in [
        ("openai", "filter200", r#""finish_reason":"content_filter""#),
        ("anthropic", "filter200", r#""stop_reason":"refusal""#),
        (
            "bedrock",
            "filter200",
            r#""stopReason":"guardrail_intervened""#,
        ),
        ("bedrock", "filter", r#""stopReason":"content_filtered""#),
    ] {
        for stream in [false, true] {
            let response = get(&sim, provider, fault, stream).await.unwrap();
            assert_eq!(response.status, StatusCode::OK);
            let body = String::from_utf8_lossy(&response.body()).into_owned();
            assert!(body.contains(word), "{body}");
            assert!(!body.contains("bridge"), "{body}");
        }
    }
}

#[tokio::test]
async fn a_missing_or_bad_key_is_refused() {
    let sim = sim().await;
    for (provider, status) in [("openai", 401), ("anthropic", 401), ("bedrock", 403)] {
        for key in [None, Some("Bearer bad"), Some("Bearer ")] {
            let mut asked = ask(provider, "m", false);
            asked.headers_mut().remove("authorization");
            if let Some(key) = key {
                asked
                    .headers_mut()
                    .insert("authorization", key.parse().unwrap());
            }
            assert_eq!(send(&sim, asked).await.unwrap().status, status);
        }
    }
    let keys: Vec<_> = sim
        .journal()
        .entries()
        .iter()
        .map(|e| (e.has_key, e.key_ok))
        .collect();
    assert_eq!(keys[..3], [(false, false), (true, false), (true, false)]);
}

#[tokio::test]
async fn a_connection_is_reset_before_and_within_an_answer() {
    let sim = sim().await;
    for provider in PROVIDERS {
        for stream in [false, true] {
            assert_eq!(
                get(&sim, provider, "reset", stream).await.err(),
                Some(Broken::Reset)
            );
            let response = get(&sim, provider, "cut=4", stream).await.unwrap();
            assert_eq!(response.broken, Some(Broken::Reset), "{provider} {stream}");
            // What came before the reset has arrived: the fourth token, and not the fifth.
            let body = String::from_utf8_lossy(&response.body()).into_owned();
            assert!(body.contains("judged") || !stream, "{body}");
            assert!(!body.contains("\" on") && !body.is_empty());
        }
    }
}

#[tokio::test]
async fn a_connection_is_reset_after_any_byte() {
    let sim = sim().await;
    for (provider, stream, bytes) in [
        ("openai", true, 0),
        ("anthropic", true, 333),
        ("bedrock", true, 7),
        ("openai", false, 1),
    ] {
        let response = get(&sim, provider, &format!("cutat={bytes}"), stream)
            .await
            .unwrap();
        assert_eq!(
            (response.broken, response.body().len()),
            (Some(Broken::Reset), bytes)
        );
    }
}

#[tokio::test]
async fn a_body_that_is_closed_early_is_told_from_one_that_ends() {
    let sim = sim().await;
    for provider in PROVIDERS {
        for stream in [false, true] {
            let response = get(&sim, provider, "truncated", stream).await.unwrap();
            assert_eq!(
                response.broken,
                Some(Broken::ClosedEarly),
                "{provider} {stream}"
            );
            let response = get(&sim, provider, "eof=3", stream).await.unwrap();
            assert_eq!(response.broken, None);
            let whole = get(&sim, provider, "tokens=64", stream).await.unwrap();
            assert!(response.body().len() < whole.body().len());
        }
    }
}

#[tokio::test]
async fn a_stream_lacks_its_terminal_only_when_asked_to() {
    let sim = sim().await;
    for (faults, done, finished) in [
        ("tokens=2", true, true),
        ("nodone", false, true),
        ("eof=1", false, false),
        ("error=1", true, false),
    ] {
        let text = get(&sim, "openai", faults, true).await.unwrap().text();
        assert_eq!(text.contains("[DONE]"), done, "{faults}");
        assert_eq!(
            text.contains(r#""finish_reason":"stop""#),
            finished,
            "{faults}"
        );
        assert_eq!(text.contains(r#"data: {"error":{"#), faults == "error=1");
    }
    let text = get(&sim, "anthropic", "error=1", true)
        .await
        .unwrap()
        .text();
    assert!(text.ends_with("event: error\ndata: {\"error\":{\"message\":\"Overloaded\",\"type\":\"overloaded_error\"},\"type\":\"error\"}\n\n"), "{text}");
    // Where nothing has begun, the same fault is an error.
    assert_eq!(
        get(&sim, "openai", "error=1", false).await.unwrap().status,
        500
    );
    assert_eq!(
        get(&sim, "openai", "error=1+429", false)
            .await
            .unwrap()
            .status,
        429
    );
}

#[tokio::test]
async fn a_200_need_not_be_an_answer() {
    let sim = sim().await;
    for provider in PROVIDERS {
        for stream in [false, true] {
            let fetch = async |fault| {
                let response = get(&sim, provider, fault, stream).await.unwrap();
                assert_eq!((response.status.as_u16(), response.broken), (200, None));
                response
            };
            let right = fetch("tokens=1").await;
            let kind = right.header("content-type");

            let garbage = fetch("garbage").await;
            assert_eq!(garbage.header("content-type"), kind);
            assert!(serde_json::from_slice::<Value>(&garbage.body()).is_err());
            assert_eq!(
                fetch("html").await.header("content-type"),
                Some("text/html; charset=utf-8")
            );
            assert!(fetch("empty").await.body().is_empty());

            let wrong = fetch("wrongtype").await;
            let expected = if stream {
                "application/json"
            } else {
                "text/plain; charset=utf-8"
            };
            assert_eq!(wrong.header("content-type"), Some(expected));
            assert!(wrong.json().is_object());
        }
    }
}

#[tokio::test]
async fn a_huge_error_is_made_while_it_is_read() {
    let sim = sim().await;
    let mut client = Client::connect(&sim).await;
    let response = client
        .start(ask("openai", "m+hugeerror", false))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.headers()["content-length"], "1073741824");
    let mut body = response.into_body();
    let mut read = 0;
    while read < 1 << 20 {
        read += body
            .frame()
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap()
            .len();
    }
    drop(body);
    drop(client);
    sim.journal()
        .wait_for(1, |entry| {
            entry.progress == backstop_sim::Progress::ClientGone
        })
        .await;
}

#[tokio::test]
async fn an_unknown_fault_is_refused_with_the_known_ones() {
    let sim = sim().await;
    let response = get(&sim, "openai", "5oo", false).await.unwrap();
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    let text = response.text();
    assert!(
        text.contains("unknown fault `5oo`") && text.contains("529") && text.contains("paraphrase")
    );
}

#[tokio::test]
async fn tools_are_called_when_asked_or_forced() {
    let sim = sim().await;
    let function = json!({"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}});
    let tools = json!({"tools": [{"type": "function", "function": function}]});
    let forced = json!({"tools": tools["tools"], "tool_choice": "required"});
    for (model, more) in [("m+tools", &tools), ("m", &forced), ("m+twotools", &tools)] {
        let response = send(&sim, ask_with("openai", model, false, more))
            .await
            .unwrap()
            .json();
        let choice = &response["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls");
        let calls = choice["message"]["tool_calls"].as_array().unwrap();
        assert_eq!(calls.len(), if model == "m+twotools" { 2 } else { 1 });
        assert_eq!(
            calls[0]["function"],
            json!({"name": "f", "arguments": "{\"x\":\"sim\"}"})
        );
    }
    let response = send(&sim, ask("openai", "m+tools", false))
        .await
        .unwrap()
        .json();
    assert_eq!(
        response["choices"][0]["finish_reason"], "stop",
        "there is no tool to call"
    );
}

/// One tool, in each provider's own format.
fn one_tool(provider: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"x": {"type": "string"}}});
    match provider {
        "openai" => {
            json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]})
        }
        "anthropic" => json!({"tools": [{"name": "f", "input_schema": schema}]}),
        _ => {
            json!({"toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": schema}}}]}})
        }
    }
}

/// How often a word is in a body, which need not be text.
fn count(response: &Response, word: &str) -> usize {
    let body = response.body();
    body.windows(word.len())
        .filter(|part| *part == word.as_bytes())
        .count()
}

#[tokio::test]
async fn as_many_calls_as_asked_and_a_break_at_every_piece_of_them() {
    let sim = sim().await;
    for (provider, id, end) in [
        ("openai", "call_sim", "\"finish_reason\":\"tool_calls\""),
        ("anthropic", "toolu_sim", "message_stop"),
        ("bedrock", "tooluse_sim", "messageStop"),
    ] {
        let fetch = async |faults: &str, stream| {
            let model = format!("claude-sonnet-4-5+{faults}");
            let asked = ask_with(provider, &model, stream, &one_tool(provider));
            send(&sim, asked).await.unwrap()
        };
        for stream in [false, true] {
            assert_eq!(count(&fetch("tools=3", stream).await, id), 3, "{provider}");
        }
        // The arguments are in two pieces, so that each call is three chunks.
        for after in 0..=6_usize {
            for fault in ["cut", "eof", "error", "garbage"] {
                let broken = fetch(&format!("tools=2+{fault}={after}"), true).await;
                // What is damaged may be the beginning of a call.
                let damaged = usize::from(fault == "garbage" && after % 3 == 0);
                let begun = count(&broken, id) - after.div_ceil(3);
                assert!(begun <= damaged, "{provider} {fault}={after}");
                assert_eq!(count(&broken, end), 0, "{provider} {fault}={after}");
                assert_eq!(broken.broken.is_some(), fault == "cut");
            }
            let model = format!("claude-sonnet-4-5+tools=2+stall={after}");
            let asked = ask_with(provider, &model, true, &one_tool(provider));
            let mut client = Client::connect(&sim).await;
            let mut body = client.start(asked).await.unwrap().into_body();
            let mut read = Vec::new();
            let whole = fetch(&format!("tools=2+eof={after}"), true).await.body();
            while read.len() < whole.len() {
                read.extend(body.frame().await.unwrap().unwrap().into_data().unwrap());
            }
            assert_eq!(read.len(), whole.len(), "what comes before the silence");
        }
    }
}

#[tokio::test]
async fn an_outage_begins_and_ends_over_http_and_in_process() {
    let sim = sim().await;
    let status = async |provider, model| {
        send(&sim, ask(provider, model, false))
            .await
            .unwrap()
            .status
            .as_u16()
    };
    let post = async |body: Value| {
        send(&sim, request("POST", "/_sim/faults", &body))
            .await
            .unwrap()
            .status
            .as_u16()
    };

    assert_eq!(
        post(json!({"provider": "openai", "fault": "500"})).await,
        200
    );
    assert_eq!(status("openai", "gpt-4o").await, 500);
    assert_eq!(status("anthropic", "claude-sonnet-4-6").await, 200);
    for nothing in [json!(null), json!(""), json!("none")] {
        post(json!({"provider": "openai", "fault": "500"})).await;
        assert_eq!(
            post(json!({"provider": "openai", "fault": nothing})).await,
            200
        );
        assert_eq!(status("openai", "gpt-4o").await, 200, "{nothing}");
    }

    assert_eq!(
        post(json!({"provider": "openai", "fault": "429", "model": "a", "times": 1})).await,
        200
    );
    assert_eq!(status("openai", "b").await, 200);
    assert_eq!(status("openai", "a+tokens=3").await, 429);
    assert_eq!(status("openai", "a+tokens=3").await, 200);

    sim.faults()
        .begin(Outage::new(Provider::Bedrock, "503").unwrap());
    assert_eq!(status("bedrock", "m").await, 503);
    let cleared = send(&sim, request("DELETE", "/_sim/faults", ""))
        .await
        .unwrap();
    assert_eq!(
        (cleared.status.as_u16(), status("bedrock", "m").await),
        (200, 200)
    );

    for wrong in [
        json!({"provider": "openai", "fault": "x"}),
        json!({"provider": "openai", "fault": "fail=1"}),
        json!({"provider": "azure", "fault": "500"}),
        json!({"provider": "openai", "fault": 500}),
        json!(7),
    ] {
        assert_eq!(post(wrong.clone()).await, 400, "{wrong}");
    }
}

#[tokio::test]
async fn anthropic_reports_where_it_is_told_to_have_run() {
    let sim = sim().await;
    let whole = get(&sim, "anthropic", "geo=us", false).await.unwrap();
    assert_eq!(whole.json()["usage"]["inference_geo"], "us");
    let stream = get(&sim, "anthropic", "geo=global", true).await.unwrap();
    assert!(stream.text().contains(r#""inference_geo":"global""#));
    let silent = get(&sim, "anthropic", "tokens=8", false).await.unwrap();
    assert_eq!(silent.json()["usage"]["inference_geo"], Value::Null);
}
