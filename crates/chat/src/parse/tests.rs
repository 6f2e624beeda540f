use crate::Chat;

fn error(json: &str) -> (String, Option<String>) {
    let error = Chat::parse(json.to_owned()).expect_err("invalid");
    (error.message().to_owned(), error.param().map(str::to_owned))
}

#[test]
fn reads_what_layers_need() {
    let chat = Chat::parse(
        r#"{"model": "m", "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 7,
            "tools": [{"type": "function", "function": {"name": "f"}}], "n": 2, "temperature": null,
            "response_format": {"type": "json_schema"}, "logprobs": true, "reasoning_effort": "low",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"},
                {"type": "image_url", "image_url": {"url": "https://x/y.png"}}, {"type": "input_audio"}]},
                {"role": "assistant", "content": null, "tool_calls": [{"id": "c"}]},
                {"role": "tool", "content": "r", "tool_call_id": "c"},
                {"role": "assistant", "content": "go on"}]}"#,
    )
    .expect("valid");
    assert_eq!(chat.model(), "m");
    assert!(chat.stream() && chat.include_usage());
    assert_eq!(chat.max_output(), Some(7));
    let needs = chat.needs();
    assert!(needs.tools && needs.tool_history && needs.vision && needs.image_urls && needs.audio);
    assert!(
        needs.json_schema && needs.logprobs && needs.several && needs.reasoning && needs.prefill
    );
    assert!(!chat.has("temperature"), "null is absent");
    assert_eq!(chat.member("n"), Some("2"));
    assert!(
        chat.member("messages")
            .is_some_and(|json| json.starts_with('[') && json.ends_with(']'))
    );
}

#[test]
fn the_larger_of_two_bounds_is_the_one_to_reckon_with() {
    for bounds in [
        r#""max_tokens": 4000, "max_completion_tokens": 1"#,
        r#""max_completion_tokens": 4000, "max_tokens": 1"#,
    ] {
        let chat = Chat::parse(format!(
            r#"{{"model": "m", "messages": [{{"role": "user", "content": "hi"}}], {bounds}}}"#
        ));
        assert_eq!(chat.expect("valid").max_output(), Some(4000), "{bounds}");
    }
}

#[test]
fn functions_by_their_older_name_are_tools() {
    let functions = r#"[{"name": "f", "parameters": {}}]"#;
    let text = format!(
        r#"{{"model": "m", "functions": {functions}, "messages": [{{"role": "user", "content": "x"}}]}}"#
    );
    let chat = Chat::parse(text).expect("valid");
    assert!(chat.needs().tools && chat.has("functions"));
    let size = backstop_core::Ask::prompt_size(&chat).expect("it is known");
    assert_eq!((size.tools, size.schemas), (1, functions.len() as u64));
}

