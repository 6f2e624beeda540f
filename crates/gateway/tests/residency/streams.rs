//! The rest of a broken stream, and answers that are put together from streams.

use serde_json::{Value, json};

use crate::support::{Deployment, Gateway, Response, ask, post};
use crate::{EU_ONLY, Sides, inside, kept_away, outside};

const SETTINGS: &str = "router_settings: {num_retries: 0, cooldown_time: 0, stream_timeout: 0.3}\n";

/// How a stream goes on, and a model inside that does it so.
const MODES: [(&str, &str); 3] = [
    ("prefill", "bedrock/anthropic.claude-sonnet-4-5"),
    ("prompted", "openai/gpt-4o"),
    ("replay", "openai/gpt-4o"),
];

async fn stream(gateway: &Gateway, mode: &str) -> Response {
    let mut body = json!({"model": "smart", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    if mode == "replay" {
        // An answer that is determined can be asked for again.
        body["temperature"] = json!(0);
    }
    gateway.send(post(body.to_string())).await
}

/// What a stream of the gateway says in all, but for its comments.
fn text(response: &Response) -> String {
    let answer = response.answer();
    assert_eq!(answer.error, None);
    assert_eq!(answer.finish, ["stop"]);
    answer.text
}

fn modes(record: &Value) -> Vec<&str> {
    let resumes = record["resumes"].as_array().expect("a list").iter();
    resumes
        .map(|row| row["mode"].as_str().expect("text"))
        .collect()
}

/// In each way, by each kind of break: to the next inside, past the one outside that would come first.
#[tokio::test]
async fn a_broken_stream_goes_on_inside() {
    for (mode, model) in MODES {
        for how in ["cut=20", "eof=20", "error=20", "stall=20"] {
            let sides = Sides::new().await;
            let (first, other) = match mode {
                // The same model, which breaks once.
                "replay" => (
                    format!("{model}+{how}+first=1"),
                    format!("{model}+{how}+first=1"),
                ),
                _ => (format!("openai/gpt-4o+{how}"), model.to_owned()),
            };
            let deployments = [
                inside("smart", "first", &first),
                outside("smart", "us", model),
                inside("smart", "other", &other),
            ];
            let gateway = sides
                .gateway(&deployments, &format!("{SETTINGS}{EU_ONLY}"))
                .await;
            let response = stream(&gateway, mode).await;
            let what = format!("{mode} after {how}");
            assert_eq!(text(&response), backstop_sim::text("m"), "{what}");
            let record = gateway.record(response.request_id()).await;
            assert_eq!(modes(&record), [mode], "{what}: {record}");
            assert_eq!(record["policy"], "eu-only");
            sides.nothing_left(&what);
            for attempt in record["attempts"].as_array().expect("a list") {
                assert_ne!(attempt["deployment"], "us", "{what}");
            }
            for (kept, _) in kept_away(&record) {
                assert_eq!(kept, "us", "{what}");
            }
        }
    }
}

/// Alone inside, the one that broke goes on itself or nobody does; the deployment outside is no way out.
#[tokio::test]
async fn a_broken_stream_that_nobody_inside_goes_on_with_ends_with_an_error() {
    for (mode, model) in MODES {
        let sides = Sides::new().await;
        let deployments = [
            inside("smart", "alone", &format!("{model}+cut=20")),
            outside("smart", "us", model),
        ];
        let gateway = sides
            .gateway(&deployments, &format!("{SETTINGS}{EU_ONLY}"))
            .await;
        let response = stream(&gateway, mode).await;
        let answer = response.answer();
        assert!(backstop_sim::text("m").starts_with(&answer.text), "{mode}");
        let record = gateway.record(response.request_id()).await;
        sides.nothing_left(mode);
        let kept = kept_away(&record);
        assert!(
            kept.iter().any(|(kept, _)| *kept == "us"),
            "{mode}: {record}"
        );

        // Without the rule it goes on there: the test could fail.
        let gateway = sides.gateway(&deployments, SETTINGS).await;
        assert_eq!(text(&stream(&gateway, mode).await), backstop_sim::text("m"));
        assert!(!sides.us.journal().entries().is_empty(), "{mode}");
    }
}

#[tokio::test]
async fn an_answer_that_is_collected_comes_from_inside() {
    let collecting = |deployment: Deployment| deployment.param("collect_streams: true");
    for how in ["500", "cut=20", "stall=20", "hang"] {
        let sides = Sides::new().await;
        let deployments = [
            inside("smart", "first", &format!("openai/gpt-4o+{how}")).param("timeout: 0.3"),
            outside("smart", "us", "openai/gpt-4o"),
            inside("smart", "other", "bedrock/anthropic.claude-sonnet-4-5"),
        ]
        .map(collecting);
        let gateway = sides
            .gateway(&deployments, &format!("{SETTINGS}{EU_ONLY}"))
            .await;
        let response = gateway.send(ask("smart", false)).await;
        assert_eq!(text(&response), backstop_sim::text("m"), "{how}");
        sides.nothing_left(how);
        let streamed = sides
            .eu
            .journal()
            .entries()
            .iter()
            .all(|entry| entry.stream);
        assert!(streamed, "{how}: it was asked for as a stream");

        let gateway = sides
            .gateway(&deployments[..2], &format!("{SETTINGS}{EU_ONLY}"))
            .await;
        let response = gateway.send(ask("smart", false)).await;
        assert_ne!(response.status, 200, "{how}: {}", response.text());
        sides.nothing_left(how);
    }
}
