//! What is waited for, and what is not.

use serde_json::{Value, json};

use crate::chain::assert_part;
use crate::member::{Member, PROVIDERS};
use crate::support::{Gateway, Response, config, sim};

fn assert_counts(
    response: &Response,
    attempts: usize,
    retries: usize,
    fallbacks: usize,
    what: &str,
) {
    let told = ["attempts", "retries", "fallbacks"]
        .map(|count| response.header(&format!("x-backstop-{count}")));
    assert_eq!(
        told,
        [attempts, retries, fallbacks].map(|count| count.to_string()),
        "{what}"
    );
}

#[tokio::test]
async fn a_short_hint_is_waited_for_and_the_same_deployment_asked_again() {
    let sim = sim().await;
    let mut cases = Vec::new();
    for (index, provider) in PROVIDERS.into_iter().enumerate() {
        for stream in [false, true] {
            let group = format!("hint-of-{provider}-{stream}");
            let next = PROVIDERS[(index + 1) % PROVIDERS.len()];
            let limited = Member::new(&group, provider, "429=0.15+first=1");
            cases.push((stream, limited, Member::new(&group, next, "")));
        }
    }
    let deployments: Vec<_> = cases
        .iter()
        .flat_map(|(_, limited, next)| [limited.deployment(), next.deployment()])
        .collect();
    // A backoff that is shorter than the hint, whatever the jitter.
    let more = "router_settings: {retry_after: 0.1}";
    let gateway = Gateway::start(&sim, &config(&deployments, more)).await;
    for (stream, limited, next) in &cases {
        let what = &limited.id;
        let response = gateway.ask(&limited.group, *stream).await;
        limited.assert_answered(&response, what);
        assert_counts(&response, 2, 1, 0, what);
        assert_eq!((limited.calls(&sim), next.calls(&sim)), (2, 0), "{what}");

        let record = gateway.record(response.request_id()).await;
        let [refused, repeated] = &record["attempts"].as_array().expect("a list")[..] else {
            panic!("two attempts: {record}")
        };
        let expected = json!({"result": "rate_limit", "http_status": 429, "next_action": "retry", "delay_ms": null});
        assert_part(refused, &expected, what);
        let expected = json!({"result": "ok", "retry_reason": "rate_limit", "next_action": "done", "delay_ms": 150.0});
        assert_part(repeated, &expected, what);
        let time = |attempt: &Value, name: &str| attempt[name].as_f64().expect("a time");
        let earliest = time(refused, "started_ms") + time(refused, "duration_ms") + 150.0;
        // They are recorded in microseconds, cut off.
        assert!(
            time(repeated, "started_ms") > earliest - 0.01,
            "{what}: {record}"
        );
        assert_part(
            &record,
            &json!({"outcome": "ok", "retry_count": 1, "fallback_count": 0, "skipped": []}),
            what,
        );
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_asked_once_more_at_once_and_left() {
    let sim = sim().await;
    // Bound and closed again: nobody listens there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|port| port.local_addr())
        .expect("a free port");
    let mut cases = Vec::new();
    for dead in 1..=3 {
        for stream in [false, true] {
            let group = format!("{dead}-dead-{stream}");
            let members = PROVIDERS.map(|provider| Member::new(&group, provider, ""));
            cases.push((group, stream, dead, members));
        }
    }
    let mut deployments = Vec::new();
    for (_, stream, dead, members) in &cases {
        deployments.extend(members.iter().enumerate().map(|(index, member)| {
            let key = match member.provider {
                "bedrock" => "aws_bedrock_runtime_endpoint",
                _ => "api_base",
            };
            // Each its own, so that no circuit of an endpoint is shared.
            let base = format!("{key}: http://{nobody}/{dead}/{stream}/{index}");
            match index < *dead {
                true => member.deployment().param(&base),
                false => member.deployment(),
            }
        }));
    }
    let gateway = Gateway::start(&sim, &config(&deployments, "")).await;
    for (group, stream, dead, members) in &cases {
        let response = gateway.ask(group, *stream).await;
        let record = gateway.record(response.request_id()).await;
        let row = |member: &Member, result, next| json!({"deployment": member.id, "result": result, "next_action": next});
        let mut rows = Vec::new();
        for member in &members[..*dead] {
            rows.extend([
                row(member, "network", "retry"),
                row(member, "network", "fallback"),
            ]);
        }
        if let Some(healthy) = members.get(*dead) {
            healthy.assert_answered(&response, group);
            rows.push(row(healthy, "ok", "done"));
            assert_counts(&response, 2 * dead + 1, *dead, *dead, group);
        } else {
            assert_eq!(response.status, 503, "{group}");
            assert_eq!(response.code(), "all_deployments_failed", "{group}");
            // The request has two repeats, and none left for the third deployment.
            rows.pop();
            rows[4]["next_action"] = "surface".into();
            assert_counts(&response, 5, 2, 2, group);
        }
        let attempts = record["attempts"].as_array().expect("a list");
        assert_eq!(attempts.len(), rows.len(), "{group}: {record}");
        for (attempt, row) in attempts.iter().zip(&rows) {
            assert_part(attempt, row, group);
            assert_eq!(
                attempt["delay_ms"].as_f64().unwrap_or_default(),
                0.0,
                "{group}"
            );
        }
    }
}

#[tokio::test]
async fn each_deployment_has_its_share_of_the_deadline() {
    let sim = sim().await;
    let members = PROVIDERS.map(|provider| Member::new("hanging", provider, "hang"));
    let more = "router_settings: {deadline: 0.6}";
    let gateway = Gateway::start(
        &sim,
        &config(&members.each_ref().map(Member::deployment), more),
    )
    .await;
    for stream in [false, true] {
        let response = gateway.ask("hanging", stream).await;
        // Not `deadline_exceeded`: the last one's share ends in time.
        assert_eq!(
            (response.status.as_u16(), &*response.code()),
            (503, "all_deployments_failed")
        );
        assert_counts(&response, 3, 0, 2, "hanging");
        let record = gateway.record(response.request_id()).await;
        assert_part(
            &record,
            &json!({"outcome": "exhausted", "attempt_count": 3}),
            "hanging",
        );
        for attempt in record["attempts"].as_array().expect("a list") {
            assert_eq!(attempt["result"], "timeout", "{record}");
        }
    }
}
