//! What is sent.

#[path = "../../chat/tests/dialects/mod.rs"]
mod support;

use backstop_core::FailureKind;
use backstop_openai::{OpenAi, Server};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{chat, sent, sent_json};

fn openai(model: &str) -> OpenAi {
    OpenAi::new("sk-1".into()).model(model)
}

#[test]
fn the_head_is_our_own() {
    let dialect = openai("gpt-4o").organization("org-1").project("proj-1");
    let (request, notes) = sent(&dialect, chat(json!({}))).expect("plain");
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "https://api.openai.com/v1/chat/completions");
    let header = |name| request.headers().get(name).expect(name);
    assert_eq!(header("authorization"), "Bearer sk-1");
    assert!(header("authorization").is_sensitive());
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("openai-organization"), "org-1");
    assert_eq!(header("openai-project"), "proj-1");
    assert!(notes.is_empty());
}

#[test]
fn a_base_url_with_or_without_a_slash() {
    for base in ["http://localhost:8000/v1", "http://localhost:8000/v1/"] {
        let dialect = OpenAi::keyless()
            .base_url(&base.parse().expect("a URI"))
            .expect("absolute");
        let (request, _) = sent(&dialect, chat(json!({}))).expect("plain");
        assert_eq!(request.uri(), "http://localhost:8000/v1/chat/completions");
        assert!(!request.headers().contains_key("authorization"));
    }
    assert!(
        OpenAi::keyless()
            .base_url(&"/v1".parse().expect("a URI"))
            .is_err()
    );
}

#[test]
fn azure_takes_the_key_bare() {
    let dialect = OpenAi::at(Server::Azure, Some("k".into()))
        .base_url(
            &"https://r.openai.azure.com/openai/v1"
                .parse()
                .expect("a URI"),
        )
        .expect("absolute");
    let (request, _) = sent(&dialect, chat(json!({}))).expect("plain");
    assert!(request.headers()["api-key"].is_sensitive());
    assert_eq!(request.headers()["api-key"], "k");
    assert!(!request.headers().contains_key("authorization"));
}

#[test]
fn a_server_without_a_place_cannot_be_asked() {
    let error = sent(&OpenAi::keyless(), chat(json!({}))).expect_err("no base URL");
    assert!(matches!(error.failure().kind(), FailureKind::Ineligible(_)));
}

#[test]
fn every_byte_but_the_model_goes_on_as_it_came() {
    let body = "{ \"x\":1.0e2,\n\t\"model\" : \"smart\", \"messages\":[ {\"role\":\"user\",\"content\":\"\\u00e9\"} ] , \"z\":{ } }";
    let parsed = backstop_chat::Chat::parse(body).expect("a request");
    let (request, _) = sent(&openai("gpt-4o"), parsed).expect("plain");
    assert_eq!(request.body(), &body.replace("\"smart\"", "\"gpt-4o\""));
}

