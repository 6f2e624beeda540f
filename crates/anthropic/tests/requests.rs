//! What is sent: OpenAI's format in, Anthropic's out.

#[path = "../../chat/tests/dialects/mod.rs"]
mod support;

use backstop_anthropic::Anthropic;
use backstop_core::FailureKind;
use serde_json::{Value, json};

use crate::support::{chat, sent, sent_json};

fn claude(model: &str) -> Anthropic {
    Anthropic::new("key-of-mine".into()).model(model)
}

/// What of the body is not the model, and what was noted.
fn translated(model: &str, members: Value) -> (Value, Vec<String>) {
    let (mut body, notes) = sent_json(&claude(model), chat(members));
    assert_eq!(
        body.as_object_mut().expect("an object").remove("model"),
        Some(json!(model))
    );
    (body, notes)
}

fn refusal(model: &str, members: Value) -> String {
    let shown = members.to_string();
    let error = sent(&claude(model), chat(members)).expect_err(&shown);
    assert!(
        matches!(error.failure().kind(), FailureKind::Ineligible(_)),
        "{error}"
    );
    error.failure().detail().expect("a reason").to_owned()
}

#[test]
fn the_head_is_our_own() {
    let (request, notes) =
        sent(&claude("claude-sonnet-4-6").beta("a,b"), chat(json!({}))).expect("plain");
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "https://api.anthropic.com/v1/messages");
    let header = |name| request.headers().get(name).expect(name);
    assert_eq!(header("x-api-key"), "key-of-mine");
    assert!(header("x-api-key").is_sensitive());
    assert_eq!(header("anthropic-version"), "2023-06-01");
    assert_eq!(header("anthropic-beta"), "a,b");
    assert_eq!(header("content-type"), "application/json");
    assert!(!request.headers().contains_key("authorization"));
    assert!(notes.is_empty());
}

#[test]
fn a_base_url_in_all_its_forms() {
    for base in [
        "http://localhost:8000",
        "http://localhost:8000/",
        "http://localhost:8000/v1",
        "http://localhost:8000/v1/",
    ] {
        let dialect = claude("m")
            .base_url(&base.parse().expect("a URI"))
            .expect("absolute");
        let (request, _) = sent(&dialect, chat(json!({}))).expect("plain");
        assert_eq!(request.uri(), "http://localhost:8000/v1/messages");
    }
}

#[test]
fn the_place_of_processing_is_asked_for() {
    for geo in ["us", "global"] {
        let dialect = claude("claude-sonnet-4-6").inference_geo(geo);
        let (body, _) = sent_json(&dialect, chat(json!({"inference_geo": "elsewhere"})));
        assert_eq!(body["inference_geo"], geo, "whatever the caller says");
    }
}

#[test]
fn a_plain_request() {
    assert_eq!(
        translated("claude-sonnet-4-6", json!({})),
        (
            json!({
                "max_tokens": 64_000,
                "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
            }),
            vec![]
        )
    );
    assert_eq!(
        translated("claude-sonnet-4-6", json!({"stream": true})).0["stream"],
        true
    );
}

