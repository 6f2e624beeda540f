//! What answers become: Anthropic's format in, OpenAI's out.

#[path = "../../chat/tests/dialects/mod.rs"]
mod support;

use backstop_anthropic::Anthropic;
use backstop_chat::Finish;
use backstop_core::FailureKind::*;
use backstop_core::{Frame, UsageSource};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Read, chat, read};

const EVENTS: Option<&str> = Some("text/event-stream");
const JSON: Option<&str> = Some("application/json");

fn dialect() -> Anthropic {
    Anthropic::new("key-of-mine".into()).model("claude-sonnet-4-6")
}

fn stream(text: &str) -> Read {
    let chat = chat(json!({"stream": true, "stream_options": {"include_usage": true}}));
    read(&dialect(), &chat, EVENTS, [text.as_bytes()])
}

fn document(body: &Value) -> Read {
    read(
        &dialect(),
        &chat(json!({})),
        JSON,
        [body.to_string().as_bytes()],
    )
}

fn event(data: &Value) -> String {
    let kind = data["type"].as_str().expect("a type");
    format!("event: {kind}\ndata: {data}\n\n")
}

fn start() -> String {
    event(
        &json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
        "model": "claude-sonnet-4-6", "content": [], "stop_reason": null,
        "usage": {"input_tokens": 9, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3, "output_tokens": 1}}}),
    )
}

fn begin(index: u32, block: &Value) -> String {
    event(&json!({"type": "content_block_start", "index": index, "content_block": block}))
}

fn delta(index: u32, delta: &Value) -> String {
    event(&json!({"type": "content_block_delta", "index": index, "delta": delta}))
}

fn close(index: u32) -> String {
    event(&json!({"type": "content_block_stop", "index": index}))
}

fn turn(reason: &str) -> String {
    event(
        &json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
        "usage": {"output_tokens": 42, "output_tokens_details": {"thinking_tokens": 5}}}),
    )
}

fn stop() -> String {
    event(&json!({"type": "message_stop"}))
}

fn ping() -> String {
    event(&json!({"type": "ping"}))
}

fn text(index: u32, text: &str) -> String {
    begin(index, &json!({"type": "text", "text": ""}))
        + &delta(index, &json!({"type": "text_delta", "text": text}))
        + &close(index)
}

/// Everything that happens in a stream: thinking, text, a tool of Anthropic's own, two calls, one without arguments.
fn recorded() -> String {
    [
        start(),
        ping(),
        begin(0, &json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, &json!({"type": "thinking_delta", "thinking": "Hm"})),
        delta(0, &json!({"type": "signature_delta", "signature": "EqQB"})),
        close(0),
        text(1, "Grüße 🐕 \"quoted\"\n"),
        begin(2, &json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}})),
        delta(2, &json!({"type": "input_json_delta", "partial_json": "{\"query\":\"x\"}"})),
        close(2),
        event(&json!({"type": "not_yet_invented", "x": 1})),
        begin(3, &json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}})),
        begin(4, &json!({"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}})),
        delta(3, &json!({"type": "input_json_delta", "partial_json": ""})),
        delta(3, &json!({"type": "input_json_delta", "partial_json": "{\"q\":"})),
        close(4),
        delta(3, &json!({"type": "input_json_delta", "partial_json": "1}"})),
        close(3),
        turn("tool_use"),
        stop(),
    ]
    .concat()
}

/// The JSON of every chunk that has some.
fn chunks(answer: &Read) -> Vec<Value> {
    answer
        .chunks
        .iter()
        .filter(|chunk| !chunk.json().is_empty())
        .map(|chunk| serde_json::from_slice(chunk.json()).expect("JSON"))
        .collect()
}

#[test]
fn a_stream_as_openai_writes_it() {
    let answer = stream(&recorded());
    assert!(answer.error.is_none(), "{answer:?}");
    let chunks = chunks(&answer);
    let deltas: Vec<_> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"].get(0))
        .map(|choice| choice["delta"].clone())
        .collect();
    let call = |index: u32, id: &str, name: &str| json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}]});
    let arguments = |index: u32, json: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": json}}]});
    assert_eq!(
        deltas,
        [
            json!({"role": "assistant", "content": ""}),
            json!({"reasoning_content": "Hm"}),
            json!({"content": "Grüße 🐕 \"quoted\"\n"}),
            call(0, "toolu_1", "f"),
            call(1, "toolu_2", "g"),
            arguments(0, "{\"q\":"),
            arguments(1, "{}"),
            arguments(0, "1}"),
            json!({}),
        ]
    );
    for chunk in &chunks {
        assert_eq!(
            (&chunk["id"], &chunk["model"]),
            (&json!("msg_1"), &json!("claude-sonnet-4-6"))
        );
        assert_eq!(chunk["object"], "chat.completion.chunk");
    }
    let [.., finish, usage] = &chunks[..] else {
        panic!("an end");
    };
    assert_eq!(finish["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(
        (
            &usage["usage"]["prompt_tokens"],
            &usage["usage"]["completion_tokens"]
        ),
        (&json!(14), &json!(42))
    );
    assert_eq!(
        usage["usage"]["prompt_tokens_details"],
        json!({"cached_tokens": 3, "cache_write_tokens": 2})
    );
    assert_eq!(
        usage["usage"]["completion_tokens_details"]["reasoning_tokens"],
        5
    );
}

