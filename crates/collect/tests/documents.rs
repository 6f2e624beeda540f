//! A document that is cut into a stream and collected is the same document.

mod support;

use backstop_chat::emit::{Document, Writer};
use backstop_chat::{Chunk, Finish, Meta};
use backstop_core::Usage;
use proptest::prelude::*;
use serde_json::{Value, json};

use support::collected;

/// Any text, cut at places that respect its characters.
fn pieces() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("\\PC{0,6}|\"|\\\\|\r\n|\u{301}|🦀", 1..6)
}

#[derive(Clone, Debug)]
struct Said {
    content: Option<Vec<String>>,
    reasoning: Option<Vec<String>>,
    refusal: Option<Vec<String>>,
    calls: Vec<(String, Vec<String>)>,
    logprobs: Vec<f64>,
    finish: &'static str,
}

fn said() -> impl Strategy<Value = Said> {
    let calls = prop::collection::vec(("[a-z]{1,5}", pieces()), 0..3);
    let finish = prop::sample::select(vec![
        "stop",
        "length",
        "tool_calls",
        "content_filter",
        "eos",
    ]);
    let logprobs = prop::collection::vec(-20.0..0.0_f64, 0..4);
    let some = || prop::option::of(pieces());
    (some(), some(), some(), calls, logprobs, finish).prop_map(
        |(content, reasoning, refusal, calls, logprobs, finish)| Said {
            content,
            reasoning,
            refusal,
            calls,
            logprobs,
            finish,
        },
    )
}

impl Said {
    fn logprob((index, logprob): (usize, &f64)) -> Value {
        json!({"token": index.to_string(), "logprob": logprob, "bytes": [index], "top_logprobs": []})
    }

    /// As a choice of a document.
    fn choice(&self, index: usize) -> Value {
        let joined = |pieces: &Option<Vec<String>>| pieces.as_ref().map(|pieces| pieces.concat());
        let mut message = json!({"role": "assistant", "content": joined(&self.content)});
        message["refusal"] = json!(joined(&self.refusal));
        if let Some(reasoning) = joined(&self.reasoning) {
            message["reasoning_content"] = json!(reasoning);
        }
        if !self.calls.is_empty() {
            message["tool_calls"] = (self.calls.iter().enumerate())
                .map(|(index, (name, arguments))| {
                    let function = json!({"name": name, "arguments": arguments.concat()});
                    json!({"id": format!("call_{index}"), "type": "function", "function": function})
                })
                .collect();
        }
        // Nothing is said beside a tool call or a refusal: no text, rather than an empty one.
        let instead = !self.calls.is_empty()
            || message["refusal"]
                .as_str()
                .is_some_and(|said| !said.is_empty());
        if message["content"] == "" && instead {
            message["content"] = Value::Null;
        }
        let logprobs: Vec<_> = self
            .logprobs
            .iter()
            .enumerate()
            .map(Self::logprob)
            .collect();
        let logprobs = if logprobs.is_empty() {
            Value::Null
        } else {
            json!({"content": logprobs, "refusal": null})
        };
        json!({"index": index, "message": message, "logprobs": logprobs, "finish_reason": self.finish})
    }