#[test]
fn names_the_place_of_a_mistake() {
    let at = |json: &str| error(json).1;
    assert_eq!(
        at(r#"{"messages": [{"role": "user", "content": "x"}]}"#).as_deref(),
        Some("model")
    );
    assert_eq!(at(r#"{"model": "m"}"#).as_deref(), Some("messages"));
    assert_eq!(
        at(r#"{"model": "m", "messages": "hi"}"#).as_deref(),
        Some("messages")
    );
    assert_eq!(
        at(r#"{"model": "m", "messages": []}"#).as_deref(),
        Some("messages")
    );
    assert_eq!(
        at(r#"{"model": "m", "messages": [1]}"#).as_deref(),
        Some("messages[0]")
    );
    assert_eq!(
        at(r#"{"model": "m", "messages": [{"content": "x"}]}"#).as_deref(),
        Some("messages[0]")
    );
    assert_eq!(
        at(r#"{"model": "m", "messages": [{"role": "user", "content": "x"}, {"role": "user", "content": 5}]}"#)
            .as_deref(),
        Some("messages[1].content")
    );
    assert_eq!(
        at(r#"{"model": "m", "messages": [{"role": "boss", "content": "x"}]}"#).as_deref(),
        Some("messages[0].role")
    );
    assert_eq!(
        at(r#"{"model": "m", "messages": [{"role": "user", "content": [{"type": "text"}, {"text": "x"}]}]}"#)
            .as_deref(),
        Some("messages[0].content[1]")
    );
    assert_eq!(
        at(r#"{"model": 5, "messages": []}"#).as_deref(),
        Some("model")
    );
    assert_eq!(
        at(r#"{"model": "m", "stream": "yes", "messages": []}"#).as_deref(),
        Some("stream")
    );
    assert_eq!(
        at(r#"{"model": "m", "max_tokens": -1, "messages": []}"#).as_deref(),
        Some("max_tokens")
    );
    assert_eq!(
        at(r#"{"model": "m", "stop": [1], "messages": []}"#).as_deref(),
        Some("stop")
    );
}

#[test]
fn refuses_what_is_not_a_request() {
    for json in [
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        "{\"model\": \"m\"",
        "{} {}",
        "<html>",
    ] {
        let (message, _) = error(json);
        assert!(!message.is_empty(), "{json}");
    }
    assert!(
        Chat::parse(&b"{\"model\": \"\xff\"}"[..])
            .expect_err("not UTF-8")
            .message()
            .contains("UTF-8")
    );
    assert!(
        error(r#"{"model": "a", "model": "b", "messages": []}"#)
            .0
            .contains("`model` appears twice")
    );
    assert!(
        error(r#"{"model": "a", "\u006dodel": "b", "messages": []}"#)
            .0
            .contains("`model` appears twice")
    );
}

#[test]
fn says_what_is_wrong_without_the_parser_s_own_names_and_places() {
    for (member, expected) in [
        (
            r#""response_format": "json""#,
            "expected an object with a type",
        ),
        (r#""stream_options": "x""#, "expected an object"),
        (r#""stream": "yes""#, "expected a boolean"),
    ] {
        let json = format!(r#"{{"model": "m", {member}, "messages": []}}"#);
        let (message, _) = error(&json);
        // Behind the value, not behind so many bytes of it.
        let column = json.find(member).expect("it is in there") + member.len();
        let expected = format!("{expected} at line 1 column {column}");
        assert!(message.ends_with(&expected), "{message}");
    }
}

#[test]
fn a_translation_names_the_member_of_a_mistake() {
    let messages = r#"[{"role": "user", "content": "x"}]"#;
    for (text, param) in [
        (format!(r#"{{"model": "m", "messages": {messages}, "tools": ["x"]}}"#), "tools"),
        (
            format!("{{\"model\": \"m\",\n\"messages\": {messages},\n\"tools\": [\n{{\"type\": 1}}]}}"),
            "tools",
        ),
        (
            r#"{"model": "m", "messages": [{"role": "user", "content": "x", "tool_calls": [1]}], "n": 1}"#
                .to_owned(),
            "messages",
        ),
    ] {
        let chat = Chat::parse(text).expect("nobody has looked there");
        let error = chat.conversation().expect_err("somebody does");
        assert_eq!(error.param(), Some(param), "{error}");
        assert!(!error.message().contains("struct "), "{error}");
    }
}

#[test]
fn refuses_a_model_whose_name_is_a_text_of_its_own() {
    let chat = |length: usize| {
        let model = "m".repeat(length);
        format!(r#"{{"model": "{model}", "messages": [{{"role": "user", "content": "x"}}]}}"#)
    };
    assert!(Chat::parse(chat(512)).is_ok());
    let (message, param) = error(&chat(513));
    assert!(message.len() < 100, "{message}");
    assert_eq!(param.as_deref(), Some("model"));
}

#[test]
fn refuses_what_is_nested_too_deep_wherever_it_stands() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for json in [
        deep.clone(),
        format!(
            r#"{{"model": "m", "x": {deep}, "messages": [{{"role": "user", "content": "x"}}]}}"#
        ),
        format!(r#"{{"model": "m", "messages": {deep}}}"#),
        format!(r#"{{"model": "m", "messages": [{{"role": "user", "x": {deep}}}]}}"#),
        format!(r#"{{"model": "m", "tools": {deep}, "messages": []}}"#),
    ] {
        error(&json);
    }
    let brackets_in_text = format!(
        r#"{{"model": "m", "x": "{}", "messages": [{{"role": "user"}}]}}"#,
        "[".repeat(500)
    );
    assert!(Chat::parse(brackets_in_text).is_ok());
}

#[test]
fn edits_change_only_what_they_name() {
    let source = "{ \"temperature\":1.0 ,\n\t\"model\" : \"old\",\"x\":[1, 2],\"max_tokens\": 5 ,\"messages\":[ {\"role\":\"user\"} ]  , \"seed\":3}\n";
    let chat = Chat::parse(source).expect("valid");
    assert_eq!(chat.edit().finish(), source);
    assert_eq!(
        chat.edit().set_model("n\"ew").finish(),
        source.replace("\"old\"", "\"n\\\"ew\"")
    );
    assert_eq!(
        chat.edit().remove("temperature").finish(),
        source.replace("\"temperature\":1.0 ,\n\t", "")
    );
    assert_eq!(
        chat.edit().remove("seed").finish(),
        source.replace("  , \"seed\":3", "")
    );
    assert_eq!(
        chat.edit()
            .rename("max_tokens", "max_completion_tokens")
            .finish(),
        source.replace("max_tokens", "max_completion_tokens")
    );
    assert_eq!(
        chat.edit().set("stream_options", "{}").finish(),
        source.replace("\"seed\":3}", "\"seed\":3,\"stream_options\":{}}")
    );
}

mod survives {
    use super::Chat;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>()
                .prop_filter("finite", |f| f.is_finite())
                .prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(".*", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_other_byte(members in prop::collection::vec((".*", value()), 0..8), pretty: bool, target in ".*") {
            let mut object = Map::new();
            for (key, value) in members {
                if !super::super::KNOWN.contains(&key.as_str()) {
                    object.insert(key, value);
                }
            }
            object.insert("model".into(), json!("the-model-that-was-asked-for"));
            object.insert("messages".into(), json!([{"role": "user", "content": "x", "odd": [{}]}]));
            let text = if pretty {
                serde_json::to_string_pretty(&object)
            } else {
                serde_json::to_string(&object)
            }
            .expect("JSON");
            let chat = Chat::parse(text.clone()).expect("valid");
            let forwarded = chat.edit().set_model(&target).finish();
            let expected = text.replace(
                "\"the-model-that-was-asked-for\"",
                &serde_json::to_string(&target).expect("JSON"),
            );
            prop_assert_eq!(forwarded, expected);
        }

        #[test]
        fn any_bytes_at_all(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Chat::parse(bytes);
        }
    }
}
