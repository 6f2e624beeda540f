//! Failures that no other deployment is asked for.

use serde_json::json;

use crate::chain::{assert_part, assert_retry};
use crate::member::{Member, PROVIDERS};
use crate::support::{Gateway, config, sim};

/// A chain in which `provider` comes first, with these faults, and the others follow.
fn chain(group: &str, provider: &'static str, faults: &str) -> [Member; 3] {
    let first = PROVIDERS
        .iter()
        .position(|known| *known == provider)
        .expect("one of the three");
    let [second, third] = [1, 2].map(|next| PROVIDERS[(first + next) % PROVIDERS.len()]);
    [
        Member::new(group, provider, faults),
        Member::new(group, second, ""),
        Member::new(group, third, ""),
    ]
}

#[tokio::test]
async fn a_request_that_is_wrong_is_told_so_after_one_attempt() {
    let sim = sim().await;
    let chains = PROVIDERS.map(|provider| chain(&format!("wrong-at-{provider}"), provider, "400"));
    let deployments: Vec<_> = chains.iter().flatten().map(Member::deployment).collect();
    let gateway = Gateway::start(&sim, &config(&deployments, "")).await;
    for (chain, code) in chains.iter().zip([
        "invalid_value",
        "invalid_request_error",
        "ValidationException",
    ]) {
        for (visit, stream) in [false, true].into_iter().enumerate() {
            let what = &chain[0].id;
            let response = gateway.ask(&chain[0].group, stream).await;
            assert_eq!(
                (response.status.as_u16(), &*response.code()),
                (400, code),
                "{what}"
            );
            assert_retry(&response, None, what);
            assert_eq!(response.header("x-backstop-attempts"), "1", "{what}");
            assert_eq!(response.header("x-backstop-fallbacks"), "0", "{what}");
            let calls: Vec<_> = chain.iter().map(|member| member.calls(&sim)).collect();
            assert_eq!(calls, [visit + 1, 0, 0], "{what}");

            let record = gateway.record(response.request_id()).await;
            let expected = json!({"outcome": "client_error", "http_status": 400, "attempt_count": 1, "skipped": []});
            assert_part(&record, &expected, what);
            let expected =
                json!({"result": "bad_request", "http_status": 400, "next_action": "surface"});
            assert_part(&record["attempts"][0], &expected, what);
        }
    }
}

#[tokio::test]
async fn a_rejected_key_can_be_surfaced_and_is_not_tried_again() {
    let sim = sim().await;
    let chains = PROVIDERS.map(|provider| {
        let [first, second, third] = chain(&format!("key-of-{provider}"), provider, "");
        [first.wrong_key(), second, third]
    });
    let deployments: Vec<_> = chains.iter().flatten().map(Member::deployment).collect();
    let more = "router_settings: {auth_error: surface}";
    let gateway = Gateway::start(&sim, &config(&deployments, more)).await;
    for chain in &chains {
        let what = &chain[0].id;
        for (visit, stream) in [false, true].into_iter().enumerate() {
            let response = gateway.ask(&chain[0].group, stream).await;
            assert_eq!(
                (response.status.as_u16(), &*response.code()),
                (502, "upstream_auth_failed"),
                "{what}"
            );
            assert_retry(&response, None, what);
            // The second is told what the first was, without a call.
            let attempts = 1 - visit;
            assert_eq!(
                response.header("x-backstop-attempts"),
                attempts.to_string(),
                "{what}"
            );
            assert_eq!(response.header("x-backstop-fallbacks"), "0", "{what}");
            let calls: Vec<_> = chain.iter().map(|member| member.calls(&sim)).collect();
            assert_eq!(calls, [1, 0, 0], "{what}");

            let record = gateway.record(response.request_id()).await;
            let expected =
                json!({"outcome": "upstream_error", "http_status": 502, "attempt_count": attempts});
            assert_part(&record, &expected, what);
            if visit == 0 {
                assert_part(
                    &record["attempts"][0],
                    &json!({"result": "auth", "next_action": "surface"}),
                    what,
                );
            } else {
                assert_part(
                    &record["skipped"][0],
                    &json!({"deployment": what, "reason": "auth"}),
                    what,
                );
            }
        }
    }
}

#[tokio::test]
async fn the_last_verdict_of_a_content_filter_may_be_an_error() {
    let sim = sim().await;
    let members =
        ["openai", "anthropic"].map(|provider| Member::new("filtered", provider, "filter"));
    let gateway = Gateway::start(
        &sim,
        &config(&members.each_ref().map(Member::deployment), ""),
    )
    .await;
    for stream in [false, true] {
        let response = gateway.ask("filtered", stream).await;
        assert_eq!(
            (response.status.as_u16(), &*response.code()),
            (400, "content_filter")
        );
        assert_retry(&response, None, "filtered");
        assert_eq!(response.header("x-backstop-attempts"), "2");
    }
}