    /// As the deltas of a stream.
    fn choices(&self, index: usize) -> Vec<Value> {
        let delta = |delta: Value| json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": null});
        let mut deltas = vec![delta(
            json!({"role": "assistant", "content": null, "refusal": null}),
        )];
        for (name, pieces) in [
            ("reasoning_content", &self.reasoning),
            ("content", &self.content),
            ("refusal", &self.refusal),
        ] {
            for piece in pieces.iter().flatten() {
                deltas.push(delta(json!({name: piece})));
            }
        }
        // Calls that are said at the same time.
        for (call, (name, _)) in self.calls.iter().enumerate() {
            let function = json!({"name": name, "arguments": ""});
            let call = json!({"index": call, "id": format!("call_{call}"), "type": "function", "function": function});
            deltas.push(delta(json!({"tool_calls": [call]})));
        }
        let longest = self.calls.iter().map(|(_, pieces)| pieces.len()).max();
        for round in 0..longest.unwrap_or(0) {
            for (call, (_, pieces)) in self.calls.iter().enumerate() {
                if let Some(piece) = pieces.get(round) {
                    let call = json!({"index": call, "function": {"arguments": piece}});
                    deltas.push(delta(json!({"tool_calls": [call]})));
                }
            }
        }
        for logprob in self.logprobs.iter().enumerate().map(Self::logprob) {
            let mut delta = delta(json!({}));
            delta["logprobs"] = json!({"content": [logprob], "refusal": null});
            deltas.push(delta);
        }
        deltas.push(
            json!({"index": index, "delta": {}, "logprobs": null, "finish_reason": self.finish}),
        );
        deltas
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
}

proptest! {
    #[test]
    fn a_document_cut_into_a_stream(
        answers in prop::collection::vec(said(), 1..4),
        system in prop::option::of("[a-z]{3}"),
        tokens in 0..1000_u64,
    ) {
        let usage = json!({"prompt_tokens": tokens, "completion_tokens": 1, "total_tokens": tokens + 1});
        let choices: Vec<_> = answers.iter().enumerate().map(|(index, said)| said.choice(index)).collect();
        let document = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "m",
            "system_fingerprint": system, "choices": choices, "usage": usage, "x-own": {"a": [1]},
        });
        // The choices take turns.
        let mut turns: Vec<_> = answers.iter().enumerate().map(|(index, said)| said.choices(index).into_iter()).collect();
        let mut frames = Vec::new();
        let frame = |choices: Value, usage: &Value| json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "m",
            "system_fingerprint": system, "choices": choices, "usage": usage, "obfuscation": "xyz", "x-own": {"a": [1]},
        });
        while !turns.is_empty() {
            turns.retain_mut(|turn| turn.next().map(|choice| frames.push(frame(json!([choice]), &Value::Null))).is_some());
        }
        frames.push(frame(json!([]), &usage));
        let frames = frames.iter().map(|frame| Ok(Chunk::event_of(frame.to_string().as_bytes(), Meta::default())));
        let collected = runtime().block_on(collected(frames.collect())).expect("it fits together");
        prop_assert!(collected.is_document());
        let collected: Value = serde_json::from_slice(collected.json()).expect("JSON");
        // Numbers are spelled as they came; reading them is not exact.
        let document: Value = serde_json::from_str(&document.to_string()).expect("JSON");
        prop_assert_eq!(collected, document);
    }
}

#[tokio::test]
async fn a_stream_of_another_dialect_is_the_document_of_that_dialect() {
    let calls = [
        (
            "call_1".to_owned(),
            "f".to_owned(),
            r#"{"a": 1}"#.to_owned(),
        ),
        ("call_2".to_owned(), "g".to_owned(), "{}".to_owned()),
    ];
    for (text, calls, finish) in [
        (Some("Hello, world"), &calls[..0], Finish::Stop),
        (Some("I look it up."), &calls[..1], Finish::ToolCalls),
        (None, &calls[..], Finish::ToolCalls),
    ] {
        let usage = Usage::reported(9, 4);
        let writer = Writer::new("id", "m", 1, true);
        let mut frames = vec![
            writer.role(),
            Chunk::comment(),
            writer.reasoning("Hm."),
            writer.reasoning(" Well."),
        ];
        if let Some(text) = text {
            let (one, two) = text.split_at(4);
            frames.extend([writer.text(one), writer.text(two)]);
        }
        for (index, (id, name, arguments)) in (0..).zip(calls) {
            frames.push(writer.tool_call(index, id, name));
            let (one, two) = arguments.split_at(1);
            frames.extend([
                writer.tool_arguments(index, one),
                writer.tool_arguments(index, two),
            ]);
        }
        frames.extend([writer.finish(finish, true), writer.usage(usage)]);
        let collected = collected(frames.into_iter().map(Ok).collect())
            .await
            .expect("it fits together");

        let document = Document {
            text,
            reasoning: Some("Hm. Well."),
            tool_calls: calls,
            finish,
            usage: Some(usage),
            ..Document::new("id", "m", 1, "")
        };
        let document = document.into_chunk();
        assert_eq!(collected.meta(), document.meta());
        let read = |chunk: &Chunk| serde_json::from_slice::<Value>(chunk.json()).expect("JSON");
        assert_eq!(read(&collected), read(&document));
    }
}