#[test]
fn what_the_cache_keeps_for_an_hour_is_known() {
    // The sum, how it is split, and what both amount to.
    for (sum, split, expected) in [
        (
            json!(7),
            json!({"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 3}),
            (16, 7, 3),
        ),
        (json!(7), Value::Null, (16, 7, 0)),
        (
            json!(null),
            json!({"ephemeral_1h_input_tokens": 3}),
            (12, 3, 3),
        ),
    ] {
        let first = event(
            &json!({"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": {
            "input_tokens": 9, "cache_creation_input_tokens": &sum, "cache_creation": &split, "output_tokens": 1}}}),
        );
        // What follows says nothing of it.
        let answer = stream(&(first + &text(0, "x") + &turn("end_turn") + &stop()));
        let reports = answer.chunks.iter().filter_map(|chunk| chunk.usage());
        let caches: Vec<_> = reports
            .map(|usage| (usage.input, usage.cache_write, usage.cache_write_1h))
            .collect();
        assert_eq!(caches, [expected; 2], "{sum} {split}");
    }
}

#[test]
fn usage_is_reported_early_and_late() {
    let answer = stream(&(start() + &text(0, "x") + &turn("end_turn") + &stop()));
    let reports: Vec<_> = answer
        .chunks
        .iter()
        .filter_map(|chunk| chunk.usage())
        .map(|usage| (usage.input, usage.output, usage.source))
        .collect();
    assert_eq!(
        reports,
        [
            (14, 1, UsageSource::Partial),
            (14, 42, UsageSource::Provider)
        ]
    );
    // Nobody asked: it is news for the layers alone.
    let chat = chat(json!({"stream": true}));
    let whole = start() + &text(0, "x") + &turn("end_turn") + &stop();
    let answer = read(&dialect(), &chat, EVENTS, [whole.as_bytes()]);
    assert!(!answer.bytes().contains("prompt_tokens"));
    assert_eq!(
        answer
            .chunks
            .last()
            .and_then(|chunk| chunk.usage())
            .map(|usage| usage.output),
        Some(42)
    );
}

#[test]
fn what_ends_a_stream() {
    let said = start() + &text(0, "x");
    let failed =
        |kind: &str| event(&json!({"type": "error", "error": {"type": kind, "message": "m"}}));
    // What follows some text, the kind of failure, and whether the answer was proven complete.
    for (rest, failure, proven) in [
        (turn("end_turn") + &stop(), None, true),
        (turn("never_heard_of") + &stop(), None, true),
        (turn("end_turn") + stop().trim_end(), None, true),
        (turn("end_turn") + "event: message_stop\n", None, true),
        (turn("end_turn"), None, true),
        (turn("model_context_window_exceeded") + &stop(), None, true),
        (turn("end_turn") + &stop() + "garbage", None, true),
        // Not complete.
        (String::new(), Some(Network), false),
        (ping(), Some(Network), false),
        (stop(), Some(Network), false),
        (
            delta(0, &json!({"type": "text_delta", "text": "y"}))
                .trim_end_matches("}\n\n")
                .to_owned(),
            Some(Network),
            false,
        ),
        // Errors.
        (failed("overloaded_error"), Some(Overloaded), false),
        (failed("api_error"), Some(ServerError), false),
        (failed("rate_limit_error"), Some(RateLimit), false),
        (failed("invalid_request_error"), Some(BadRequest), false),
        (failed("never_heard_of"), Some(ServerError), false),
        (event(&json!({"type": "error"})), Some(ServerError), false),
        // The reason is not given away before the end, so an error can still replace it.
        (
            turn("end_turn") + &failed("overloaded_error"),
            Some(Overloaded),
            false,
        ),
        (
            event(&json!({"type": "error", "message": "m", "error": {"type": "overloaded_error"}})),
            Some(Overloaded),
            false,
        ),
        // An event of the future, with our names for other things.
        (
            event(&json!({"type": "not_yet_invented", "delta": "x", "message": 5}))
                + &turn("end_turn")
                + &stop(),
            None,
            true,
        ),
        (
            event(&json!({"type": "content_block_delta", "delta": "x"})),
            Some(ServerError),
            false,
        ),
        // Garbage.
        ("data: {\"type\":\n\n".to_owned(), Some(ServerError), false),
        ("data: hello\n\n".to_owned(), Some(ServerError), false),
        ("data: {}\n\n".to_owned(), Some(ServerError), false),
        (start(), Some(ServerError), false),
    ] {
        let answer = stream(&(said.clone() + &rest));
        assert_eq!(answer.kind(), failure, "{rest}");
        assert_eq!(answer.is_proven(), proven, "{rest}");
        assert_eq!(answer.proofs(), usize::from(proven), "{rest}");
        assert!(
            answer.bytes().contains(r#"{"content":"x"}"#),
            "what came before stays: {rest}"
        );
        assert_eq!(
            answer.bytes().contains(r#""finish_reason":""#),
            proven,
            "{rest}"
        );
    }
    for early in [
        text(0, "x"),
        delta(0, &json!({"type": "text_delta", "text": "y"})),
        turn("end_turn") + &stop(),
    ] {
        assert_eq!(stream(&early).kind(), Some(ServerError), "{early}");
    }
}

#[test]
fn stop_reasons() {
    for (reason, finish) in [
        ("end_turn", Finish::Stop),
        ("stop_sequence", Finish::Stop),
        ("tool_use", Finish::ToolCalls),
        ("max_tokens", Finish::Length),
        ("pause_turn", Finish::Length),
        ("model_context_window_exceeded", Finish::Length),
        ("refusal", Finish::ContentFilter),
        ("never_heard_of", Finish::Other),
    ] {
        let answer = stream(&(start() + &text(0, "x") + &turn(reason) + &stop()));
        let last = answer
            .chunks
            .iter()
            .find(|chunk| chunk.is_terminal())
            .expect("a proof");
        assert_eq!(last.meta().finish, Some(finish), "{reason}");
        let whole = json!({"type": "message", "content": [{"type": "text", "text": "x"}], "stop_reason": reason});
        assert_eq!(
            document(&whole).chunks[0].meta().finish,
            Some(finish),
            "{reason}"
        );
    }
}

#[test]
fn a_refusal_without_a_word() {
    // Some come with the end of a block that never began.
    for block in [String::new(), close(0)] {
        let answer = stream(&(start() + &block + &turn("refusal") + &stop()));
        assert!(answer.error.is_none());
        let verdict = answer.chunks.iter().find_map(|chunk| chunk.failure());
        assert_eq!(verdict.map(|failure| failure.kind()), Some(ContentFilter));
        assert!(answer.chunks.iter().all(|chunk| !chunk.is_content()));
    }
    let answer = document(
        &json!({"id": "msg_1", "type": "message", "content": [], "stop_reason": "refusal",
        "stop_details": {"type": "refusal", "category": "cyber"}}),
    );
    assert!(answer.error.is_none());
    assert_eq!(
        answer.chunks[0].failure().map(|failure| failure.kind()),
        Some(ContentFilter)
    );
    assert_eq!(
        chunks(&answer)[0]["choices"][0]["finish_reason"],
        "content_filter"
    );
}

#[test]
fn a_window_that_is_full_before_a_word() {
    let reason = "model_context_window_exceeded";
    assert_eq!(
        stream(&(start() + &turn(reason) + &stop())).kind(),
        Some(ContextWindow)
    );
    let empty = json!({"type": "message", "content": [], "stop_reason": reason});
    assert_eq!(document(&empty).kind(), Some(ContextWindow));
}

#[test]
fn arguments_that_come_at_once() {
    let block = json!({"type": "tool_use", "id": "t", "name": "f", "input": {"q": 1}});
    let answer = stream(&(start() + &begin(0, &block) + &close(0) + &turn("tool_use") + &stop()));
    let arguments: String = chunks(&answer)
        .iter()
        .filter_map(|chunk| {
            chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str()
        })
        .collect();
    assert_eq!(arguments, r#"{"q":1}"#);
}

#[test]
fn a_ping_is_a_sign_of_life() {
    let answer = stream(&(start() + &ping()));
    assert_eq!(answer.chunks[2].clone().into_bytes(), ":\n\n");
}

#[test]
fn every_split_gives_the_same() {
    let text = recorded();
    let bytes = text.as_bytes();
    let whole = stream(&text);
    let chat = chat(json!({"stream": true, "stream_options": {"include_usage": true}}));
    for at in 0..bytes.len() {
        let (front, back) = bytes.split_at(at);
        assert_eq!(
            bare(&read(&dialect(), &chat, EVENTS, [front, back])),
            bare(&whole),
            "split at {at}"
        );
    }
    assert_eq!(
        bare(&read(&dialect(), &chat, EVENTS, bytes.chunks(1))),
        bare(&whole)
    );
}

/// Without the time of day.
fn bare(answer: &Read) -> Vec<(Value, backstop_chat::Meta)> {
    let bare = |json: &[u8]| {
        let mut json: Value = serde_json::from_slice(json).unwrap_or_default();
        if let Some(members) = json.as_object_mut() {
            members.remove("created");
        }
        json
    };
    answer
        .chunks
        .iter()
        .map(|chunk| (bare(chunk.json()), *chunk.meta()))
        .collect()
}

proptest! {
    #[test]
    fn many_splits_give_the_same(mut cuts in prop::collection::vec(any::<usize>(), 0..12)) {
        let text = recorded();
        let bytes = text.as_bytes();
        cuts.iter_mut().for_each(|cut| *cut %= bytes.len());
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
        let chat = chat(json!({"stream": true, "stream_options": {"include_usage": true}}));
        prop_assert_eq!(bare(&read(&dialect(), &chat, EVENTS, pieces)), bare(&stream(&text)));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), streamed: bool) {
        let chat = chat(json!({"stream": streamed}));
        let answer = read(&dialect(), &chat, None, [&bytes[..]]);
        prop_assert!(answer.error.is_some());
    }

    #[test]
    fn no_json_makes_it_panic(json in "[\\[\\]{}:,\"0-9a-z]{0,40}") {
        let _ = stream(&(start() + "data: {\"type\":\"content_block_start\",\"content_block\":" + &json + "}\n\n"));
        let _ = stream(&(start() + "data: {\"type\":\"message_delta\",\"usage\":" + &json + "}\n\n"));
    }
}

#[test]
fn cut_off_anywhere_it_never_ends_well_before_its_proof() {
    let text = recorded();
    for at in 0..text.len() {
        let answer = stream(&text[..text.floor_char_boundary(at)]);
        if answer.is_proven() {
            assert!(answer.error.is_none(), "cut at {at}");
        } else {
            assert_eq!(answer.kind(), Some(Network), "cut at {at}");
        }
    }
}

#[test]
fn where_it_ran_is_handed_on() {
    for (reported, place) in [
        (json!("us"), Some("us")),
        (json!("global"), Some("global")),
        (json!("eu"), Some("elsewhere")),
        (json!("not_available"), None),
        (json!(null), None),
    ] {
        let usage = json!({"input_tokens": 9, "output_tokens": 1, "inference_geo": reported});
        let whole = document(&json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-6",
            "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn", "usage": usage,
        }));
        assert_eq!(whole.chunks[0].meta().place, place);
        let begun = event(
            &json!({"type": "message_start", "message": {"id": "msg_1", "type": "message",
            "role": "assistant", "model": "claude-opus-4-6", "content": [], "usage": usage}}),
        );
        let answer = stream(&begun);
        let told = answer.chunks.iter().find_map(|chunk| chunk.meta().place);
        assert_eq!(told, place);
        let before_content = answer.chunks.iter().all(|chunk| !chunk.meta().text);
        assert!(before_content, "it is known before anything is handed on");
    }
}

#[test]
fn a_document_as_openai_writes_it() {
    let answer = document(&json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-6",
        "content": [
            {"type": "thinking", "thinking": "Hm", "signature": "x"},
            {"type": "text", "text": "Hel"},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "text", "text": "lo"},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"q": 1.0}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 9, "cache_read_input_tokens": 3, "output_tokens": 4},
    }));
    assert!(answer.error.is_none(), "{answer:?}");
    let body = &chunks(&answer)[0];
    assert_eq!(
        body["choices"],
        json!([{"index": 0, "finish_reason": "tool_calls", "logprobs": null, "message": {
            "role": "assistant", "content": "Hello", "refusal": null, "reasoning_content": "Hm",
            "tool_calls": [{"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": "{\"q\":1.0}"}}],
        }}])
    );
    assert_eq!(
        (&body["id"], &body["model"]),
        (&json!("msg_1"), &json!("claude-sonnet-4-6"))
    );
    assert_eq!(body["usage"]["prompt_tokens"], 12);
    let meta = answer.chunks[0].meta();
    assert!(meta.text && meta.tool_call && meta.reasoning && meta.terminal);
}

