use super::*;
use crate::Chunk;
use bytes::Buf;
use http_body::Body as _;
use http_body_util::BodyExt;
use serde_json::{Value, json};

fn read(chunk: &Chunk) -> Value {
    serde_json::from_slice(chunk.json()).expect("JSON")
}

#[test]
fn a_stream_as_openai_writes_it() {
    let writer = Writer::new("id", "m\"odel", 1, true);
    assert_eq!(
        read(&writer.role())["choices"][0]["delta"],
        json!({"role": "assistant", "content": ""})
    );
    assert_eq!(
        read(&writer.tool_call(1, "call_1", "f"))["choices"][0]["delta"]["tool_calls"],
        json!([{"index": 1, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}])
    );
    let finish = writer.finish(Finish::ToolCalls, true);
    assert_eq!(read(&finish)["choices"][0]["finish_reason"], "tool_calls");
    assert!(finish.meta().terminal);
    let usage = read(&writer.usage(Usage::reported(9, 4)));
    assert_eq!(
        (&usage["choices"], &usage["usage"]["total_tokens"]),
        (&json!([]), &json!(13))
    );
    assert_eq!(usage["model"], "m\"odel");
    // A provider may report any number.
    let usage = read(&writer.usage(Usage::reported(u64::MAX, 1)));
    assert_eq!(usage["usage"]["total_tokens"], u64::MAX);
}

#[test]
fn usage_that_nobody_asked_for_is_still_news() {
    let chunk = Writer::new("id", "m", 1, false).usage(Usage::reported(9, 4));
    assert_eq!(chunk.meta().usage.map(|usage| usage.input), Some(9));
    assert!(chunk.into_bytes().is_empty());
}

#[tokio::test]
async fn a_text_is_answered_as_it_was_asked_for() {
    let chat = Chat::user("hi").streamed(true);
    let mut body = answer(&chat, "echo", "hello");
    let size = body.size_hint().exact();
    let mut chunks = Vec::new();
    while let Some(frame) = body.frame().await {
        chunks.push(frame.expect("no error").into_data().expect("a chunk"));
    }
    assert!(body.is_end_stream());
    let bytes: usize = chunks.iter().map(Buf::remaining).sum();
    assert_eq!(size, Some(bytes as u64));
    let terminal: Vec<_> = chunks.iter().map(|chunk| chunk.meta().terminal).collect();
    assert_eq!(terminal, [false, false, true]);

    let mut body = answer(&chat.streamed(false), "echo", "hello");
    let whole = body.frame().await.expect("one frame").expect("no error");
    let whole = whole.into_data().expect("a chunk");
    assert!(whole.meta().text && whole.meta().terminal);
    assert_eq!(read(&whole)["model"], "echo");
}

#[test]
fn a_document_as_openai_writes_it() {
    let calls = [("call_1".to_owned(), "f".to_owned(), "{}".to_owned())];
    let document = Document {
        id: "id",
        model: "m",
        created: 1,
        text: None,
        reasoning: None,
        tool_calls: &calls,
        finish: Finish::ToolCalls,
        usage: Some(Usage::reported(9, 4)),
    };
    let answer = read(&document.into_chunk());
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["message"]["content"], Value::Null);
    assert_eq!(
        answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"],
        "{}"
    );
    assert_eq!(answer["usage"]["prompt_tokens"], 9);
}