/// Messages in OpenAI's format, what the system prompt becomes, what the turns become.
fn message_cases() -> Vec<(&'static str, Value, Value, Value)> {
    vec![
        (
            "operators go to the top, wherever they stand",
            json!([
                {"role": "system", "content": "one"},
                {"role": "user", "content": "hi"},
                {"role": "developer", "content": [{"type": "text", "text": "two"}]},
            ]),
            json!([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]),
            json!([{"role": "user", "content": [{"type": "text", "text": "hi"}]}]),
        ),
        (
            "turns alternate",
            json!([
                {"role": "user", "content": "a"},
                {"role": "user", "content": [{"type": "text", "text": "b"}]},
                {"role": "assistant", "content": "c"},
                {"role": "assistant", "content": null, "refusal": "d"},
                {"role": "user", "content": "e"},
            ]),
            Value::Null,
            json!([
                {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "c"}, {"type": "text", "text": "d"}]},
                {"role": "user", "content": [{"type": "text", "text": "e"}]},
            ]),
        ),
        (
            "nothing blank is sent, and turns still alternate",
            json!([
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": ""},
                {"role": "user", "content": [{"type": "text", "text": " \n"}, {"type": "text", "text": "b"}]},
            ]),
            Value::Null,
            json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]),
        ),
        (
            "calls, and their results in front of what the user says",
            json!([
                {"role": "user", "content": "weather?"},
                {"role": "assistant", "content": "Let me see", "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"q\": 1.0}"}},
                    {"id": "tooluse.2:x", "type": "function", "function": {"name": "g", "arguments": ""}},
                ]},
                {"role": "tool", "tool_call_id": "call_1", "content": "sun"},
                {"role": "user", "content": "and?"},
                {"role": "tool", "tool_call_id": "tooluse.2:x", "content": [{"type": "text", "text": "ra"}, {"type": "text", "text": "in"}]},
            ]),
            Value::Null,
            json!([
                {"role": "user", "content": [{"type": "text", "text": "weather?"}]},
                {"role": "assistant", "content": [
                    {"type": "text", "text": "Let me see"},
                    {"type": "tool_use", "id": "call_1", "name": "f", "input": {"q": 1.0}},
                    {"type": "tool_use", "id": "tooluse_2_x", "name": "g", "input": {}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "sun"},
                    {"type": "tool_result", "tool_use_id": "tooluse_2_x", "content": "rain"},
                    {"type": "text", "text": "and?"},
                ]},
            ]),
        ),
        (
            "a result with nothing in it",
            json!([
                {"role": "user", "content": "go"},
                {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "c", "content": ""},
            ]),
            Value::Null,
            json!([
                {"role": "user", "content": [{"type": "text", "text": "go"}]},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c"}]},
            ]),
        ),
        (
            "images by URL and inline",
            json!([{"role": "user", "content": [
                {"type": "text", "text": "what?"},
                {"type": "image_url", "image_url": {"url": "https://a.example/a.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,AAAA"}},
            ]}]),
            Value::Null,
            json!([{"role": "user", "content": [
                {"type": "text", "text": "what?"},
                {"type": "image", "source": {"type": "url", "url": "https://a.example/a.png"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}},
            ]}]),
        ),
    ]
}

#[test]
fn messages() {
    for (case, messages, system, turns) in message_cases() {
        let (body, _) = translated("claude-sonnet-4-6", json!({"messages": messages}));
        assert_eq!(body["system"], system, "{case}");
        assert_eq!(body["messages"], turns, "{case}");
    }
}

#[test]
fn messages_that_need_a_word() {
    let (body, notes) = translated(
        "claude-sonnet-4-6",
        json!({"messages": [{"role": "assistant", "content": "Hello, I am here"}, {"role": "user", "content": "hi"}]}),
    );
    assert_eq!(body["messages"][0]["role"], "user");
    assert_eq!(
        body["messages"][1]["content"][0]["text"],
        "Hello, I am here"
    );
    assert_eq!(notes.len(), 1);

    let (body, notes) = translated(
        "claude-sonnet-4-6",
        json!({"messages": [{"role": "system", "content": "Say hi"}]}),
    );
    assert_eq!(
        body["messages"],
        json!([{"role": "user", "content": [{"type": "text", "text": "Say hi"}]}])
    );
    assert_eq!((&body["system"], notes.len()), (&Value::Null, 1));

    for broken in ["{\"q\":", "[1]", "7", "hello"] {
        let (body, notes) = translated(
            "claude-sonnet-4-6",
            json!({"messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": broken}}]},
            {"role": "tool", "tool_call_id": "c", "content": "x"},
        ], "tools": [tool()]}),
        );
        assert_eq!(
            body["messages"][1]["content"][0]["input"],
            json!({"arguments": broken})
        );
        assert_eq!(notes.len(), 1);
    }
}

fn tool() -> Value {
    json!({"type": "function", "function": {"name": "f", "description": "does", "strict": true,
        "parameters": {"type": "object", "properties": {"q": {"type": "number"}}, "additionalProperties": false}}})
}