#[test]
fn documents_that_are_no_answers() {
    for (body, kind) in [
        ("", ServerError),
        ("\n \n", ServerError),
        ("<html>Bad gateway</html>", ServerError),
        ("upstream connect error", ServerError),
        ("{}", ServerError),
        ("[]", ServerError),
        (r#"{"type":"message","content":[]}"#, ServerError),
        (
            r#"{"type":"message","content":[{"type":"tool_use"}],"stop_reason":"tool_use"}"#,
            ServerError,
        ),
        (
            r#"{"type":"message","content":"x","stop_reason":"end_turn"}"#,
            ServerError,
        ),
        (r#"{"type":"message","content":[{"type":"te"#, Network),
        (
            r#"{"type":"error","error":{"type":"overloaded_error"}}"#,
            Overloaded,
        ),
    ] {
        let answer = read(&dialect(), &chat(json!({})), JSON, [body.as_bytes()]);
        assert_eq!(answer.kind(), Some(kind), "{body}");
    }
}

#[test]
fn the_head_tells_what_cannot_be() {
    let kind = |streamed: bool, media, body: &str| {
        let chat = chat(json!({"stream": streamed}));
        read(&dialect(), &chat, media, [body.as_bytes()]).kind()
    };
    let good = json!({"type": "message", "content": [], "stop_reason": "end_turn"}).to_string();
    let streamed = start() + &turn("end_turn") + &stop();
    assert_eq!(kind(false, Some("text/html"), &good), Some(ServerError));
    assert_eq!(kind(true, Some("text/html"), &streamed), Some(ServerError));
    assert_eq!(kind(true, JSON, &good), Some(ServerError));
    assert_eq!(
        kind(
            true,
            JSON,
            r#"{"type":"error","error":{"type":"rate_limit_error"}}"#
        ),
        Some(RateLimit)
    );
    assert_eq!(kind(false, EVENTS, &streamed), Some(ServerError));
    for media in [None, Some("application/octet-stream")] {
        assert_eq!(kind(false, media, &good), None);
        assert_eq!(kind(true, media, &streamed), None);
    }
}

#[test]
fn a_key_is_hidden_in_errors_inside_a_200() {
    let dialect = Anthropic::new("swordfish-1".into());
    let event = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"no such key: swordfish-1\"}}\n\n";
    let document = "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"no such key: swordfish-1\"}}";
    for (stream, media, body) in [
        (true, EVENTS, event),
        (true, JSON, document),
        (false, JSON, document),
        // Cut off behind the error.
        (true, EVENTS, event.trim_end()),
    ] {
        let read = read(
            &dialect,
            &chat(json!({"stream": stream})),
            media,
            [body.as_bytes()],
        );
        let error = read.error.expect("an error");
        assert_eq!(error.message(), Some("no such key: [hidden]"));
        assert!(!format!("{error} {error:?}").contains("swordfish"));
    }
}
