//! Answers that are not streamed, over a socket.

mod support;

use backstop_chat::{Chunk, Finish};
use backstop_core::{FailureKind, UpstreamId};
use http::StatusCode;
use http_body::Body;
use serde_json::{Value, json};
use support::{CLAUDE, Ending, Reply, Server, ask, chat, failure, read};

fn answer(content: &Value, reason: &str) -> Value {
    json!({
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": reason,
        "usage": {"inputTokens": 9, "outputTokens": 4, "totalTokens": 13, "cacheReadInputTokens": 5,
                  "cacheWriteInputTokens": 6, "cacheDetails": [{"inputTokens": 4, "ttl": "1h"}, {"inputTokens": 2, "ttl": "5m"}]},
        "metrics": {"latencyMs": 1},
    })
}

async fn answered(content: &Value, reason: &str) -> Result<Chunk, FailureKind> {
    let server = Server::start(Reply::json(200, &answer(content, reason))).await;
    let asked = ask(&server.bedrock(CLAUDE).await, chat(json!({}))).await;
    let response = asked.map_err(|error| failure(&error).kind())?;
    let (mut chunks, end) = read(response).await;
    end.expect("a whole answer");
    assert_eq!(chunks.len(), 1);
    Ok(chunks.remove(0))
}

#[tokio::test]
async fn text_as_openai_answers_it() {
    let server = Server::start(Reply::json(
        200,
        &answer(&json!([{"text": "Hel"}, {"text": "lo"}]), "end_turn"),
    ))
    .await;
    let response = ask(&server.bedrock(CLAUDE).await, chat(json!({})))
        .await
        .expect("an answer");
    assert_eq!(
        response.extensions().get::<UpstreamId>(),
        Some(&UpstreamId("request-1".into()))
    );
    assert!(!response.body().is_end_stream());
    let (chunks, _) = read(response).await;
    let document = support::json(&chunks[0]);
    assert_eq!(document["id"], "request-1");
    assert_eq!(document["object"], "chat.completion");
    assert_eq!(document["model"], CLAUDE);
    assert!(
        document["created"]
            .as_u64()
            .is_some_and(|at| at > 1_700_000_000)
    );
    assert_eq!(document["choices"][0]["message"]["content"], "Hello");
    assert_eq!(document["usage"]["prompt_tokens"], 20);
    assert_eq!(
        document["usage"]["prompt_tokens_details"]["cached_tokens"],
        5
    );
    let meta = chunks[0].meta();
    assert!(meta.text && meta.terminal);
    let usage = meta.usage.expect("usage");
    assert_eq!((usage.cache_write, usage.cache_write_1h), (6, 4));
}

#[tokio::test]
async fn reasoning_and_calls() {
    let content = json!([
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
        {"toolUse": {"toolUseId": "tooluse_1", "name": "f", "input": {"z": 1, "a": [true, null, -2.5]}}},
    ]);
    let chunk = answered(&content, "tool_use").await.expect("an answer");
    let message = &support::json(&chunk)["choices"][0]["message"];
    assert_eq!(message["content"], Value::Null);
    assert_eq!(message["reasoning_content"], "hm");
    assert_eq!(
        message["tool_calls"],
        json!([{"id": "tooluse_1", "type": "function",
                "function": {"name": "f", "arguments": "{\"a\":[true,null,-2.5],\"z\":1}"}}])
    );
    assert_eq!(chunk.meta().finish, Some(Finish::ToolCalls));
}

#[tokio::test]
async fn an_answer_that_was_blocked_is_the_callers_to_see() {
    let canned = json!([{"text": "Sorry, I cannot."}]);
    let chunk = answered(&canned, "guardrail_intervened")
        .await
        .expect("an answer");
    assert_eq!(chunk.meta().finish, Some(Finish::ContentFilter));
    let chunk = answered(&json!([]), "content_filtered")
        .await
        .expect("an answer");
    assert_eq!(
        support::json(&chunk)["choices"][0]["message"]["content"],
        ""
    );
}

#[tokio::test]
async fn a_full_window_without_a_word_is_a_failure() {
    let kind = answered(&json!([]), "model_context_window_exceeded").await;
    assert_eq!(kind.map(drop), Err(FailureKind::ContextWindow));
    let part = json!([{"text": "So far"}]);
    let chunk = answered(&part, "model_context_window_exceeded")
        .await
        .expect("an answer");
    assert_eq!(chunk.meta().finish, Some(Finish::Length));
}

#[tokio::test]
async fn what_is_no_answer_is_a_server_error() {
    let malformed = answered(&json!([{"text": "x"}]), "malformed_model_output").await;
    assert_eq!(malformed.map(drop), Err(FailureKind::ServerError));

    let mut page = Reply::json(200, &json!({}));
    page.pieces = vec![b"<html>Welcome</html>".to_vec()];
    for reply in [Reply::json(200, &json!({})), page] {
        let server = Server::start(reply).await;
        let error = ask(&server.bedrock(CLAUDE).await, chat(json!({}))).await;
        let failed = failure(&error.expect_err("no answer"));
        assert_eq!(failed.kind(), FailureKind::ServerError);
        assert_eq!(failed.status(), Some(StatusCode::OK));
    }
}

#[tokio::test]
async fn a_broken_answer_is_a_network_failure() {
    for ending in [Ending::Cut, Ending::Reset] {
        let reply = Reply::json(200, &answer(&json!([{"text": "x"}]), "end_turn")).ending(ending);
        let server = Server::start(reply).await;
        let error = ask(&server.bedrock(CLAUDE).await, chat(json!({}))).await;
        let failed = failure(&error.expect_err("half an answer"));
        assert_eq!(failed.kind(), FailureKind::Network);
        assert_eq!(failed.status(), Some(StatusCode::OK));
    }
}
