//! Requests that are wrong: each gets its error, and the gateway serves the next one.

use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::json;

use crate::support::{Client, Gateway, ask, config, deployment, post, raw, request, sim};

async fn gateway() -> (backstop_sim::Sim, Gateway) {
    let sim = sim().await;
    let gateway = Gateway::start(&sim, &config(&[deployment("smart", "openai/gpt-4o")], "")).await;
    (sim, gateway)
}

#[tokio::test]
async fn each_gets_its_error_and_the_connection_goes_on() {
    let deep = |open: &str, close: &str| {
        let deep = open.repeat(10_000) + &close.repeat(10_000);
        format!(r#"{{"model": "smart", "messages": {deep}}}"#)
    };
    let cases: &[(&str, Bytes, u16, &str, Option<&str>)] = &[
        ("nothing", "".into(), 400, "invalid_request", None),
        ("not JSON", "model=smart".into(), 400, "invalid_request", None),
        ("truncated", r#"{"model": "smart", "messages": [{"role": "us"#.into(), 400, "invalid_request", None),
        ("more behind it", r#"{"model": "smart", "messages": []} {}"#.into(), 400, "invalid_request", None),
        ("a list", "[]".into(), 400, "invalid_request", None),
        ("deep lists", deep("[", "]").into(), 400, "invalid_request", None),
        ("deep objects", deep(r#"{"a":"#, "}").replace("}}}", "1}}}").into(), 400, "invalid_request", None),
        ("model of a wrong type", r#"{"model": 7, "messages": []}"#.into(), 400, "invalid_request", Some("model")),
        ("messages of a wrong type", r#"{"model": "smart", "messages": 7}"#.into(), 400, "invalid_request", Some("messages")),
        (
            "stream of a wrong type",
            r#"{"model": "smart", "messages": [{"role": "user", "content": "Hi"}], "stream": "yes"}"#.into(),
            400,
            "invalid_request",
            Some("stream"),
        ),
        ("no model", r#"{"messages": [{"role": "user", "content": "Hi"}]}"#.into(), 400, "invalid_request", Some("model")),
        ("no messages", r#"{"model": "smart"}"#.into(), 400, "invalid_request", Some("messages")),
        ("an unknown model", ask("smarter", false).into_body(), 404, "model_not_found", Some("model")),
        (
            "invalid UTF-8",
            Bytes::from_static(b"{\"model\": \"smart\", \"messages\": [{\"role\": \"user\", \"content\": \"\xff\"}]}"),
            400,
            "invalid_request",
            None,
        ),
        (
            "duplicate keys",
            r#"{"model": "smart", "messages": [{"role": "user", "content": "Hi"}], "model": "other"}"#.into(),
            400,
            "invalid_request",
            Some("model"),
        ),
        ("21 MiB", vec![b' '; 21 << 20].into(), 413, "request_too_large", None),
    ];
    let (sim, gateway) = gateway().await;
    let mut client = Client::connect(gateway.addr()).await;
    for (name, body, status, code, param) in cases {
        let refused = client.send(post(body.clone())).await;
        assert_eq!(
            refused.status.as_u16(),
            *status,
            "{name}: {}",
            refused.text()
        );
        assert_eq!(refused.code(), *code, "{name}");
        let error = &refused.json()["error"];
        if param.is_some() {
            assert_eq!(error["param"], json!(param), "{name}");
        }
        assert_eq!(
            error["backstop"]["request_id"],
            refused.request_id(),
            "{name}"
        );
        assert_eq!(error["backstop"]["retryable"], false, "{name}");
        assert_eq!(refused.header("x-should-retry"), "false", "{name}");
    }
    assert!(sim.journal().entries().is_empty(), "none of them was sent");
    let answer = client.send(ask("smart", false)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.said(), backstop_sim::text("gpt-4o"));
}

#[tokio::test]
async fn http_that_is_wrong_costs_its_connection_and_no_more() {
    let (_sim, gateway) = gateway().await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\n";
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    let large = format!("x-large: {}\r\n", "x".repeat(40 * 1024));
    for (bytes, status) in [
        (
            format!("{head}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}}}"),
            "400",
        ),
        (format!("{head}content-length: two\r\n\r\n{{}}"), "400"),
        (format!("{head}{large}\r\n"), "431"),
        (format!("{head}{many}\r\n"), "431"),
        ("no HTTP at all\r\n\r\n".to_owned(), "400"),
    ] {
        let answer = raw(gateway.addr(), bytes.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{status}: {answer}"
        );
    }
    assert_eq!(gateway.ask("smart", false).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_limit_of_a_body_can_be_set() {
    let sim = sim().await;
    let text = config(
        &[deployment("smart", "openai/gpt-4o")],
        "general_settings: {max_request_size_mb: 1}",
    );
    let gateway = Gateway::start(&sim, &text).await;
    let sized = |bytes: usize| -> Request<Bytes> {
        // Not a prompt, which would not fit into the model's window.
        let padding = "x".repeat(bytes);
        let messages = json!([{"role": "user", "content": "Hi"}]);
        post(json!({"model": "smart", "messages": messages, "padding": padding}).to_string())
    };
    assert_eq!(
        gateway.send(sized((1 << 20) - 200)).await.status,
        StatusCode::OK
    );
    assert_eq!(
        gateway.send(sized(1 << 20)).await.code(),
        "request_too_large"
    );
}

#[tokio::test]
async fn both_paths_answer_and_unknown_fields_arrive() {
    let (sim, gateway) = gateway().await;
    let body = r#"{ "model":"smart","messages":[{"role":"user","content":"Hi","x":1}], "metadata" : {"a": "b"}}"#;
    for path in ["/v1/chat/completions", "/chat/completions"] {
        let answer = gateway.send(request("POST", path, body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    }
    for entry in sim.journal().entries() {
        assert_eq!(
            entry.body,
            body.replace("smart", "gpt-4o"),
            "every other byte as it came"
        );
    }
}