#[test]
fn tools() {
    let (body, notes) = translated(
        "claude-sonnet-4-6",
        json!({"tools": [tool(), {"type": "function", "function": {"name": "bare"}}]}),
    );
    assert_eq!(
        body["tools"],
        json!([
            {"name": "f", "description": "does", "strict": true,
             "input_schema": {"type": "object", "properties": {"q": {"type": "number"}}, "additionalProperties": false}},
            {"name": "bare", "input_schema": {"type": "object"}},
        ])
    );
    assert!(notes.is_empty());
    // No schemas there.
    let (body, notes) = translated("claude-3-5-haiku-latest", json!({"tools": [tool()]}));
    assert_eq!(
        (&body["tools"][0]["strict"], notes.len()),
        (&Value::Null, 1)
    );
}

#[test]
fn choice_of_tools() {
    for (members, expected) in [
        (json!({}), Value::Null),
        (json!({"tool_choice": "auto"}), json!({"type": "auto"})),
        (json!({"tool_choice": "none"}), json!({"type": "none"})),
        (json!({"tool_choice": "required"}), json!({"type": "any"})),
        (
            json!({"tool_choice": {"type": "function", "function": {"name": "f"}}}),
            json!({"type": "tool", "name": "f"}),
        ),
        (
            json!({"parallel_tool_calls": false}),
            json!({"type": "auto", "disable_parallel_tool_use": true}),
        ),
        (json!({"parallel_tool_calls": true}), Value::Null),
        (
            json!({"tool_choice": "required", "parallel_tool_calls": false}),
            json!({"type": "any", "disable_parallel_tool_use": true}),
        ),
        (
            json!({"tool_choice": "none", "parallel_tool_calls": false}),
            json!({"type": "none"}),
        ),
    ] {
        let mut members = members;
        members["tools"] = json!([tool()]);
        let (body, _) = translated("claude-sonnet-4-6", members.clone());
        assert_eq!(body["tool_choice"], expected, "{members}");
    }
    assert_eq!(
        translated("claude-sonnet-4-6", json!({"tool_choice": "auto"})).0["tool_choice"],
        Value::Null
    );
}

#[test]
fn calls_of_tools_that_are_not_offered() {
    let (body, notes) = translated(
        "claude-sonnet-4-6",
        json!({"messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "a", "content": "x"},
            {"role": "tool", "tool_call_id": "b", "content": "y"},
        ]}),
    );
    assert_eq!(
        body["tools"],
        json!([{"name": "f", "input_schema": {"type": "object"}}])
    );
    assert_eq!(body["tool_choice"], json!({"type": "none"}));
    assert_eq!(notes.len(), 1);
}

#[test]
fn structured_output() {
    let schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": true}});
    let (body, notes) = translated("claude-sonnet-4-5", json!({"response_format": format}));
    assert_eq!(
        body["output_config"],
        json!({"format": {"type": "json_schema", "schema": schema}})
    );
    assert!(notes.is_empty());
    let (body, notes) = translated(
        "claude-sonnet-4-5",
        json!({"response_format": {"type": "json_object"}}),
    );
    assert_eq!((&body["output_config"], notes.len()), (&Value::Null, 1));
    assert!(
        translated(
            "claude-sonnet-4-5",
            json!({"response_format": {"type": "text"}})
        )
        .1
        .is_empty()
    );
    refusal(
        "claude-3-5-haiku-latest",
        json!({"response_format": format}),
    );
}

#[test]
fn the_bound_on_the_answer() {
    for (model, members, expected, notes) in [
        ("claude-sonnet-4-6", json!({"max_tokens": 9}), 9, 0),
        (
            "claude-sonnet-4-6",
            json!({"max_completion_tokens": 7, "max_tokens": 9}),
            7,
            0,
        ),
        ("claude-sonnet-4-6", json!({"max_tokens": 0}), 1, 0),
        (
            "claude-sonnet-4-5",
            json!({"max_tokens": 100_000}),
            64_000,
            1,
        ),
        ("claude-3-haiku-20240307", json!({}), 4096, 0),
        ("claude-3-5-haiku-latest", json!({}), 8192, 0),
        ("claude-opus-4-1", json!({}), 32_000, 0),
        ("some-proxy-name", json!({}), 8192, 0),
        (
            "some-proxy-name",
            json!({"max_tokens": 100_000}),
            100_000,
            0,
        ),
    ] {
        let (body, said) = translated(model, members.clone());
        assert_eq!(body["max_tokens"], expected, "{model} {members}");
        assert_eq!(said.len(), notes, "{model} {members} {said:?}");
    }
}

