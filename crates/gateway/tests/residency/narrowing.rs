//! What callers say about where their requests may go: it can only narrow, and it has to be understood.

use http::StatusCode;

use crate::support::Gateway;
use crate::{EU_ONLY, Sides, ask_with, assert_no_compliant, inside, kept_away, outside};

const HEADER: &str = "x-backstop-residency";

const RULES: &str = "
residency:
  rules:
    - {name: with-dpa, match: none, require: {compliance: [dpa]}}
    - {name: german, match: none, require: {processing: [de]}}
";

async fn start(sides: &Sides, rules: &str) -> Gateway {
    let deployments = [
        outside("smart", "us", "openai/gpt-4o").info("compliance: dpa"),
        inside("smart", "ireland", "openai/gpt-4o-mini"),
        inside("smart", "frankfurt", "bedrock/anthropic.claude-sonnet-4-5"),
    ];
    let text = crate::config(&deployments, rules).replacen(
        "processing: eu-central-1",
        "processing: eu-west-1",
        1,
    );
    let text = text.replace("compliance: dpa", "compliance: [dpa]");
    sides.setup(&text).start().await
}

#[tokio::test]
async fn a_caller_narrows() {
    let sides = Sides::new().await;
    let gateway = start(&sides, RULES).await;
    for (values, served_by) in [
        (&[][..], "us"),
        (&["eu"][..], "ireland"),
        (&["EU"], "ireland"),
        (&["de"], "frankfurt"),
        (&["eu-central-1"], "frankfurt"),
        (&["de, fr"], "frankfurt"),
        (&["german"], "frankfurt"),
        (&["german, eu"], "frankfurt"),
        (&["with-dpa"], "us"),
        (&["us"], "us"),
        (&["global"], "us"),
        (&["de", "de"], "frankfurt"),
    ] {
        let headers: Vec<_> = values.iter().map(|value| (HEADER, *value)).collect();
        let response = gateway.send(ask_with("smart", "Hello", &headers)).await;
        assert_eq!(response.status, 200, "{values:?}: {}", response.text());
        assert_eq!(
            response.header("x-backstop-deployment"),
            served_by,
            "{values:?}"
        );
    }
    // Both hold, and nobody is both.
    let response = gateway
        .send(ask_with("smart", "Hello", &[(HEADER, "german, with-dpa")]))
        .await;
    let record = gateway.record(response.request_id()).await;
    assert_no_compliant(&response, &record);
    assert_eq!(kept_away(&record).len(), 3);
}

#[tokio::test]
async fn a_caller_never_widens() {
    let sides = Sides::new().await;
    let gateway = start(&sides, EU_ONLY).await;
    for value in ["global", "eu, us", "eea"] {
        let response = gateway
            .send(ask_with("smart", "Hello", &[(HEADER, value)]))
            .await;
        assert_eq!(
            response.header("x-backstop-deployment"),
            "ireland",
            "{value}"
        );
        let record = gateway.record(response.request_id()).await;
        let policy = record["policy"].as_str().expect("text");
        assert!(
            policy.starts_with("eu-only, x-backstop-residency: "),
            "{policy}"
        );
    }
    let response = gateway
        .send(ask_with("smart", "Hello", &[(HEADER, "us")]))
        .await;
    let record = gateway.record(response.request_id()).await;
    assert_no_compliant(&response, &record);
    assert_eq!(record["policy"], "eu-only, x-backstop-residency: us");
    sides.nothing_left("us");
}

#[tokio::test]
async fn what_is_not_understood_goes_nowhere() {
    let sides = Sides::new().await;
    for rules in [RULES, EU_ONLY, ""] {
        let gateway = start(&sides, rules).await;
        for (headers, said) in [
            (&[(HEADER, "atlantis")][..], "unknown region `atlantis`"),
            (&[(HEADER, "eu-centra-1")], "eu-central-1"),
            (&[(HEADER, "eu,,de")], "not a list of names"),
            (
                &[(HEADER, "eu"), (HEADER, "us")],
                "sent more than once, with different values",
            ),
            (
                &[("x-backstop-user-region", "mars")],
                "unknown region `mars`",
            ),
            (&[("x-backstop-data-class", "")], "not a list of names"),
        ] {
            let response = gateway.send(ask_with("smart", "Hello", headers)).await;
            assert_eq!(
                (response.status, &*response.code()),
                (StatusCode::BAD_REQUEST, "invalid_request"),
                "{headers:?}"
            );
            let message = response.json()["error"]["message"].to_string();
            assert!(
                message.contains(said) && message.contains(headers[0].0),
                "{message}"
            );
            let record = gateway.record(response.request_id()).await;
            assert_eq!(record["outcome"], "client_error", "{headers:?}");
            let notes = record["notes"].to_string();
            assert!(
                notes.contains(said) && notes.contains(headers[0].0),
                "{record}"
            );
        }
        sides.nothing_left("not understood");
        assert!(sides.eu.journal().entries().is_empty());
    }
}
