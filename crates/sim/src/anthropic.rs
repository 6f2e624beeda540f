//! Anthropic messages.

mod check;

use crate::{
    answer::{Answer, Ask, Stop},
    plan::{Kind, Plan},
    provider::{Api, Failure, Frame, Frames, Provider, Report, put},
    script::escape,
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use serde_json::{Value, json};
use std::fmt::Write;

pub(crate) struct Anthropic;

impl Api for Anthropic {
    const PROVIDER: Provider = Provider::Anthropic;
    const STREAM: &'static str = "text/event-stream; charset=utf-8";
    const NO_PREFILL: &'static str = "This model does not support assistant message prefill. The conversation must end with a user message.";

    fn call(path: &str, json: &Value) -> Option<(String, bool)> {
        (path == "/v1/messages").then(|| {
            let model = json["model"].as_str().unwrap_or_default();
            (model.to_owned(), json["stream"] == true)
        })
    }

    fn key(headers: &HeaderMap) -> Option<&str> {
        let bearer = || {
            headers
                .get(AUTHORIZATION)?
                .to_str()
                .ok()?
                .strip_prefix("Bearer ")
        };
        let key = headers.get("x-api-key").and_then(|key| key.to_str().ok());
        key.or_else(bearer).map(str::trim)
    }

    fn check(headers: &HeaderMap, base: &str, json: &Value) -> Result<Ask, Failure> {
        check::check(headers, base, json)
    }

    fn headers(seq: u64, headers: &mut HeaderMap) {
        put(headers, "request-id", format!("req_sim{seq}"));
        put(
            headers,
            "anthropic-organization-id",
            "00000000-0000-4000-8000-000000000000",
        );
    }

    fn error(failure: &Failure, base: &str, seq: u64) -> Report {
        let mut headers = HeaderMap::new();
        if let Kind::RateLimit(hint) = failure.kind {
            put(&mut headers, "anthropic-ratelimit-requests-limit", "50");
            put(&mut headers, "anthropic-ratelimit-requests-remaining", "0");
            if let Some(hint) = hint {
                put(&mut headers, "retry-after", format!("{hint}"));
            }
        }
        let (status, error) = error(failure, base);
        let body = json!({"type": "error", "error": error, "request_id": format!("req_sim{seq}")});
        Report {
            status,
            headers,
            body: body.to_string(),
        }
    }

    fn whole(ask: &Ask, answer: &Answer, seq: u64) -> Bytes {
        let mut content = Vec::new();
        if !answer.text.is_empty() {
            content.push(format!(r#"{{"type":"text","text":"{}"}}"#, answer.text()));
        }
        for (index, call) in answer.calls.iter().enumerate() {
            content.push(format!(
                r#"{{"type":"tool_use","id":"toolu_sim{seq}_{index}","name":"{}","input":{}}}"#,
                escape(&call.name),
                call.args
            ));
        }
        let mut message = String::with_capacity(512);
        let _ = write!(
            message,
            r#"{{"id":"msg_sim{seq}","type":"message","role":"assistant","model":"{}","content":[{}],{},"usage":{}}}"#,
            escape(&ask.base),
            content.join(","),
            stop(answer),
            usage(ask, answer.tokens()),
        );
        message.into()
    }

    fn frames(ask: &Ask, answer: &Answer, seq: u64) -> Vec<Frame> {
        let many = answer.tokens() + 8;
        let mut frames = Frames::with_capacity(many * 160, many);
        frames.push(false, |buffer| {
            let _ = write!(
                buffer,
                "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"msg_sim{seq}\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"{}\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{}}}}}\n\n",
                escape(&ask.base),
                usage(ask, 1),
            );
        });
        let mut index = 0;
        if !answer.text.is_empty() {
            frames.push(false, |buffer| {
                start(buffer, index, r#"{"type":"text","text":""}"#)
            });
            frames.push(false, |buffer| buffer.extend_from_slice(PING.as_bytes()));
            for token in &answer.text {
                frames.push(true, |buffer| {
                    delta(buffer, index, r#"{"type":"text_delta","text":""#, token)
                });
            }
            frames.push(false, |buffer| end(buffer, index));
            index += 1;
        }
        for (call, asked) in answer.calls.iter().enumerate() {
            let block = format!(
                r#"{{"type":"tool_use","id":"toolu_sim{seq}_{call}","name":"{}","input":{{}}}}"#,
                escape(&asked.name)
            );
            frames.push(true, |buffer| start(buffer, index, &block));
            const PARTIAL: &str = r#"{"type":"input_json_delta","partial_json":""#;
            frames.push(false, |buffer| delta(buffer, index, PARTIAL, ""));
            for fragment in asked.fragments() {
                frames.push(true, |buffer| delta(buffer, index, PARTIAL, &fragment));
            }
            frames.push(false, |buffer| end(buffer, index));
            index += 1;
        }
        frames.push(false, |buffer| {
            let _ = write!(
                buffer,
                "event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{{}}},\"usage\":{{\"output_tokens\":{}}}}}\n\n",
                stop(answer),
                answer.tokens(),
            );
        });
        frames.push(false, |buffer| {
            buffer.extend_from_slice(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
        });
        frames.finish()
    }

    fn error_frames(kind: Option<Kind>, base: &str) -> Vec<Bytes> {
        let (_, error) = error(&kind.unwrap_or(Kind::Overloaded).into(), base);
        vec![
            format!(
                "event: error\ndata: {}\n\n",
                json!({"type": "error", "error": error})
            )
            .into(),
        ]
    }

    fn ping() -> Option<Bytes> {
        Some(Bytes::from_static(PING.as_bytes()))
    }
}

const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";

fn start(buffer: &mut BytesMut, index: usize, block: &str) {
    let _ = write!(
        buffer,
        "event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":{index},\"content_block\":{block}}}\n\n"
    );
}

fn delta(buffer: &mut BytesMut, index: usize, open: &str, text: &str) {
    let _ = write!(
        buffer,
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{open}{text}\"}}}}\n\n"
    );
}

fn end(buffer: &mut BytesMut, index: usize) {
    let _ = write!(
        buffer,
        "event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":{index}}}\n\n"
    );
}

/// The fields that say why it stopped, without their braces.
fn stop(answer: &Answer) -> String {
    let reason = match answer.stop {
        Stop::End => "end_turn",
        Stop::Sequence => "stop_sequence",
        Stop::Length => "max_tokens",
        Stop::Calls => "tool_use",
        Stop::Filter => {
            return r#""stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":"cyber","explanation":null}"#.to_owned();
        }
    };
    let sequence = Value::from(answer.stopped_by.clone());
    format!(r#""stop_reason":"{reason}","stop_sequence":{sequence}"#)
}

fn usage(ask: &Ask, output: usize) -> String {
    let Plan {
        cached,
        written: short,
        written_1h: hour,
        ..
    } = ask.plan;
    let geo = match &ask.plan.geo {
        Some(place) => format!(r#","inference_geo":"{}""#, escape(place)),
        None => String::new(),
    };
    let split = match short + hour {
        0 => String::new(),
        _ => format!(
            r#""cache_creation":{{"ephemeral_5m_input_tokens":{short},"ephemeral_1h_input_tokens":{hour}}},"#
        ),
    };
    format!(
        r#"{{"input_tokens":{},"cache_creation_input_tokens":{},"cache_read_input_tokens":{cached},{split}"output_tokens":{output},"service_tier":"standard"{geo}}}"#,
        ask.prompt_tokens,
        short + hour,
    )
}

fn error(failure: &Failure, base: &str) -> (StatusCode, Value) {
    const INVALID: &str = "invalid_request_error";
    let (status, kind, message) = match failure.kind {
        Kind::Server => (500, "api_error", "Internal server error".to_owned()),
        Kind::Unavailable => (503, "api_error", "Service unavailable".to_owned()),
        Kind::Overloaded => (529, "overloaded_error", "Overloaded".to_owned()),
        Kind::Timeout => (504, "timeout_error", "Request timed out".to_owned()),
        Kind::RateLimit(_) => (
            429,
            "rate_limit_error",
            "This request would exceed your organization's rate limit of 50 requests per minute.".to_owned(),
        ),
        Kind::Auth => (401, "authentication_error", "invalid x-api-key".to_owned()),
        Kind::Permission => (
            403,
            "permission_error",
            "Your API key does not have permission to use the specified resource.".to_owned(),
        ),
        Kind::NotFound => (404, "not_found_error", format!("model: {base}")),
        Kind::Invalid => (400, INVALID, "messages: sim says no".to_owned()),
        Kind::Quota => (
            400,
            INVALID,
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.".to_owned(),
        ),
        Kind::Context => (400, INVALID, "prompt is too long: 210000 tokens > 200000 maximum".to_owned()),
        Kind::Filter => (400, INVALID, "Output blocked by content filtering policy".to_owned()),
    };
    let status = StatusCode::from_u16(status).expect("the statuses above are valid");
    let message = failure.message.clone().unwrap_or(message);
    (status, json!({"type": kind, "message": message}))
}
