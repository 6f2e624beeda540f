//! Streamed answers, over a socket.

mod support;

use backstop_chat::Finish;
use backstop_core::{FailureKind, UpstreamId};
use http::StatusCode;
use serde_json::{Value, json};
use support::{CLAUDE, Ending, Reply, Server, ask, chat, event, exception, failure, read, text};

fn streamed() -> backstop_chat::Chat {
    chat(json!({"stream": true, "stream_options": {"include_usage": true}}))
}

fn delta(text: &str) -> Vec<u8> {
    event(
        "contentBlockDelta",
        &json!({"contentBlockIndex": 0, "delta": {"text": text}}),
    )
}

fn stop(reason: &str) -> Vec<u8> {
    event("messageStop", &json!({"stopReason": reason}))
}

fn hello() -> Vec<Vec<u8>> {
    vec![
        event("messageStart", &json!({"role": "assistant"})),
        delta("Hel"),
        delta("lo"),
        event("contentBlockStop", &json!({"contentBlockIndex": 0})),
        stop("end_turn"),
        event(
            "metadata",
            &json!({
                "usage": {"inputTokens": 9, "outputTokens": 4, "totalTokens": 13,
                          "cacheReadInputTokens": 100, "cacheWriteInputTokens": 10,
                          "cacheDetails": [{"ttl": "5m", "inputTokens": 7}, {"ttl": "1h", "inputTokens": 3}]},
                "metrics": {"latencyMs": 5},
            }),
        ),
    ]
}

#[tokio::test]
async fn text_as_openai_streams_it() {
    let server = Server::start(Reply::events(&hello())).await;
    let response = ask(&server.bedrock(CLAUDE).await, streamed())
        .await
        .expect("an answer");
    assert_eq!(
        response.extensions().get::<UpstreamId>(),
        Some(&UpstreamId("request-1".into()))
    );
    let (chunks, end) = read(response).await;
    end.expect("a whole answer");

    let shown: Vec<Value> = chunks.iter().map(support::json).collect();
    assert_eq!(shown[0]["id"], "request-1");
    assert_eq!(shown[0]["model"], CLAUDE);
    assert_eq!(shown[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(text(&chunks), "Hello");
    let finish = chunks[3].meta();
    assert_eq!((finish.finish, finish.terminal), (Some(Finish::Stop), true));
    let usage = chunks[4].meta().usage.expect("usage comes last");
    assert_eq!(
        (usage.input, usage.output, usage.cached, usage.cache_write),
        (119, 4, 100, 10),
        "what the cache had is input, too"
    );
    assert_eq!(usage.cache_write_1h, 3, "what it keeps for an hour");
    assert_eq!(chunks.len(), 5);
    let asked = server.asked();
    assert!(
        asked[0].head.contains("/converse-stream HTTP/1.1"),
        "{}",
        asked[0].head
    );
}

#[tokio::test]
async fn a_stream_split_anywhere_reads_the_same() {
    let whole: Vec<u8> = hello().concat();
    let server = Server::start(Reply::events(&[])).await;
    let bedrock = server.bedrock(CLAUDE).await;
    for size in [1, 2, 3, 7, 64] {
        let mut reply = Reply::events(&[]);
        reply.pieces = whole.chunks(size).map(<[u8]>::to_vec).collect();
        server.tell(reply);
        let response = ask(&bedrock, streamed()).await.expect("an answer");
        let (chunks, end) = read(response).await;
        end.expect("a whole answer");
        assert_eq!(
            (text(&chunks).as_str(), chunks.len()),
            ("Hello", 5),
            "pieces of {size}"
        );
    }
}

#[tokio::test]
async fn tool_calls_are_counted_from_zero_and_always_have_arguments() {
    let start = |block: i32, id: &str| {
        event(
            "contentBlockStart",
            &json!({"contentBlockIndex": block, "start": {"toolUse": {"toolUseId": id, "name": "f"}}}),
        )
    };
    let input = |block: i32, text: &str| {
        event(
            "contentBlockDelta",
            &json!({"contentBlockIndex": block, "delta": {"toolUse": {"input": text}}}),
        )
    };
    let close = |block: i32| event("contentBlockStop", &json!({"contentBlockIndex": block}));
    let server = Server::start(Reply::events(&[
        event("messageStart", &json!({"role": "assistant"})),
        event(
            "contentBlockDelta",
            &json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}}),
        ),
        event(
            "contentBlockDelta",
            &json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "c2ln"}}}),
        ),
        close(0),
        start(1, "tooluse_a"),
        input(1, ""),
        input(1, "{\"q\""),
        input(1, ":1}"),
        close(1),
        start(2, "tooluse_b"),
        close(2),
        event("someEventToCome", &json!({})),
        stop("tool_use"),
    ]))
    .await;
    let response = ask(&server.bedrock(CLAUDE).await, streamed())
        .await
        .expect("an answer");
    let (chunks, end) = read(response).await;
    end.expect("a whole answer, though no usage came");

    let deltas: Vec<Value> = chunks
        .iter()
        .map(|chunk| support::json(chunk)["choices"][0]["delta"].clone())
        .collect();
    assert_eq!(deltas[1], json!({"reasoning_content": "hm"}));
    let call = |index: u32, id: &str| {
        json!({"tool_calls": [{"index": index, "id": id, "type": "function",
                               "function": {"name": "f", "arguments": ""}}]})
    };
    let arguments = |index: u32, text: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]});
    assert_eq!(
        deltas[2..7],
        [
            call(0, "tooluse_a"),
            arguments(0, "{\"q\""),
            arguments(0, ":1}"),
            call(1, "tooluse_b"),
            arguments(1, "{}"),
        ]
    );
    assert_eq!(chunks[7].meta().finish, Some(Finish::ToolCalls));
}

