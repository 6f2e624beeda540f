//! Bedrock Converse and ConverseStream.

mod check;

use crate::{
    answer::{Answer, Ask, Stop},
    plan::{Kind, Plan},
    provider::{Api, Failure, Frame, Frames, Provider, Report, decoded, put},
    script::escape,
};
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use serde_json::{Value, json};

pub(crate) struct Bedrock;

impl Api for Bedrock {
    const PROVIDER: Provider = Provider::Bedrock;
    const STREAM: &'static str = "application/vnd.amazon.eventstream";
    const FILTERS_IN_200: bool = true;
    const NO_PREFILL: &'static str = "The model returned the following errors: This model does not support assistant message prefill. The conversation must end with a user message.";

    fn call(path: &str, _: &Value) -> Option<(String, bool)> {
        let (model, operation) = path.strip_prefix("/model/")?.rsplit_once('/')?;
        let stream = match operation {
            "converse" => false,
            "converse-stream" => true,
            _ => return None,
        };
        Some((decoded(model), stream))
    }

    /// The bearer token, or the access key id of a signature; the signature itself is not verified.
    fn key(headers: &HeaderMap) -> Option<&str> {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        match value.split_once("Credential=") {
            Some((_, credential)) => credential.split('/').next(),
            None => value.strip_prefix("Bearer ").map(str::trim),
        }
    }

    fn check(_: &HeaderMap, base: &str, json: &Value) -> Result<Ask, Failure> {
        check::check(base, json)
    }

    fn headers(seq: u64, headers: &mut HeaderMap) {
        put(
            headers,
            "x-amzn-requestid",
            format!("00000000-0000-4000-8000-{seq:012x}"),
        );
    }

    fn error(failure: &Failure, _: &str, _: u64) -> Report {
        let mut headers = HeaderMap::new();
        if let Kind::RateLimit(Some(hint)) = failure.kind {
            put(
                &mut headers,
                "x-amz-retry-after",
                format!("{}", (hint * 1000.0).round()),
            );
        }
        let (status, name, message) = error(failure.kind);
        put(
            &mut headers,
            "x-amzn-errortype",
            format!("{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"),
        );
        let message = failure.message.as_deref().unwrap_or(message);
        Report {
            status,
            headers,
            body: json!({"message": message}).to_string(),
        }
    }