#[tokio::test]
async fn what_a_provider_adds_is_kept() {
    let frames = [
        // Azure begins with news about the prompt.
        json!({"id": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}),
        json!({"id": "a", "created": 5, "model": "m", "choices": [{"delta": {"role": "assistant", "content": "x"}}]}),
        // Calls without an index are calls of their own; an id that is repeated is one id.
        json!({"choices": [{"delta": {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}}]}),
        json!({"choices": [{"delta": {"tool_calls": [{"id": "d", "function": {"name": "g", "arguments": "1"}}]}}]}),
        json!({"choices": [{"delta": {"annotations": [{"type": "url_citation"}], "weight": 0.10}}]}),
        json!({"choices": [{"delta": {"annotations": [{"type": "url_citation"}]}, "native_finish_reason": "end"}]}),
        json!({"choices": [{"delta": null, "finish_reason": "stop"}], "citations": ["https://a"]}),
    ];
    let frames = frames.iter().map(|frame| {
        Ok(Chunk::event_of(
            frame.to_string().as_bytes(),
            Meta::default(),
        ))
    });
    let collected = collected(frames.collect()).await.expect("it fits together");
    let collected: Value = serde_json::from_slice(collected.json()).expect("JSON");
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let message = json!({
        "role": "assistant", "content": "x", "refusal": null, "weight": 0.1,
        "tool_calls": [call("c", "f", "{}"), call("d", "g", "1")],
        "annotations": [{"type": "url_citation"}, {"type": "url_citation"}],
    });
    let choice = json!({
        "index": 0, "message": message, "logprobs": null, "finish_reason": "stop", "native_finish_reason": "end",
    });
    assert_eq!(
        collected,
        json!({
            "id": "a", "created": 5, "model": "m", "choices": [choice],
            "prompt_filter_results": [{"prompt_index": 0}], "citations": ["https://a"],
        })
    );
}

#[tokio::test]
async fn calls_are_told_apart_however_servers_count_them() {
    let begins = |index: Option<u32>, id: &str, arguments: &str| {
        let mut call = json!({"id": id, "function": {"name": id, "arguments": arguments}});
        if let Some(index) = index {
            call["index"] = json!(index);
        }
        call
    };
    let goes_on = |index: Option<u32>, id: Option<&str>, arguments: &str| {
        let mut call = json!({"function": {"arguments": arguments}});
        if let Some(index) = index {
            call["index"] = json!(index);
        }
        if let Some(id) = id {
            call["id"] = json!(id);
        }
        call
    };
    for (why, deltas) in [
        (
            "none of them has an index",
            [
                begins(None, "a", "{"),
                goes_on(None, None, "}"),
                begins(None, "b", "["),
                goes_on(None, None, "]"),
            ],
        ),
        (
            "each says its id with every piece",
            [
                begins(None, "a", "{"),
                goes_on(None, Some("a"), "}"),
                begins(None, "b", "["),
                goes_on(None, Some("b"), "]"),
            ],
        ),
        (
            "each is the first",
            [
                begins(Some(0), "a", "{"),
                goes_on(Some(0), None, "}"),
                begins(Some(0), "b", "["),
                goes_on(Some(0), None, "]"),
            ],
        ),
        (
            "they take turns",
            [
                begins(Some(1), "b", "["),
                begins(Some(0), "a", "{"),
                goes_on(Some(1), None, "]"),
                goes_on(Some(0), None, "}"),
            ],
        ),
    ] {
        let frames = deltas.iter().map(|call| {
            let frame = json!({"choices": [{"delta": {"tool_calls": [call]}}]});
            Ok(Chunk::event_of(
                frame.to_string().as_bytes(),
                Meta::default(),
            ))
        });
        let collected = collected(frames.collect()).await.expect(why);
        let collected: Value = serde_json::from_slice(collected.json()).expect("JSON");
        let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": id, "arguments": arguments}});
        assert_eq!(
            collected["choices"][0]["message"]["tool_calls"],
            json!([call("a", "{}"), call("b", "[]")]),
            "{why}"
        );
    }
    // Older vLLM: an id of its own for each piece.
    let frames = [begins(Some(0), "a", "{"), goes_on(Some(0), Some("x"), "}")];
    let frames = frames.iter().map(|call| {
        let frame = json!({"choices": [{"delta": {"tool_calls": [call]}}]});
        Ok(Chunk::event_of(
            frame.to_string().as_bytes(),
            Meta::default(),
        ))
    });
    let collected = collected(frames.collect()).await.expect("it fits together");
    let collected: Value = serde_json::from_slice(collected.json()).expect("JSON");
    let calls = &collected["choices"][0]["message"]["tool_calls"];
    assert_eq!(calls.as_array().map(Vec::len), Some(1));
    assert_eq!(calls[0]["function"]["arguments"], "{}");
}