#[tokio::test]
async fn a_stream_cut_at_any_byte_is_never_complete() {
    let all: Vec<u8> = hello()[..5].concat();
    let server = Server::start(Reply::events(&[])).await;
    let bedrock = server.bedrock(CLAUDE).await;
    for ending in [Ending::Clean, Ending::Cut] {
        for at in 0..all.len() {
            server.tell(Reply::events(&[all[..at].to_vec()]).ending(ending));
            let response = ask(&bedrock, streamed()).await.expect("a head");
            let (chunks, end) = read(response).await;
            let failed = failure(&end.expect_err("no proof, no success"));
            assert_eq!(failed.kind(), FailureKind::Network, "cut at {at}");
            assert_eq!(failed.status(), Some(StatusCode::OK), "cut at {at}");
            assert!(
                chunks.iter().all(|chunk| !chunk.meta().terminal),
                "cut at {at}"
            );
        }
    }
}

#[tokio::test]
async fn a_broken_frame_is_a_server_error() {
    let mut frames = hello()[..3].to_vec();
    let last = frames[2].len() - 6;
    frames[2][last] ^= 1;
    let server = Server::start(Reply::events(&frames)).await;
    let response = ask(&server.bedrock(CLAUDE).await, streamed())
        .await
        .expect("a head");
    let (chunks, end) = read(response).await;
    let kind = failure(&end.expect_err("a wrong checksum")).kind();
    assert_eq!(
        (kind, text(&chunks).as_str()),
        (FailureKind::ServerError, "Hel")
    );
}

#[tokio::test]
async fn a_reset_is_a_network_failure() {
    let server = Server::start(Reply::events(&hello()[..3]).ending(Ending::Reset)).await;
    let response = ask(&server.bedrock(CLAUDE).await, streamed()).await;
    // The reset may overtake what was sent before it.
    let error = match response {
        Ok(response) => read(response).await.1.expect_err("no proof"),
        Err(error) => error,
    };
    assert_eq!(failure(&error).kind(), FailureKind::Network);
}

#[tokio::test]
async fn an_exception_in_the_stream_is_named_and_ends_it() {
    let server = Server::start(Reply::events(&[])).await;
    let bedrock = server.bedrock(CLAUDE).await;
    for (name, payload, kind) in [
        (
            "throttlingException",
            json!({"message": "Too many tokens, please wait"}),
            FailureKind::RateLimit,
        ),
        (
            "throttlingException",
            json!({"message": "Too many tokens per day"}),
            FailureKind::QuotaExhausted,
        ),
        (
            "internalServerException",
            json!({"message": "oops"}),
            FailureKind::ServerError,
        ),
        (
            "serviceUnavailableException",
            json!({"message": "busy"}),
            FailureKind::Overloaded,
        ),
        (
            "validationException",
            json!({"message": "Input is too long for requested model."}),
            FailureKind::ContextWindow,
        ),
        (
            "validationException",
            json!({"message": "no"}),
            FailureKind::BadRequest,
        ),
        (
            "modelStreamErrorException",
            json!({"message": "x", "originalStatusCode": 429}),
            FailureKind::RateLimit,
        ),
        (
            "modelStreamErrorException",
            json!({"message": "x", "originalStatusCode": 500}),
            FailureKind::ServerError,
        ),
        (
            "modelTimeoutException",
            json!({"message": "slow"}),
            FailureKind::Timeout,
        ),
        (
            "somethingNewException",
            json!({"message": "new"}),
            FailureKind::ServerError,
        ),
    ] {
        let mut frames = hello()[..3].to_vec();
        frames.push(exception(name, &payload));
        server.tell(Reply::events(&frames));
        let response = ask(&bedrock, streamed()).await.expect("a head");
        let (chunks, end) = read(response).await;
        let failed = failure(&end.expect_err("an exception"));
        assert_eq!(failed.kind(), kind, "{name} {payload}");
        assert_eq!(failed.request_id().map(|id| &**id), Some("request-1"));
        assert_eq!(text(&chunks), "Hello", "what came before it was handed on");
    }
}

