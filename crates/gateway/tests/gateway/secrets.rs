//! No key is ever shown to anybody but its provider.

use std::convert::Infallible;
use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{Gateway, Setup, ask, config, deployment, get};

/// As keys look, and as nobody's pattern expects them.
const SECRETS: [&str; 6] = [
    "sk-proj-MARKED1openai0a1b2c3d4e5f",
    "MARKED-openai-plain",
    "sk-ant-MARKED3anthropic9z8y7x",
    "AKIAMARKED4ACCESSKEY",
    "MARKED/5/aws+secret=",
    "MARKED-session-token",
];
const MASTER: &str = "MARKED-master";

/// A provider that says back what it was sent: a careless one, or a debugging proxy.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(async |request| Ok::<_, Infallible>(echoed(&request)));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    format!("http://{addr}")
}

/// Repeats the headers of `request` in every place that is read.
fn echoed(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let mut sent = String::new();
    for (name, value) in request.headers() {
        let _ = write!(
            sent,
            "{name}={} ",
            String::from_utf8_lossy(value.as_bytes())
        );
    }
    // The first part of the path says how.
    let status: u16 = request.uri().path()[1..4].parse().expect("a status");
    let error =
        json!({"message": sent, "type": "invalid_request_error", "code": null, "param": sent});
    let body = match status {
        // An error in an answer that began well.
        200 => format!("data: {}\n\n", json!({"error": error})),
        // No error format at all.
        502 => sent,
        _ => json!({"type": "error", "message": sent, "error": error}).to_string(),
    };
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    let headers = response.headers_mut();
    let content = if status == 200 {
        "text/event-stream"
    } else {
        "application/json"
    };
    headers.insert("content-type", HeaderValue::from_static(content));
    for name in ["authorization", "x-api-key", "x-amz-security-token"] {
        if let Some(key) = request.headers().get(name) {
            headers.insert("retry-after", key.clone());
            headers.insert("set-cookie", key.clone());
        }
    }
    response
}

#[tokio::test]
async fn no_key_leaves_the_process() {
    let echo = echo().await;
    let mut deployments = Vec::new();
    let mut models = Vec::new();
    for status in [200, 400, 401, 403, 404, 422, 429, 500, 502, 529] {
        let openai = |key: &str| {
            deployment("", "openai/gpt-4o")
                .param(&format!("api_key: {key}"))
                .param(&format!("api_base: {echo}/{status}/v1"))
        };
        let anthropic = deployment("", "anthropic/claude-sonnet-4-6")
            .param(&format!("api_key: {}", SECRETS[2]))
            .param(&format!("api_base: {echo}/{status}"));
        let bedrock = deployment("", "bedrock/us.anthropic.claude-sonnet-4-6")
            .param(&format!("aws_access_key_id: {}", SECRETS[3]))
            .param(&format!("aws_secret_access_key: {}", SECRETS[4]))
            .param(&format!("aws_session_token: {}", SECRETS[5]))
            .param(&format!("aws_bedrock_runtime_endpoint: {echo}/{status}"));
        for (n, one) in [openai(SECRETS[0]), openai(SECRETS[1]), anthropic, bedrock]
            .into_iter()
            .enumerate()
        {
            let model = format!("m{status}-{n}");
            deployments.push(one.clone().group(&model).id(&format!("alone-{model}")));
            deployments.push(
                one.group(&format!("m{status}"))
                    .id(&format!("chained-{model}")),
            );
            models.push(model);
        }
        models.push(format!("m{status}"));
    }
    let more = format!(
        "router_settings: {{patience: 0, num_retries: 1, retry_after: 0}}\n\
         general_settings: {{master_key: {MASTER}, expose_attempts: true}}"
    );
    let text = config(&deployments, &more);

    let check = Setup::new(&["check", "--config", "backstop.yaml"]).file("backstop.yaml", &text);
    let checked = check.run().await;
    assert_eq!(checked.status.code(), Some(0), "{}", checked.stderr);
    assert_unmarked("check", &checked.stdout);

    let gateway = Setup::serve(&text).env("RUST_LOG", "trace").start().await;
    let authorized = |mut request: Request<Bytes>, key: &str| {
        let value = HeaderValue::from_str(&format!("Bearer {key}")).expect("ASCII");
        request.headers_mut().insert("authorization", value);
        request
    };
    for model in &models {
        for stream in [false, true] {
            assert_shown_to_nobody(&gateway, authorized(ask(model, stream), MASTER)).await;
        }
    }
    for request in [
        get("/v1/models"),
        get("/v1/models/m200"),
        get("/v1/models/none"),
        get("/health/readiness"),
    ] {
        assert_shown_to_nobody(&gateway, authorized(request, MASTER)).await;
    }
    assert_shown_to_nobody(&gateway, authorized(ask("m200", false), "MARKED-masteR")).await;

    // A configuration that is wrong where its keys stand.
    for (from, to) in [
        ("api_key: MARKED", "api_kye: MARKED"),
        ("aws_session_token: ", "aws_session_token: 7 #"),
    ] {
        let wrong = text.replacen(from, to, 1);
        assert_ne!(wrong, text);
        let check =
            Setup::new(&["check", "--config", "backstop.yaml"]).file("backstop.yaml", &wrong);
        let checked = check.run().await;
        assert_eq!(checked.status.code(), Some(1), "{from}");
        assert_unmarked("an error", &checked.stderr);
        std::fs::write(gateway.path("backstop.yaml"), wrong).expect("writable");
        gateway.signal(Signal::HUP);
        gateway
            .logged(&[
                "not reloaded",
                if from.starts_with("api") {
                    "api_kye"
                } else {
                    "aws_session_token"
                },
            ])
            .await;
    }

    let finished = gateway.stop().await;
    assert_unmarked("stdout", &finished.stdout);
    assert_unmarked("the log", &finished.stderr);
    let records = finished.records();
    assert_eq!(records.len(), models.len() * 2 + 1);
    for record in records {
        assert_unmarked("a record", &record.to_string());
    }
}

async fn assert_shown_to_nobody(gateway: &Gateway, request: Request<Bytes>) {
    let about = format!(
        "{} {}",
        request.uri(),
        String::from_utf8_lossy(request.body())
    );
    let response = gateway.send(request).await;
    assert_unmarked(
        &about,
        &format!("{:?}\n{}", response.headers, response.text()),
    );
}

fn assert_unmarked(place: &str, text: &str) {
    if let Some(line) = text.lines().find(|line| line.contains("MARKED")) {
        panic!("a key in {place}: {line}");
    }
}