#[test]
fn sampling() {
    for (model, members, expected, notes) in [
        (
            "claude-3-5-haiku-latest",
            json!({"temperature": 0.5, "top_p": 0.5}),
            (json!(0.5), Value::Null),
            1,
        ),
        (
            "claude-sonnet-4-6",
            json!({"temperature": 0.5}),
            (json!(0.5), Value::Null),
            0,
        ),
        (
            "claude-sonnet-4-6",
            json!({"temperature": 1.7}),
            (json!(1.0), Value::Null),
            1,
        ),
        (
            "claude-sonnet-4-6",
            json!({"top_p": 0.5}),
            (Value::Null, json!(0.5)),
            0,
        ),
        (
            "claude-sonnet-4-6",
            json!({"temperature": 0, "top_p": 0.5}),
            (json!(0.0), Value::Null),
            1,
        ),
        (
            "claude-sonnet-4-6",
            json!({"temperature": 0, "top_p": 1}),
            (json!(0.0), Value::Null),
            0,
        ),
        (
            "claude-sonnet-4-6",
            json!({"temperature": 1, "top_p": 0.5}),
            (Value::Null, json!(0.5)),
            0,
        ),
        (
            "claude-opus-4-7",
            json!({"temperature": 0.5, "top_p": 0.5}),
            (Value::Null, Value::Null),
            2,
        ),
        (
            "claude-opus-4-7",
            json!({"temperature": 1.0, "top_p": 1}),
            (Value::Null, Value::Null),
            0,
        ),
        (
            "claude-next-9",
            json!({"temperature": 0.5}),
            (Value::Null, Value::Null),
            1,
        ),
        (
            "claude-sonnet-4-6",
            json!({"temperature": 0.5, "reasoning_effort": "low"}),
            (Value::Null, Value::Null),
            1,
        ),
    ] {
        let (body, said) = translated(model, members.clone());
        assert_eq!(
            (body["temperature"].clone(), body["top_p"].clone()),
            expected,
            "{model} {members}"
        );
        assert_eq!(said.len(), notes, "{model} {members} {said:?}");
    }
}

#[test]
fn reasoning() {
    let adaptive = json!({"type": "adaptive"});
    let budget = |tokens: u64| json!({"type": "enabled", "budget_tokens": tokens});
    for (model, members, thinking, effort, notes) in [
        (
            "claude-sonnet-4-6",
            json!({"reasoning_effort": "none"}),
            Value::Null,
            Value::Null,
            0,
        ),
        (
            "claude-sonnet-4-6",
            json!({"reasoning_effort": "minimal"}),
            adaptive.clone(),
            json!("low"),
            0,
        ),
        (
            "claude-sonnet-4-6",
            json!({"reasoning_effort": "high"}),
            adaptive.clone(),
            json!("high"),
            0,
        ),
        (
            "claude-sonnet-4-6",
            json!({"reasoning_effort": "xhigh"}),
            adaptive.clone(),
            json!("high"),
            0,
        ),
        (
            "claude-opus-4-7",
            json!({"reasoning_effort": "xhigh"}),
            adaptive.clone(),
            json!("xhigh"),
            0,
        ),
        (
            "claude-opus-5",
            json!({"reasoning_effort": "max"}),
            adaptive,
            json!("max"),
            0,
        ),
        (
            "claude-opus-5",
            json!({"reasoning_effort": "galaxy"}),
            Value::Null,
            Value::Null,
            1,
        ),
        (
            "claude-sonnet-4-5",
            json!({"reasoning_effort": "high"}),
            budget(16_384),
            Value::Null,
            0,
        ),
        (
            "claude-sonnet-4-5",
            json!({"reasoning_effort": "high", "max_tokens": 4096}),
            budget(2048),
            Value::Null,
            0,
        ),
        (
            "claude-sonnet-4-5",
            json!({"reasoning_effort": "high", "max_tokens": 1500}),
            Value::Null,
            Value::Null,
            1,
        ),
        (
            "claude-3-5-haiku-latest",
            json!({"reasoning_effort": "high"}),
            Value::Null,
            Value::Null,
            1,
        ),
        (
            "claude-opus-5",
            json!({"reasoning_effort": "high", "tools": [tool()], "tool_choice": "required"}),
            Value::Null,
            Value::Null,
            1,
        ),
        (
            "claude-sonnet-4-5",
            json!({"reasoning_effort": "high", "tools": [tool()], "messages": [
                {"role": "user", "content": "go"},
                {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "c", "content": "x"},
            ]}),
            Value::Null,
            Value::Null,
            1,
        ),
    ] {
        let (body, said) = translated(model, members.clone());
        assert_eq!(body["thinking"], thinking, "{model} {members}");
        assert_eq!(body["output_config"]["effort"], effort, "{model} {members}");
        assert_eq!(said.len(), notes, "{model} {members} {said:?}");
    }
}