proptest! {
    #[test]
    fn unknown_members_survive(members in prop::collection::btree_map("x_[a-z]{1,8}", json_value(), 0..6)) {
        let members = serde_json::to_value(members).expect("JSON");
        let (body, notes) = sent_json(&openai("o3"), chat(members.clone()));
        for (name, value) in members.as_object().expect("an object") {
            prop_assert_eq!(&body[name], value);
        }
        prop_assert!(notes.is_empty());
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{0,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn usage_is_asked_for_where_nobody_did() {
    let options =
        |dialect: &OpenAi, members| sent_json(dialect, chat(members)).0["stream_options"].clone();
    let ours = json!({"include_usage": true});
    let dialect = openai("gpt-4o");
    assert_eq!(options(&dialect, json!({"stream": true})), ours);
    assert_eq!(
        options(&dialect, json!({"stream": true, "stream_options": null})),
        ours
    );
    assert_eq!(options(&dialect, json!({})), Value::Null);
    assert_eq!(options(&dialect, json!({"stream": false})), Value::Null);
    for (theirs, sent) in [
        (
            json!({"include_usage": false}),
            json!({"include_usage": true}),
        ),
        (json!({}), json!({"include_usage": true})),
        (
            json!({"include_obfuscation": false, "x": [1]}),
            json!({"include_obfuscation": false, "x": [1], "include_usage": true}),
        ),
        (
            json!({"include_usage": true, "include_obfuscation": false}),
            json!({"include_usage": true, "include_obfuscation": false}),
        ),
    ] {
        let members = json!({"stream": true, "stream_options": theirs});
        assert_eq!(options(&dialect, members), sent, "{theirs}");
    }
    assert_eq!(
        options(&dialect.ask_usage(false), json!({"stream": true})),
        Value::Null
    );
    let mistral = OpenAi::at(Server::Mistral, None);
    assert_eq!(options(&mistral, json!({"stream": true})), Value::Null);
}

#[test]
fn what_a_model_does_not_take_is_not_sent() {
    // Model, members, what of them goes on, and how many notes that makes.
    for (model, members, expected, notes) in [
        (
            "gpt-4o",
            json!({"temperature": 0.5, "max_tokens": 9, "stop": "x", "logit_bias": {"1": 1}}),
            json!({"temperature": 0.5, "max_tokens": 9, "stop": "x", "logit_bias": {"1": 1}}),
            0,
        ),
        ("gpt-4.1", json!({"reasoning_effort": "low"}), json!({}), 1),
        (
            "o3",
            json!({"max_tokens": 9}),
            json!({"max_completion_tokens": 9}),
            0,
        ),
        (
            "gpt-5",
            json!({"max_tokens": 9, "max_completion_tokens": 7}),
            json!({"max_completion_tokens": 7}),
            0,
        ),
        (
            "gpt-5",
            json!({"max_tokens": 9, "max_completion_tokens": null}),
            json!({"max_completion_tokens": 9}),
            0,
        ),
        ("o3", json!({"temperature": 0}), json!({}), 1),
        (
            "o3",
            json!({"temperature": 1, "top_p": 1.0}),
            json!({"temperature": 1, "top_p": 1.0}),
            0,
        ),
        (
            "o3-mini",
            json!({"temperature": 0.5, "top_p": 0.5}),
            json!({}),
            2,
        ),
        (
            "o4-mini",
            json!({"presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}}),
            json!({}),
            0,
        ),
        (
            "o4-mini",
            json!({"presence_penalty": 1, "frequency_penalty": 1, "logit_bias": {"1": 1}}),
            json!({}),
            3,
        ),
        (
            "gpt-5",
            json!({"logprobs": true, "top_logprobs": 5}),
            json!({}),
            2,
        ),
        ("gpt-5", json!({"logprobs": false}), json!({}), 0),
        ("o3", json!({"stop": ["x"]}), json!({}), 1),
        ("o1", json!({"stop": ["x"]}), json!({"stop": ["x"]}), 0),
        ("o3", json!({"parallel_tool_calls": false}), json!({}), 1),
        (
            "gpt-5",
            json!({"parallel_tool_calls": false, "reasoning_effort": "low"}),
            json!({"parallel_tool_calls": false, "reasoning_effort": "low"}),
            0,
        ),
        ("gpt-5.1", json!({"temperature": 0.5}), json!({}), 1),
        (
            "gpt-5.1",
            json!({"temperature": 0.5, "reasoning_effort": "none"}),
            json!({"temperature": 0.5, "reasoning_effort": "none"}),
            0,
        ),
        (
            "gpt-5-chat-latest",
            json!({"temperature": 0.5, "max_tokens": 9}),
            json!({"temperature": 0.5, "max_completion_tokens": 9}),
            0,
        ),
        (
            "ft:o4-mini-2025-04-16:acme",
            json!({"temperature": 0.5}),
            json!({}),
            1,
        ),
        // Nothing is known of it.
        (
            "new-1",
            json!({"temperature": 0.5, "max_tokens": 9}),
            json!({"temperature": 0.5, "max_tokens": 9}),
            0,
        ),
    ] {
        let (mut body, said) = sent_json(&openai(model), chat(members.clone()));
        let body = body.as_object_mut().expect("an object");
        body.remove("messages");
        assert_eq!(body.remove("model"), Some(json!(model)));
        assert_eq!(Value::Object(body.clone()), expected, "{model} {members}");
        assert_eq!(said.len(), notes, "{model} {members}: {said:?}");
    }
}

#[test]
fn notes_say_what_and_why() {
    let (_, notes) = sent_json(
        &openai("o3"),
        chat(json!({"temperature": 0.5, "stop": "x"})),
    );
    assert_eq!(
        notes,
        [
            "temperature dropped: o3 takes only 1",
            "stop dropped: o3 does not take it"
        ]
    );
}

#[test]
fn ollama_has_its_own_exceptions() {
    let ollama = OpenAi::at(Server::Ollama, None).model("o3");
    let (body, _) = sent_json(
        &ollama,
        chat(json!({"max_completion_tokens": 9, "temperature": 0.5})),
    );
    assert_eq!(
        (&body["max_tokens"], &body["temperature"]),
        (&json!(9), &json!(0.5))
    );
    assert_eq!(body["max_completion_tokens"], Value::Null);
    let (body, _) = sent_json(
        &ollama,
        chat(json!({"max_completion_tokens": 9, "max_tokens": 5})),
    );
    assert_eq!(body["max_tokens"], 9);

    let image = json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://a.example/a.png"}}]}]);
    for members in [json!({"n": 2}), json!({"messages": image})] {
        let error = sent(&ollama, chat(members)).expect_err("not there");
        assert!(matches!(error.failure().kind(), FailureKind::Ineligible(_)));
    }
}

#[test]
fn the_requests_own_model_without_another() {
    let (body, _) = sent_json(
        &OpenAi::new("sk-1".into()),
        chat(json!({"model": "o3", "temperature": 0})),
    );
    assert_eq!(
        (&body["model"], &body["temperature"]),
        (&json!("o3"), &Value::Null)
    );
}

#[test]
fn a_key_is_never_shown() {
    const KEY: &str = "planted-key-5up3rs3cr3t";
    let dialect = OpenAi::new(format!("{KEY}\n").into())
        .base_url(
            &format!("https://a.example/?key={KEY}")
                .parse()
                .expect("a URI"),
        )
        .expect("absolute");
    let request = http::Request::new(chat(json!({})));
    let encoded = backstop_chat::Dialect::encode(&dialect, &request).expect("plain");
    assert_eq!(
        encoded.headers()["authorization"].to_str().ok(),
        Some(&*format!("Bearer {KEY}"))
    );
    let client = tower::service_fn(
        |_: http::Request<http_body_util::Full<bytes::Bytes>>| async {
            Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
        },
    );
    let provider = backstop_chat::Provider::new(dialect.clone(), client);
    let answer = http::Response::builder()
        .status(401)
        .body(bytes::Bytes::from(format!(
            r#"{{"error": {{"message": "bad key {KEY}, https://a.example/?key={KEY}", "code": "{KEY}", "param": "{KEY}"}}}}"#
        )))
        .expect("a response");
    let error = backstop_chat::Dialect::failure(&dialect, &answer);
    let unusable = OpenAi::new(format!("{KEY}\u{7f}\n{KEY}").into());
    let refused = backstop_chat::Dialect::encode(&unusable, &request).expect_err("no header");
    assert_eq!(refused.failure().kind(), FailureKind::Auth);
    for shown in [
        format!("{dialect:?}"),
        format!("{provider:?}"),
        format!("{:?}", encoded.headers()),
        format!("{error} {error:?} {:?}", error.message()),
        format!("{unusable:?} {refused} {refused:?}"),
    ] {
        assert!(!shown.contains("5up3rs3cr3t"), "{shown}");
    }
}
