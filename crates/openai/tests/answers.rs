//! What answers become.

#[path = "../../chat/tests/dialects/mod.rs"]
mod support;

use backstop_chat::Finish;
use backstop_core::FailureKind::{self, *};
use backstop_core::{Frame, UsageSource};
use backstop_openai::OpenAi;
use proptest::prelude::*;
use serde_json::json;

use crate::support::{Read, chat, read};

const EVENTS: Option<&str> = Some("text/event-stream; charset=utf-8");
const JSON: Option<&str> = Some("application/json");

fn dialect() -> OpenAi {
    OpenAi::new("sk-1".into())
}

/// A streamed answer to a caller who asks for usage, too.
fn stream(text: &str) -> Read {
    let chat = chat(json!({"stream": true, "stream_options": {"include_usage": true}}));
    read(&dialect(), &chat, EVENTS, [text.as_bytes()])
}

fn document(text: &str) -> Read {
    read(&dialect(), &chat(json!({})), JSON, [text.as_bytes()])
}

fn event(json: &str) -> String {
    format!("data: {json}\n\n")
}

/// A chunk with one choice.
fn chunk(delta: &str, finish: &str) -> String {
    event(&format!(
        r#"{{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}],"usage":null}}"#
    ))
}

fn role() -> String {
    chunk(
        r#"{"role":"assistant","content":"","refusal":null}"#,
        "null",
    )
}

fn text(text: &str) -> String {
    chunk(&json!({"content": text}).to_string(), "null")
}