#[test]
fn the_rest() {
    let (body, notes) = translated(
        "claude-sonnet-4-6",
        json!({
            "stop": ["END", " \n"], "user": "u-123", "service_tier": "default", "seed": 1, "logprobs": true,
            "top_logprobs": 2, "logit_bias": {"1": 2}, "presence_penalty": 1, "frequency_penalty": 1,
            "metadata": {"a": "b"}, "modalities": ["text"], "store": true,
        }),
    );
    assert_eq!(body["stop_sequences"], json!(["END"]));
    assert_eq!(body["metadata"], json!({"user_id": "u-123"}));
    assert_eq!(body["service_tier"], "standard_only");
    assert_eq!(notes.len(), 8, "{notes:?}");
    let sent: Vec<_> = body.as_object().expect("an object").keys().collect();
    assert_eq!(
        sent,
        [
            "max_tokens",
            "messages",
            "metadata",
            "service_tier",
            "stop_sequences"
        ]
    );

    let (body, notes) = translated(
        "claude-sonnet-4-6",
        json!({"stop": "END", "service_tier": "flex", "logprobs": false, "presence_penalty": 0, "logit_bias": {}}),
    );
    assert_eq!(body["stop_sequences"], json!(["END"]));
    assert_eq!((&body["service_tier"], notes.len()), (&Value::Null, 1));
    assert_eq!(
        translated("claude-sonnet-4-6", json!({"service_tier": "auto"})).0["service_tier"],
        "auto"
    );

    for personal in ["ada@example.com", "+49 (170) 1234567"] {
        let (body, notes) = translated("claude-sonnet-4-6", json!({"user": personal}));
        assert_eq!(
            (&body["metadata"], notes.len()),
            (&Value::Null, 1),
            "{personal}"
        );
    }
}

