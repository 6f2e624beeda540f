//! One request of the demo's client, and its record.

use std::path::PathBuf;
use std::time::Duration;

use backstop_client::Client;
use backstop_core::BoxError;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt;

/// How long a record may take to be on the disk.
const RECORD: Duration = Duration::from_secs(5);

pub(super) struct Visitor {
    client: Client,
    url: String,
    audit: PathBuf,
}

/// What the client saw, and the record of it.
pub(super) struct Visit {
    pub(super) stream: bool,
    pub(super) status: u16,
    pub(super) took: Duration,
    pub(super) text: String,
    /// A finish reason came, and for a stream `[DONE]`.
    pub(super) is_complete: bool,
    /// The code of the error, in the body or in the stream.
    pub(super) error: Option<String>,
    pub(super) retry_after: Option<String>,
    pub(super) served_by: Option<String>,
    pub(super) attempts: u32,
    /// The audit record.
    pub(super) record: Value,
}

impl Visitor {
    pub(super) fn new(gateway: &str, audit: PathBuf) -> Self {
        Self {
            client: Client::plain_http(),
            url: format!("{gateway}/v1/chat/completions"),
            audit,
        }
    }

    pub(super) async fn ask(&self, stream: bool) -> Result<Visit, BoxError> {
        let question = json!({
            "model": "smart",
            "stream": stream,
            "messages": [{"role": "user", "content": "Which provider am I on?"}],
        });
        let request = Request::post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(question.to_string())))?;
        let began = Instant::now();
        let (head, body) = self.client.clone().oneshot(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let took = Instant::now().saturating_duration_since(began);
        let header = |name: &str| {
            head.headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let seen = Seen::of(&body, stream && head.status.is_success());
        let id = header("x-backstop-request-id").ok_or("the answer has no request id")?;
        Ok(Visit {
            stream,
            status: head.status.as_u16(),
            took,
            text: seen.text,
            is_complete: seen.is_complete,
            error: seen.error,
            retry_after: header("retry-after"),
            served_by: header("x-backstop-provider"),
            attempts: header("x-backstop-attempts")
                .and_then(|count| count.parse().ok())
                .unwrap_or_default(),
            record: self.record(&id).await?,
        })
    }

    /// Waits for the record of this request to be on the disk.
    async fn record(&self, id: &str) -> Result<Value, BoxError> {
        let wait = async {
            let mut look = tokio::time::interval(Duration::from_millis(2));
            loop {
                look.tick().await;
                for file in std::fs::read_dir(&self.audit)? {
                    let lines = std::fs::read_to_string(file?.path())?;
                    let record = lines.lines().rev().find(|line| line.contains(id));
                    if let Some(record) = record.and_then(|line| serde_json::from_str(line).ok()) {
                        return Ok(record);
                    }
                }
            }
        };
        tokio::time::timeout(RECORD, wait)
            .await
            .map_err(|_| "no record was written")?
    }
}

/// What a body says.
#[derive(Default)]
struct Seen {
    text: String,
    is_complete: bool,
    error: Option<String>,
}

impl Seen {
    fn of(body: &[u8], stream: bool) -> Self {
        let mut seen = Self::default();
        let mut finished = false;
        let mut done = !stream;
        let text = String::from_utf8_lossy(body);
        let documents: Vec<&str> = if stream {
            text.lines()
                .filter_map(|line| line.strip_prefix("data: "))
                .collect()
        } else {
            vec![&text]
        };
        for document in documents {
            if document == "[DONE]" {
                done = true;
                continue;
            }
            let Ok(document) = serde_json::from_str::<Value>(document) else {
                continue;
            };
            seen.error = seen
                .error
                .or_else(|| document["error"]["code"].as_str().map(str::to_owned));
            let choice = &document["choices"][0];
            for said in [&choice["delta"]["content"], &choice["message"]["content"]] {
                seen.text.push_str(said.as_str().unwrap_or_default());
            }
            finished |= choice["finish_reason"].is_string();
        }
        seen.is_complete = finished && done;
        seen
    }
}