fn stop() -> String {
    chunk("{}", r#""stop""#)
}

const DONE: &str = "data: [DONE]\n\n";
const USAGE: &str = r#"{"id":"c1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":2}}}"#;

/// Everything that happens in a stream.
fn recorded() -> String {
    [
        event(r#"{"id":"c1","choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#),
        role(),
        ": OPENROUTER PROCESSING\n\n".to_owned(),
        chunk(r#"{"reasoning_content":"Hm"}"#, "null"),
        text("Grüße 🐕 \"quoted\"\n"),
        "event: message\r\ndata: {\"choices\":[{\"index\":0,\r\ndata: \"delta\":{\"content\":\"two lines\"}}]}\r\n\r\n".to_owned(),
        chunk(r#"{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}"#, "null"),
        chunk(r#"{"tool_calls":[{"index":1,"id":"call_2","type":"function","function":{"name":"g","arguments":"{"}}]}"#, "null"),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"q\":1}"}}]}"#, "null"),
        chunk(r#"{"tool_calls":[{"index":1,"function":{"arguments":"}"}}]}"#, "null"),
        chunk("{}", r#""tool_calls""#),
        event(USAGE),
        DONE.to_owned(),
    ]
    .concat()
}

#[test]
fn a_stream_goes_on_as_it_came() {
    let frames = [role(), text("Hel"), text("lo"), stop(), event(USAGE)];
    let answer = stream(&(frames.concat() + DONE));
    assert!(answer.error.is_none(), "{answer:?}");
    assert_eq!(answer.bytes(), frames.concat());
    let news: Vec<_> = answer
        .chunks
        .iter()
        .map(|chunk| {
            (
                chunk.is_content(),
                chunk.meta().finish,
                chunk.is_terminal(),
                chunk.usage().is_some(),
            )
        })
        .collect();
    assert_eq!(
        news,
        [
            (false, None, false, false),
            (true, None, false, false),
            (true, None, false, false),
            (false, Some(Finish::Stop), true, false),
            (false, None, false, true),
        ]
    );
    let usage = answer.chunks[4].usage().expect("usage");
    assert_eq!(
        (usage.input, usage.output, usage.cached, usage.reasoning),
        (9, 4, 3, 2)
    );
    assert_eq!(usage.source, UsageSource::Provider);
}

#[test]
fn usage_that_only_we_asked_for_is_not_shown() {
    let chat = chat(json!({"stream": true}));
    let text = [role(), text("x"), stop(), event(USAGE), DONE.to_owned()].concat();
    let answer = read(&dialect(), &chat, EVENTS, [text.as_bytes()]);
    assert!(!answer.bytes().contains("prompt_tokens"));
    let last = answer.chunks.last().expect("chunks");
    assert_eq!(last.usage().map(|usage| usage.input), Some(9));
    // What a server says unasked, it says to the caller.
    let answer = read(
        &dialect().ask_usage(false),
        &chat,
        EVENTS,
        [text.as_bytes()],
    );
    assert!(answer.bytes().contains("prompt_tokens"));
}

#[test]
fn every_kind_of_content_is_noticed() {
    for (delta, content) in [
        (r#"{"role":"assistant"}"#, false),
        (r#"{"content":""}"#, false),
        (
            r#"{"content":null,"refusal":null,"tool_calls":null}"#,
            false,
        ),
        (r#"{"content":[],"tool_calls":[]}"#, false),
        (r#"{"content":"x"}"#, true),
        (r#"{"content":"\u00e9\n"}"#, true),
        (r#"{"content":[{"type":"thinking"}]}"#, true),
        (r#"{"refusal":"no"}"#, true),
        (r#"{"reasoning":"hm"}"#, true),
        (r#"{"reasoning_content":"hm"}"#, true),
        (r#"{"tool_calls":[{"index":0}]}"#, true),
        (r#"{"function_call":{"name":"f"}}"#, true),
        ("null", false),
    ] {
        let answer = stream(&chunk(delta, "null"));
        assert_eq!(answer.chunks[0].is_content(), content, "{delta}");
    }
}

#[test]
fn what_ends_a_stream() {
    let said = role() + &text("x");
    // What follows some text, the kind of failure, and whether the answer was proven complete.
    for (rest, failure, proven) in [
        (stop() + DONE, None, true),
        (stop() + "data: [DONE] and more\n\n", None, true),
        (stop() + "data: [DONE]", None, true),
        (stop(), None, true),
        (stop().trim_end().to_owned(), None, true),
        (chunk("{}", r#""length""#) + DONE, None, true),
        (chunk("{}", r#""content_filter""#) + DONE, None, true),
        (chunk("{}", r#""never_heard_of""#) + DONE, None, true),
        // An annotation behind the end is no truncation.
        (
            stop() + &chunk(r#"{"content_filter_offsets":{}}"#, "null") + DONE,
            None,
            true,
        ),
        (
            stop() + &event("garbage") + &event(r#"{"choices":5}"#) + DONE,
            None,
            true,
        ),
        // An error is one wherever it comes.
        (
            stop() + &event(r#"{"error":{"code":429}}"#),
            Some(RateLimit),
            true,
        ),
        // Not complete.
        (String::new(), Some(Network), false),
        (DONE.to_owned(), Some(Network), false),
        (chunk("{}", "null"), Some(Network), false),
        (chunk("{}", r#""""#) + DONE, Some(Network), false),
        (
            "data: {\"choices\":[{\"ind".to_owned(),
            Some(Network),
            false,
        ),
        // Ollama's error after the start: an empty chunk, and the end.
        (
            event(r#"{"id":"","object":"","created":0,"model":"","choices":null}"#),
            Some(Network),
            false,
        ),
        // Errors.
        (
            event(r#"{"error":{"message":"boom","type":"server_error","code":null}}"#) + DONE,
            Some(ServerError),
            false,
        ),
        (
            event(r#"{"error":{"message":"slow","code":504}}"#) + DONE,
            Some(Timeout),
            false,
        ),
        (
            event(r#"{"error":{"code":"rate_limit_exceeded"}}"#),
            Some(RateLimit),
            false,
        ),
        (
            event(r#"{"error":"an error was encountered"}"#),
            Some(ServerError),
            false,
        ),
        (
            event(r#"{"object":"error","message":"boom","code":503}"#),
            Some(Overloaded),
            false,
        ),
        (
            event(r#"[{"error":{"code":503,"status":"UNAVAILABLE"}}]"#),
            Some(Overloaded),
            false,
        ),
        (
            "event: error\n".to_owned() + &event(r#"{"error":{"code":429}}"#),
            Some(RateLimit),
            false,
        ),
        (
            event(
                r#"{"id":"x","error":{"code":502,"message":"gone"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#,
            ),
            Some(ServerError),
            false,
        ),
        (chunk("{}", r#""error""#), Some(ServerError), false),
        (chunk("{}", r#""abort""#) + DONE, Some(ServerError), false),
        (
            chunk("{}", r#""insufficient_system_resource""#) + DONE,
            Some(ServerError),
            false,
        ),
        (
            chunk("{}", r#""network_error""#) + DONE,
            Some(ServerError),
            false,
        ),
        // Garbage.
        (event("{\"choices\":"), Some(ServerError), false),
        (event("hello"), Some(ServerError), false),
        (event("[]"), Some(ServerError), false),
        (event("7"), Some(ServerError), false),
        (event(r#"{"choices":5}"#), Some(ServerError), false),
    ] {
        let answer = stream(&(said.clone() + &rest));
        assert_eq!(answer.kind(), failure, "{rest}");
        assert_eq!(answer.is_proven(), proven, "{rest}");
        assert!(
            answer.bytes().starts_with(&said),
            "what came before stays: {rest}"
        );
    }
}

#[test]
fn an_error_that_is_none() {
    for none in ["null", "false", "\"\"", "{}"] {
        let frame = event(&format!(
            r#"{{"error":{none},"choices":[{{"index":0,"delta":{{"content":"x"}},"finish_reason":"stop"}}]}}"#
        ));
        assert!(stream(&frame).error.is_none(), "{none}");
    }
}

#[test]
fn an_error_comes_before_done() {
    let answer = stream(
        &(event(r#"{"error":{"message":"The server had an error","type":"server_error"}}"#) + DONE),
    );
    assert_eq!(answer.kind(), Some(ServerError));
    let error = answer.error.expect("an error");
    assert_eq!(error.message(), Some("The server had an error"));
    assert!(answer.chunks.is_empty());
}

#[test]
fn no_second_finish_reason() {
    let again = event(
        r#"{"id":"c1","choices":[{"index":0,"delta":{"content":""},"finish_reason": "stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4}}"#,
    );
    let answer = stream(&(text("x") + &stop() + &again + DONE));
    assert!(answer.error.is_none());
    assert_eq!(answer.bytes().matches(r#""stop""#).count(), 1);
    assert_eq!(answer.proofs(), 1);
    let last = answer.chunks.last().expect("chunks");
    assert_eq!(last.meta().finish, None);
    assert_eq!(last.usage().map(|usage| usage.output), Some(4));
    assert!(answer.bytes().ends_with(
        "\"finish_reason\": null}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\n"
    ));
}

#[test]
fn reasons_of_other_servers_become_openais() {
    for (theirs, ours) in [
        ("model_length", Finish::Length),
        ("sensitive", Finish::ContentFilter),
        ("eos", Finish::Stop),
    ] {
        let answer = stream(&(text("x") + &chunk("{}", &format!("\"{theirs}\""))));
        assert!(answer.error.is_none());
        assert_eq!(answer.chunks[1].meta().finish, Some(ours));
        assert!(
            answer
                .bytes()
                .contains(&format!(r#""finish_reason":"{}""#, ours.as_str()))
        );
        assert!(!answer.bytes().contains(theirs));
        let body = format!(
            r#"{{"choices":[{{"message":{{"content":"x"}},"finish_reason":"{theirs}"}}]}}"#
        );
        assert_eq!(document(&body).bytes(), body.replace(theirs, ours.as_str()));
    }
}

#[test]
fn each_choice_has_its_own_end() {
    let chat = chat(json!({"stream": true, "n": 2}));
    let choice = |index: u32, finish: &str| {
        event(&format!(
            r#"{{"choices":[{{"index":{index},"delta":{{"content":"x"}},"finish_reason":{finish}}}]}}"#
        ))
    };
    let go = |text: &str| read(&dialect(), &chat, EVENTS, [text.as_bytes()]);
    let (first, second) = (choice(0, r#""stop""#), choice(1, r#""length""#));

    let answer = go(&(first.clone() + &second));
    assert!(answer.error.is_none());
    assert_eq!(
        (
            answer.chunks[0].is_terminal(),
            answer.chunks[1].is_terminal()
        ),
        (false, true)
    );
    assert_eq!(go(&first).kind(), Some(Network));
    assert_eq!(
        go(&(choice(1, "null") + &first + DONE)).kind(),
        Some(Network)
    );
    // A server that ignores `n` says so with its `[DONE]`.
    let answer = go(&(first + DONE));
    assert!(answer.error.is_none());
    assert_eq!(answer.proofs(), 1);
    // Two in one frame.
    let both = event(
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"},{"index":1,"delta":{},"finish_reason":"stop"}]}"#,
    );
    assert!(go(&both).chunks[0].is_terminal());
}

#[test]
fn a_comment_is_a_sign_of_life() {
    let answer = stream(&(": keep-alive\n\n".to_owned() + &text("x") + &stop()));
    assert_eq!(answer.chunks[0].clone().into_bytes(), ":\n\n");
    assert!(!answer.chunks[0].is_content());
}

#[test]
fn nothing_is_read_behind_the_end() {
    let answer = stream(&(text("x") + &stop() + DONE + &event("garbage")));
    assert!(answer.error.is_none());
}

#[test]
fn running_usage_is_partial() {
    let running = event(
        r#"{"choices":[{"index":0,"delta":{"content":"x"}}],"usage":{"prompt_tokens":9,"completion_tokens":1.0,"total_tokens":null}}"#,
    );
    let answer = stream(&running);
    let usage = answer.chunks[0].usage().expect("usage");
    assert_eq!((usage.output, usage.source), (1, UsageSource::Partial));
}

#[test]
fn every_split_gives_the_same() {
    let text = recorded();
    let bytes = text.as_bytes();
    let whole = stream(&text);
    assert!(whole.error.is_none(), "{whole:?}");
    let chat = chat(json!({"stream": true, "stream_options": {"include_usage": true}}));
    for at in 0..bytes.len() {
        let (front, back) = bytes.split_at(at);
        let answer = read(&dialect(), &chat, EVENTS, [front, back]);
        assert_eq!(answer.all(), whole.all(), "split at {at}");
    }
    let single = read(&dialect(), &chat, EVENTS, bytes.chunks(1));
    assert_eq!(single.all(), whole.all());
}

proptest! {
    #[test]
    fn many_splits_give_the_same(mut cuts in prop::collection::vec(0_usize..2000, 0..12)) {
        let text = recorded();
        let bytes = text.as_bytes();
        cuts.iter_mut().for_each(|cut| *cut %= bytes.len());
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
        let chat = chat(json!({"stream": true, "stream_options": {"include_usage": true}}));
        prop_assert_eq!(read(&dialect(), &chat, EVENTS, pieces).all(), stream(&text).all());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), streamed: bool) {
        let chat = chat(json!({"stream": streamed}));
        let answer = read(&dialect(), &chat, None, [&bytes[..]]);
        prop_assert!(answer.error.is_some());
    }

    #[test]
    fn no_json_makes_it_panic(json in "[\\[\\]{}:,\"0-9a-z]{0,40}") {
        let _ = stream(&event(&format!(r#"{{"choices":{json}}}"#)));
        let _ = document(&format!(r#"{{"choices":[{{"message":{json}}}]}}"#));
    }
}

#[test]
fn cut_off_anywhere_it_never_ends_well_before_its_proof() {
    let text = recorded();
    for at in 0..text.len() {
        let chat = chat(json!({"stream": true}));
        let answer = read(&dialect(), &chat, EVENTS, [&text.as_bytes()[..at]]);
        if answer.is_proven() {
            assert!(answer.error.is_none(), "cut at {at}");
        } else {
            assert_eq!(answer.kind(), Some(Network), "cut at {at}");
        }
    }
}

#[test]
fn a_document_goes_on_as_it_came() {
    let body = "{ \"choices\" : [{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"finish_reason\":\"stop\"}],\n \"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4,\"prompt_cache_hit_tokens\":5}, \"x\": 1.0 }";
    for blank in ["", "\n\n", "\r\n \r\n"] {
        let answer = document(&format!("{blank}{body}"));
        assert!(answer.error.is_none());
        assert_eq!(answer.bytes(), body);
        let meta = answer.chunks[0].meta();
        assert!(meta.text && meta.terminal);
        assert_eq!(meta.finish, Some(Finish::Stop));
        let usage = meta.usage.expect("usage");
        assert_eq!((usage.input, usage.output, usage.cached), (9, 4, 5));
    }
}

#[test]
fn verdicts_in_a_200() {
    let filter =
        document(r#"{"choices":[{"message":{"content":null},"finish_reason":"content_filter"}]}"#);
    assert!(filter.error.is_none());
    assert_eq!(
        filter.chunks[0].failure().map(|failure| failure.kind()),
        Some(ContentFilter)
    );
    // Azure: the filter did not run, and the answer is there.
    let outage = document(
        r#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop","content_filter_results":{"error":{"code":"content_filter_error","message":"timed out"}}}]}"#,
    );
    assert!(outage.error.is_none());
    assert!(outage.chunks[0].failure().is_none());
    // The model's own refusal is an answer.
    let refusal = document(
        r#"{"choices":[{"message":{"content":null,"refusal":"I cannot"},"finish_reason":"stop"}]}"#,
    );
    assert!(refusal.chunks[0].meta().refusal && refusal.chunks[0].failure().is_none());
    // One of two was filtered.
    let one = document(
        r#"{"choices":[{"message":{"content":""},"finish_reason":"content_filter"},{"index":1,"message":{"content":"x"},"finish_reason":"stop"}]}"#,
    );
    assert_eq!(one.chunks[0].meta().finish, Some(Finish::Stop));
}

#[test]
fn documents_that_are_no_answers() {
    for (body, kind) in [
        ("", ServerError),
        ("\n\n \n", ServerError),
        ("<html>Bad gateway</html>", ServerError),
        ("upstream connect error", ServerError),
        ("{}", ServerError),
        ("[]", ServerError),
        (r#"{"choices":[]}"#, ServerError),
        (r#"{"choices":null}"#, ServerError),
        (r#"{"choices":"x"}"#, ServerError),
        (
            r#"{"choices":[{"message":{"content":"x"},"finish_reason":"error"}]}"#,
            ServerError,
        ),
        (r#"{"choices":[{"message":{"content":"#, Network),
        (r#"{"choices":[{"message":{}}]} trailing"#, ServerError),
        (r#"{"error":{"code":"insufficient_quota"}}"#, QuotaExhausted),
        (
            r#"{"error":{"code":502,"message":"Bad gateway"}}"#,
            ServerError,
        ),
        (r#"{"error":{"code":429,"message":"slow down"}}"#, RateLimit),
        (
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens"}}"#,
            ContextWindow,
        ),
        (
            r#"[{"error":{"code":503,"status":"UNAVAILABLE"}}]"#,
            Overloaded,
        ),
        (
            r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#,
            ContentFilter,
        ),
        (r#"{"promptFeedback":{}}"#, ServerError),
    ] {
        assert_eq!(document(body).kind(), Some(kind), "{body}");
    }
}

#[test]
fn the_head_tells_what_cannot_be() {
    let ask = |streamed: bool, media, body: &str| {
        let chat = chat(json!({"stream": streamed}));
        read(&dialect(), &chat, media, [body.as_bytes()])
    };
    let good = r#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#;
    let streamed = text("x") + &stop();
    let kind = |answer: Read| answer.kind();
    let none: Option<FailureKind> = None;
    for media in [Some("text/html"), Some("Text/HTML; charset=utf-8")] {
        assert_eq!(kind(ask(false, media, good)), Some(ServerError));
        assert_eq!(kind(ask(true, media, &streamed)), Some(ServerError));
    }
    assert_eq!(kind(ask(true, JSON, good)), Some(ServerError));
    assert_eq!(
        kind(ask(true, JSON, r#"{"error":{"code":429}}"#)),
        Some(RateLimit)
    );
    assert_eq!(kind(ask(false, EVENTS, &streamed)), Some(ServerError));
    // Servers that name nothing, or something odd.
    assert_eq!(
        kind(ask(false, Some("text/plain"), good)),
        Some(ServerError)
    );
    for media in [None, Some("application/octet-stream")] {
        assert_eq!(kind(ask(false, media, good)), none);
        assert_eq!(kind(ask(true, media, &streamed)), none);
    }
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let piece = vec![b' '; 1 << 20];
    let chat = chat(json!({}));
    let answer = read(&dialect(), &chat, JSON, std::iter::repeat_n(&piece[..], 65));
    assert_eq!(answer.kind(), Some(ServerError));
    let chat = support::chat(json!({"stream": true}));
    let answer = read(
        &dialect(),
        &chat,
        EVENTS,
        std::iter::repeat_n(&piece[..], 17),
    );
    assert_eq!(answer.kind(), Some(ServerError));
}

#[test]
fn a_key_is_hidden_in_errors_inside_a_200() {
    let dialect = OpenAi::new("swordfish-1".into());
    let event =
        "data: {\"error\":{\"message\":\"no such key: swordfish-1\",\"code\":\"swordfish-1\"}}\n\n";
    let document = "{\"error\":{\"message\":\"no such key: swordfish-1\"}}";
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
