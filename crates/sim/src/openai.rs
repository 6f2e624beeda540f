//! OpenAI chat completions.

mod check;

use crate::{
    answer::{Answer, Ask, Stop},
    plan::Kind,
    provider::{Api, Failure, Frame, Frames, Provider, Report, put},
    script::escape,
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use serde_json::{Value, json};
use std::fmt::Write;

/// `created` stands still, so that two runs give the same bytes.
const CREATED: u64 = 1_767_225_600;

pub(crate) struct OpenAi;

impl Api for OpenAi {
    const PROVIDER: Provider = Provider::OpenAi;
    const STREAM: &'static str = "text/event-stream; charset=utf-8";
    /// vLLM's words: OpenAI's own models take such a conversation, and answer as if that turn were complete.
    const NO_PREFILL: &'static str = "continue_final_message is set but the final message does not appear in the chat after applying the chat template! This can happen if the chat template deletes portions of the final message.";

    fn call(path: &str, json: &Value) -> Option<(String, bool)> {
        (path == "/chat/completions").then(|| {
            let model = json["model"].as_str().unwrap_or_default();
            (model.to_owned(), json["stream"] == true)
        })
    }

    fn key(headers: &HeaderMap) -> Option<&str> {
        headers
            .get(AUTHORIZATION)?
            .to_str()
            .ok()?
            .strip_prefix("Bearer ")
            .map(str::trim)
    }

    fn check(_: &HeaderMap, base: &str, json: &Value) -> Result<Ask, Failure> {
        check::check(base, json)
    }

    fn headers(seq: u64, headers: &mut HeaderMap) {
        put(headers, "x-request-id", format!("req_sim{seq}"));
        put(headers, "openai-version", "2020-10-01");
        put(headers, "openai-processing-ms", "1");
    }

    fn error(failure: &Failure, base: &str, _: u64) -> Report {
        let mut headers = HeaderMap::new();
        if let Kind::RateLimit(hint) = failure.kind {
            put(&mut headers, "x-ratelimit-limit-requests", "500");
            put(&mut headers, "x-ratelimit-remaining-requests", "0");
            if let Some(hint) = hint {
                put(&mut headers, "retry-after-ms", format!("{}", hint * 1000.0));
                put(&mut headers, "retry-after", format!("{}", hint.ceil()));
                put(
                    &mut headers,
                    "x-ratelimit-reset-requests",
                    format!("{hint}s"),
                );
            }
        }
        let (status, error) = error(failure, base);
        Report {
            status,
            headers,
            body: json!({"error": error}).to_string(),
        }
    }

    fn whole(ask: &Ask, answer: &Answer, seq: u64) -> Bytes {
        let text = match answer.text.is_empty() && answer.stop != Stop::End {
            true => "null".to_owned(),
            false => format!("\"{}\"", answer.text()),
        };
        let mut calls = String::new();
        for (index, call) in answer.calls.iter().enumerate() {
            let (name, args) = (escape(&call.name), escape(&call.args));
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(
                calls,
                r#"{comma}{{"id":"call_sim{seq}_{index}","type":"function","function":{{"name":"{name}","arguments":"{args}"}}}}"#
            );
        }
        if !calls.is_empty() {
            calls = format!(r#","tool_calls":[{calls}]"#);
        }
        let finish = finish(answer.stop);
        let mut choices = String::new();
        for index in 0..ask.choices.max(1) {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(
                choices,
                r#"{comma}{{"index":{index},"message":{{"role":"assistant","content":{text}{calls},"refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"{finish}"}}"#
            );
        }
        format!(
            r#"{{"id":"chatcmpl-sim{seq}","object":"chat.completion","created":{CREATED},"model":"{model}","choices":[{choices}],"usage":{usage},"service_tier":"default","system_fingerprint":"fp_sim"}}"#,
            model = escape(&ask.base),
            usage = usage(ask, answer),
        )
        .into()
    }

    fn frames(ask: &Ask, answer: &Answer, seq: u64) -> Vec<Frame> {
        let chunk = Chunk::new(ask, seq);
        let many = answer.tokens() + 4;
        let mut frames = Frames::with_capacity(many * 256, many);
        let choices = 0..ask.choices.max(1);
        let null = if answer.calls.is_empty() {
            "\"\""
        } else {
            "null"
        };
        let role = format!(r#"{{"role":"assistant","content":{null},"refusal":null}}"#);
        for index in choices.clone() {
            frames.push(false, |buffer| chunk.delta(buffer, index, &[&role], None));
        }
        for token in &answer.text {
            for index in choices.clone() {
                frames.push(index == 0, |buffer| {
                    chunk.delta(buffer, index, &[r#"{"content":""#, token, r#""}"#], None);
                });
            }
        }
        for (call, asked) in answer.calls.iter().enumerate() {
            let start = format!(
                r#"{{"tool_calls":[{{"index":{call},"id":"call_sim{seq}_{call}","type":"function","function":{{"name":"{}","arguments":""}}}}]}}"#,
                escape(&asked.name)
            );
            frames.push(true, |buffer| chunk.delta(buffer, 0, &[&start], None));
            let open = format!(r#"{{"tool_calls":[{{"index":{call},"function":{{"arguments":""#);
            for fragment in asked.fragments() {
                frames.push(true, |buffer| {
                    chunk.delta(buffer, 0, &[&open, &fragment, r#""}}]}"#], None);
                });
            }
        }
        for index in choices {
            frames.push(false, |buffer| {
                chunk.delta(buffer, index, &["{}"], Some(finish(answer.stop)))
            });
        }
        if ask.usage {
            frames.push(false, |buffer| chunk.usage(buffer, &usage(ask, answer)));
        }
        if ask.plan.done {
            frames.push(false, |buffer| {
                buffer.extend_from_slice(b"data: [DONE]\n\n")
            });
        }
        frames.finish()
    }

    fn error_frames(kind: Option<Kind>, base: &str) -> Vec<Bytes> {
        let (_, error) = error(&kind.unwrap_or(Kind::Server).into(), base);
        let frame = format!("data: {}\n\n", json!({"error": error}));
        vec![frame.into(), Bytes::from_static(b"data: [DONE]\n\n")]
    }

    fn ping() -> Option<Bytes> {
        Some(Bytes::from_static(b": keep-alive\n\n"))
    }
}

/// What all chunks of one stream share.
struct Chunk {
    head: String,
    tail: &'static str,
}

impl Chunk {
    fn new(ask: &Ask, seq: u64) -> Self {
        let head = format!(
            r#"data: {{"id":"chatcmpl-sim{seq}","object":"chat.completion.chunk","created":{CREATED},"model":"{}","service_tier":"default","system_fingerprint":"fp_sim","choices":["#,
            escape(&ask.base)
        );
        let tail = match (ask.usage, ask.padded) {
            (true, true) => ",\"usage\":null,\"obfuscation\":\"wJ5tq\"}\n\n",
            (true, false) => ",\"usage\":null}\n\n",
            (false, true) => ",\"obfuscation\":\"wJ5tq\"}\n\n",
            (false, false) => "}\n\n",
        };
        Self { head, tail }
    }

    fn delta(&self, buffer: &mut BytesMut, index: usize, delta: &[&str], finish: Option<&str>) {
        buffer.extend_from_slice(self.head.as_bytes());
        let _ = write!(buffer, r#"{{"index":{index},"delta":"#);
        for piece in delta {
            buffer.extend_from_slice(piece.as_bytes());
        }
        buffer.extend_from_slice(br#","logprobs":null,"finish_reason":"#);
        match finish {
            None => buffer.extend_from_slice(b"null}]"),
            Some(finish) => {
                let _ = write!(buffer, r#""{finish}"}}]"#);
            }
        }
        buffer.extend_from_slice(self.tail.as_bytes());
    }

    fn usage(&self, buffer: &mut BytesMut, usage: &str) {
        let _ = write!(buffer, "{}],\"usage\":{usage}}}\n\n", self.head);
    }
}

fn finish(stop: Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence => "stop",
        Stop::Length => "length",
        Stop::Calls => "tool_calls",
        Stop::Filter => "content_filter",
    }
}

fn usage(ask: &Ask, answer: &Answer) -> String {
    let cached = ask.plan.cached;
    // Writing to the cache costs nothing here, and is not told.
    let prompt = ask.prompt_tokens + cached + ask.plan.written + ask.plan.written_1h;
    let completion = answer.tokens() * ask.choices.max(1);
    format!(
        r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":{cached},"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#,
        total = prompt + completion,
    )
}

fn error(failure: &Failure, base: &str) -> (StatusCode, Value) {
    const INVALID: &str = "invalid_request_error";
    let (status, kind, code, message) = match failure.kind {
        Kind::Server => (
            500,
            "server_error",
            None,
            "The server had an error while processing your request. Sorry about that!".to_owned(),
        ),
        Kind::Unavailable | Kind::Overloaded => (
            503,
            "service_unavailable_error",
            Some("server_is_overloaded"),
            "The server is currently overloaded with other requests. Sorry about that! You can retry your request.".to_owned(),
        ),
        Kind::Timeout => (504, "server_error", None, "Gateway timeout".to_owned()),
        Kind::RateLimit(hint) => (
            429,
            "requests",
            Some("rate_limit_exceeded"),
            format!(
                "Rate limit reached for {base} in organization org-sim on requests per min (RPM): Limit 500, Used 500, Requested 1.{}",
                hint.map(|hint| format!(" Please try again in {hint}s.")).unwrap_or_default()
            ),
        ),
        Kind::Auth => (
            401,
            INVALID,
            Some("invalid_api_key"),
            "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.".to_owned(),
        ),
        Kind::Permission => (
            403,
            "request_forbidden",
            Some("unsupported_country_region_territory"),
            "Country, region, or territory not supported".to_owned(),
        ),
        Kind::NotFound => (
            404,
            INVALID,
            Some("model_not_found"),
            format!("The model `{base}` does not exist or you do not have access to it."),
        ),
        Kind::Invalid => (400, INVALID, Some("invalid_value"), "Invalid value: 'sim'.".to_owned()),
        Kind::Quota => (
            429,
            "insufficient_quota",
            Some("credit_balance_exhausted"),
            "You exceeded your current quota, please check your plan and billing details.".to_owned(),
        ),
        Kind::Context => (
            400,
            INVALID,
            Some("context_length_exceeded"),
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 210000 tokens. Please reduce the length of the messages.".to_owned(),
        ),
        Kind::Filter => (
            400,
            INVALID,
            Some("content_policy_violation"),
            "Your request was rejected as a result of our safety system.".to_owned(),
        ),
    };
    let status = StatusCode::from_u16(status).expect("the statuses above are valid");
    let code = if failure.message.is_some() {
        failure.code
    } else {
        code
    };
    let message = failure.message.clone().unwrap_or(message);
    (
        status,
        json!({"message": message, "type": kind, "param": failure.param, "code": code}),
    )
}