#[tokio::test]
async fn a_page_instead_of_events_is_a_server_error() {
    let mut page = Reply::events(&[]);
    page.headers = vec![("content-type", "text/html".to_owned())];
    page.pieces = vec![b"<html><body>Welcome to the hotel's network</body></html>".to_vec()];
    let server = Server::start(page).await;
    let error = ask(&server.bedrock(CLAUDE).await, streamed()).await;
    let failed = failure(&error.expect_err("no events"));
    assert_eq!(failed.kind(), FailureKind::ServerError);
    assert_eq!(failed.status(), Some(StatusCode::OK));
}

#[tokio::test]
async fn why_an_answer_ends() {
    let server = Server::start(Reply::events(&[])).await;
    let bedrock = server.bedrock(CLAUDE).await;
    for (reason, expected) in [
        ("end_turn", Ok(Finish::Stop)),
        ("stop_sequence", Ok(Finish::Stop)),
        ("max_tokens", Ok(Finish::Length)),
        ("model_context_window_exceeded", Ok(Finish::Length)),
        ("guardrail_intervened", Ok(Finish::ContentFilter)),
        ("content_filtered", Ok(Finish::ContentFilter)),
        ("refusal", Ok(Finish::ContentFilter)),
        ("a_reason_to_come", Ok(Finish::Other)),
        ("malformed_model_output", Err(FailureKind::ServerError)),
        ("malformed_tool_use", Err(FailureKind::ServerError)),
    ] {
        let mut frames = hello()[..4].to_vec();
        frames.push(stop(reason));
        server.tell(Reply::events(&frames));
        let response = ask(&bedrock, streamed()).await.expect("a head");
        let (chunks, end) = read(response).await;
        let got = match end {
            Ok(()) => Ok(chunks
                .last()
                .and_then(|chunk| chunk.meta().finish)
                .expect("a finish")),
            Err(error) => Err(failure(&error).kind()),
        };
        assert_eq!(got, expected, "{reason}");
    }
}

#[tokio::test]
async fn what_follows_the_proof_cannot_spoil_the_answer() {
    for ending in [Ending::Cut, Ending::Reset] {
        let server = Server::start(Reply::events(&hello()[..5]).ending(ending)).await;
        let Ok(response) = ask(&server.bedrock(CLAUDE).await, streamed()).await else {
            assert!(
                ending == Ending::Reset,
                "only a reset overtakes what was sent"
            );
            continue;
        };
        let (chunks, end) = read(response).await;
        if ending == Ending::Cut {
            end.expect("it was complete");
            assert_eq!(text(&chunks), "Hello");
        }
    }
}

#[tokio::test]
async fn usage_ends_it_though_the_connection_stays_open() {
    let server = Server::start(Reply::events(&hello()).ending(Ending::Hang)).await;
    let response = ask(&server.bedrock(CLAUDE).await, streamed())
        .await
        .expect("a head");
    let (chunks, end) = read(response).await;
    end.expect("a whole answer");
    assert!(
        chunks
            .last()
            .is_some_and(|chunk| chunk.meta().usage.is_some())
    );
}

#[tokio::test]
async fn a_dropped_body_hangs_up() {
    let server = Server::start(Reply::events(&hello()[..2]).ending(Ending::Hang)).await;
    let response = ask(&server.bedrock(CLAUDE).await, streamed())
        .await
        .expect("a head");
    drop(response);
    server.hung_up().await;
}