    fn whole(ask: &Ask, answer: &Answer, seq: u64) -> Bytes {
        let mut content = Vec::new();
        if !answer.text.is_empty() {
            content.push(format!(r#"{{"text":"{}"}}"#, answer.text()));
        }
        for (index, call) in answer.calls.iter().enumerate() {
            content.push(format!(
                r#"{{"toolUse":{{"toolUseId":"tooluse_sim{seq}_{index}","name":"{}","input":{}}}}}"#,
                escape(&call.name),
                call.args
            ));
        }
        format!(
            r#"{{"output":{{"message":{{"role":"assistant","content":[{}]}}}},"stopReason":"{}","usage":{},"metrics":{{"latencyMs":1}}}}"#,
            content.join(","),
            stop(ask, answer),
            usage(ask, answer),
        )
        .into()
    }

    fn frames(ask: &Ask, answer: &Answer, seq: u64) -> Vec<Frame> {
        let many = answer.tokens() + 8;
        let mut frames = Frames::with_capacity(many * 192, many);
        event(
            &mut frames,
            false,
            "messageStart",
            r#"{"role":"assistant"}"#.to_owned(),
        );
        let mut index = 0;
        for token in &answer.text {
            let payload =
                format!(r#"{{"contentBlockIndex":{index},"delta":{{"text":"{token}"}}}}"#);
            event(&mut frames, true, "contentBlockDelta", payload);
        }
        let end = |frames: &mut Frames, index: usize| {
            event(
                frames,
                false,
                "contentBlockStop",
                format!(r#"{{"contentBlockIndex":{index}}}"#),
            );
        };
        if !answer.text.is_empty() {
            end(&mut frames, index);
            index += 1;
        }
        for (call, asked) in answer.calls.iter().enumerate() {
            let payload = format!(
                r#"{{"contentBlockIndex":{index},"start":{{"toolUse":{{"toolUseId":"tooluse_sim{seq}_{call}","name":"{}"}}}}}}"#,
                escape(&asked.name)
            );
            event(&mut frames, true, "contentBlockStart", payload);
            for fragment in asked.fragments() {
                let payload = format!(
                    r#"{{"contentBlockIndex":{index},"delta":{{"toolUse":{{"input":"{fragment}"}}}}}}"#
                );
                event(&mut frames, true, "contentBlockDelta", payload);
            }
            end(&mut frames, index);
            index += 1;
        }
        event(
            &mut frames,
            false,
            "messageStop",
            format!(r#"{{"stopReason":"{}"}}"#, stop(ask, answer)),
        );
        let payload = format!(
            r#"{{"metrics":{{"latencyMs":1}},"usage":{}}}"#,
            usage(ask, answer)
        );
        event(&mut frames, false, "metadata", payload);
        frames.finish()
    }

    fn error_frames(kind: Option<Kind>, _: &str) -> Vec<Bytes> {
        let (name, mut payload) = match kind {
            None => (
                "modelStreamErrorException",
                json!({"originalStatusCode": 500, "originalMessage": "The model broke off."}),
            ),
            Some(Kind::Server) => ("internalServerException", json!({})),
            Some(Kind::RateLimit(_) | Kind::Quota) => ("throttlingException", json!({})),
            Some(Kind::Unavailable | Kind::Overloaded | Kind::Timeout) => {
                ("serviceUnavailableException", json!({}))
            }
            Some(_) => ("validationException", json!({})),
        };
        let message = kind.map_or("The model stopped while it streamed its answer.", |kind| {
            error(kind).2
        });
        payload["message"] = message.into();
        let headers = [
            (":exception-type", name),
            (":content-type", "application/json"),
            (":message-type", "exception"),
        ];
        let mut buffer = BytesMut::new();
        write(&mut buffer, headers, payload.to_string());
        vec![buffer.freeze()]
    }

    /// The whole frame with one bit of its checksum wrong.
    fn damaged(frame: &Bytes) -> Bytes {
        let mut frame = BytesMut::from(&frame[..]);
        if let Some(last) = frame.last_mut() {
            *last ^= 1;
        }
        frame.freeze()
    }

    fn ping() -> Option<Bytes> {
        None
    }
}

fn event(frames: &mut Frames, content: bool, name: &'static str, payload: String) {
    let headers = [
        (":event-type", name),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ];
    frames.push(content, |buffer| write(buffer, headers, payload));
}

fn write(buffer: &mut BytesMut, headers: [(&'static str, &'static str); 3], payload: String) {
    let header = |(name, value): (&'static str, &'static str)| {
        Header::new(name, HeaderValue::String(value.into()))
    };
    let message = Message::new_from_parts(headers.map(header).into(), payload);
    write_message_to(&message, buffer).expect("our messages are far below the frame's limits");
}

fn stop(ask: &Ask, answer: &Answer) -> &'static str {
    match answer.stop {
        Stop::End => "end_turn",
        Stop::Sequence => "stop_sequence",
        Stop::Length => "max_tokens",
        Stop::Calls => "tool_use",
        Stop::Filter if ask.plan.error == Some(Kind::Filter) => "content_filtered",
        Stop::Filter => "guardrail_intervened",
    }
}

fn usage(ask: &Ask, answer: &Answer) -> String {
    let (input, output) = (ask.prompt_tokens, answer.tokens());
    let Plan {
        cached,
        written: short,
        written_1h: hour,
        ..
    } = ask.plan;
    let split = match short + hour {
        0 => String::new(),
        _ => format!(
            r#","cacheDetails":[{{"ttl":"5m","inputTokens":{short}}},{{"ttl":"1h","inputTokens":{hour}}}]"#
        ),
    };
    let written = short + hour;
    format!(
        r#"{{"inputTokens":{input},"outputTokens":{output},"totalTokens":{},"cacheReadInputTokens":{cached},"cacheWriteInputTokens":{written}{split}}}"#,
        input + output + cached + written
    )
}

fn error(kind: Kind) -> (StatusCode, &'static str, &'static str) {
    let (status, name, message) = match kind {
        Kind::Server => (
            500,
            "InternalServerException",
            "The system encountered an unexpected error during processing. Try your request again.",
        ),
        Kind::Unavailable | Kind::Overloaded => (
            503,
            "ServiceUnavailableException",
            "Bedrock is unable to process your request.",
        ),
        Kind::Timeout => (
            408,
            "ModelTimeoutException",
            "Model has timed out in processing the request. Try your request again.",
        ),
        Kind::RateLimit(_) => (
            429,
            "ThrottlingException",
            "Too many requests, please wait before trying again.",
        ),
        Kind::Auth => (
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        Kind::Permission => (
            403,
            "AccessDeniedException",
            "You don't have access to the model with the specified model ID.",
        ),
        Kind::NotFound => (
            404,
            "ResourceNotFoundException",
            "Could not resolve the foundation model from the provided model identifier.",
        ),
        Kind::Invalid => (
            400,
            "ValidationException",
            "The provided request is not valid",
        ),
        Kind::Quota => (
            429,
            "ThrottlingException",
            "Too many tokens per day, please wait before trying again.",
        ),
        Kind::Context => (
            400,
            "ValidationException",
            "Input is too long for requested model.",
        ),
        // Only in a stream: Bedrock answers a blocked prompt with a 200.
        Kind::Filter => (400, "ValidationException", "The content was filtered."),
    };
    (
        StatusCode::from_u16(status).expect("the statuses above are valid"),
        name,
        message,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_id_comes_without_its_escapes() {
        let path = "/model/anthropic.claude-sonnet-4-6-v1%3A0%2B429%3D2/converse-stream";
        let (model, stream) = Bedrock::call(path, &Value::Null).unwrap();
        assert_eq!(
            (model.as_str(), stream),
            ("anthropic.claude-sonnet-4-6-v1:0+429=2", true)
        );
        assert!(Bedrock::call("/model/x/invoke", &Value::Null).is_none());
    }
}