#[test]
fn an_answer_that_is_begun() {
    let messages = json!([{"role": "user", "content": "go"}, {"role": "assistant", "content": "Once upon \n"}]);
    let (body, _) = translated("claude-sonnet-4-5", json!({"messages": messages}));
    assert_eq!(
        body["messages"][1]["content"],
        json!([{"type": "text", "text": "Once upon"}])
    );
    for model in ["claude-sonnet-4-6", "claude-opus-5", "claude-next-9"] {
        let why = refusal(model, json!({"messages": messages}));
        assert!(why.contains("does not continue"), "{why}");
    }
    // A blank beginning is none.
    let messages = json!([{"role": "user", "content": "go"}, {"role": "assistant", "content": ""}]);
    translated("claude-sonnet-4-6", json!({"messages": messages}));
    let (body, _) = translated("claude-sonnet-4-5", json!({"messages": messages}));
    assert_eq!(body["messages"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_cannot_be_said() {
    let part = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    for members in [
        json!({"n": 2}),
        json!({"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}),
        json!({"functions": [{"name": "f", "parameters": {}}]}),
        part(json!({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}})),
        part(json!({"type": "file", "file": {"file_id": "f"}})),
        part(json!({"type": "hologram"})),
        part(json!({"type": "image_url", "image_url": {"url": "data:image/svg+xml;base64,AAAA"}})),
        part(json!({"type": "image_url", "image_url": {"url": "data:text,hi"}})),
        json!({"tools": [{"type": "custom", "custom": {"name": "x"}}]}),
        json!({"tools": [tool()], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}),
        json!({"messages": [{"role": "user", "content": "x"}, {"role": "function", "name": "f", "content": "y"}]}),
        json!({"messages": [{"role": "user", "content": "x"}, {"role": "tool", "content": "y"}]}),
        json!({"messages": [{"role": "user", "content": " "}]}),
    ] {
        refusal("claude-sonnet-4-6", members);
    }
    refusal(
        "claude-opus-5-5",
        json!({"tools": [tool()], "tool_choice": "required"}),
    );
}

#[test]
fn a_reason_never_quotes_the_caller() {
    let members = json!({"max_tokens": 9, "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://a.example/"}}]},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"input": "secret words"}}]}]});
    let error = sent(&claude("m"), chat(members)).expect_err("no function");
    assert!(!format!("{error} {error:?}").contains("secret words"));
}

#[test]
fn a_key_is_never_shown() {
    const KEY: &str = "planted-key-5up3rs3cr3t";
    let dialect = Anthropic::new(format!("{KEY}\n").into())
        .base_url(
            &format!("https://a.example/?key={KEY}")
                .parse()
                .expect("a URI"),
        )
        .expect("absolute");
    let request = http::Request::new(chat(json!({})));
    let encoded = backstop_chat::Dialect::encode(&dialect, &request).expect("plain");
    assert_eq!(encoded.headers()["x-api-key"], KEY);
    let answer = http::Response::builder()
        .status(401)
        .body(bytes::Bytes::from(format!(
            r#"{{"type":"error","error":{{"type":"authentication_error","message":"bad key {KEY}"}}}}"#
        )))
        .expect("a response");
    let error = backstop_chat::Dialect::failure(&dialect, &answer);
    let unusable = Anthropic::new(format!("{KEY}\u{7f}\n{KEY}").into());
    let refused = backstop_chat::Dialect::encode(&unusable, &request).expect_err("no header");
    assert_eq!(refused.failure().kind(), FailureKind::Auth);
    for shown in [
        format!("{dialect:?}"),
        format!("{:?}", encoded.headers()),
        format!("{error} {error:?} {:?}", error.message()),
        format!("{unusable:?} {refused} {refused:?}"),
    ] {
        assert!(!shown.contains("5up3rs3cr3t"), "{shown}");
    }
}

#[test]
fn many_calls_and_results_take_time_by_their_number_and_are_noted_once() {
    const CALLS: usize = 30_000;
    let call = |id: usize| json!({"id": format!("c{id}"), "type": "function", "function": {"name": format!("f{id}"), "arguments": "?"}});
    let result =
        |id: usize| json!({"role": "tool", "tool_call_id": format!("c{id}"), "content": "x"});
    let mut messages = vec![
        json!({"role": "user", "content": "hi"}),
        json!({"role": "assistant", "tool_calls": (0..CALLS).map(call).collect::<Vec<_>>()}),
    ];
    messages.extend((0..CALLS).map(result));
    messages.push(json!({"role": "user", "content": "and?"}));
    let (body, notes) = translated("claude-sonnet-4-6", json!({"messages": messages}));
    let results = &body["messages"][2]["content"];
    assert_eq!(results.as_array().map(Vec::len), Some(CALLS + 1));
    assert_eq!(results[CALLS]["text"], "and?");
    assert_eq!(body["tools"].as_array().map(Vec::len), Some(CALLS));
    assert_eq!(notes.len(), 2, "{:?}", notes.first());
}
