//! Each fault on the primary, on the first two and on all three, streamed and not.

use std::collections::HashMap;

use backstop_sim::Sim;
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::{Value, json};

use crate::fault::{FAULTS, Fault};
use crate::member::{Member, PROVIDERS};
use crate::support::{Deployment, Gateway, Response, config, sim};

/// How many requests are under way at a time: few enough for none to wait for the processor as long as for a timeout.
const AT_ONCE: usize = 6;

/// A chain whose first deployments have a fault.
#[derive(Debug)]
struct Case {
    group: String,
    fault: &'static Fault,
    stream: bool,
    /// How many have it.
    broken: usize,
    members: Vec<Member>,
}

/// A call that has to be recorded: to whom, how it ended, with which status, and what came next.
type Row<'a> = (&'a Member, &'a str, Option<u16>, &'a str);

impl Case {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for fault in FAULTS {
            for broken in 1..=PROVIDERS.len() {
                all.extend([false, true].map(|stream| Self::new(fault, broken, stream)));
            }
        }
        all
    }

    fn new(fault: &'static Fault, broken: usize, stream: bool) -> Self {
        let form = if stream { "streamed" } else { "whole" };
        let group = format!("{}-of-{broken}-{form}", fault.name);
        let members = PROVIDERS.iter().enumerate().map(|(index, provider)| {
            let faults = if index < broken {
                fault.words(stream)
            } else {
                ""
            };
            Member::new(&group, provider, faults)
        });
        Self {
            members: members.collect(),
            group,
            fault,
            stream,
            broken,
        }
    }

    fn deployments(&self) -> Vec<Deployment> {
        let deployments = self.members.iter().enumerate();
        let deployments = deployments.map(|(index, member)| {
            // Whoever is healthy has all the time that a busy machine may need.
            if index < self.broken && self.fault.is_silent() {
                member.deployment().param("timeout: 0.2")
            } else {
                member.deployment()
            }
        });
        deployments.collect()
    }

    fn healthy(&self) -> Option<&Member> {
        self.members.get(self.broken)
    }

    /// Who is asked at the first visit, or, where that has opened circuits, at the second.
    fn rows(&self, resting: bool) -> Vec<Row<'_>> {
        let broken = if resting { 0 } else { self.broken };
        let failed = self.members[..broken].iter().map(|member| {
            let kind = self.fault.kind(member.provider, self.stream);
            (member, kind, self.fault.status(member.provider), "fallback")
        });
        let answered = self
            .healthy()
            .map(|member| (member, "ok", Some(200), "done"));
        let mut rows: Vec<_> = failed.chain(answered).collect();
        if self.healthy().is_none()
            && let Some(last) = rows.last_mut()
        {
            last.3 = "surface";
        }
        rows
    }

    fn skipped(&self, resting: bool) -> Vec<Value> {
        // What a rejected key has rested says so again.
        let reason = if self.fault.name == "401" {
            "auth"
        } else {
            "cooling"
        };
        let skipped = if resting { self.broken } else { 0 };
        let skipped = self.members[..skipped].iter();
        skipped
            .map(|member| json!({"deployment": member.id, "reason": reason}))
            .collect()
    }

    /// The deployments that were left behind.
    fn fallbacks(&self) -> usize {
        self.broken.min(PROVIDERS.len() - 1)
    }

    fn check(&self, response: &Response, resting: bool) {
        let what = &self.group;
        let (attempts, fallbacks) = (
            self.rows(resting).len().to_string(),
            self.fallbacks().to_string(),
        );
        for (name, value) in [
            ("x-backstop-attempts", &*attempts),
            ("x-backstop-retries", "0"),
            ("x-backstop-fallbacks", &fallbacks),
            ("x-litellm-attempted-retries", "0"),
            ("x-litellm-attempted-fallbacks", &fallbacks),
            ("x-litellm-model-group", &self.group),
            ("x-litellm-call-id", response.request_id()),
        ] {
            assert_eq!(response.header(name), value, "{name} of {what}");
        }
        if let Some(healthy) = self.healthy() {
            healthy.assert_answered(response, what);
        } else if self.fault.is_verdict() {
            self.check_verdict(response);
        } else {
            self.check_exhausted(response, resting);
        }
    }

    /// The last provider's own: Bedrock says it in a 200.
    fn check_verdict(&self, response: &Response) {
        let (what, last) = (&self.group, &self.members[PROVIDERS.len() - 1]);
        let answer = response.answer();
        assert_eq!((&*answer.text, answer.error), ("", None), "{what}");
        assert_eq!(answer.finish, ["content_filter"], "{what}");
        assert_eq!(response.header("x-backstop-deployment"), last.id, "{what}");
    }

    fn check_exhausted(&self, response: &Response, resting: bool) {
        let what = &self.group;
        assert_eq!(
            (response.status.as_u16(), &*response.code()),
            (503, "all_deployments_failed"),
            "{what}"
        );
        assert_eq!(
            response.header("content-type"),
            "application/json",
            "{what}"
        );
        // A return is known where a provider has named it, and of every circuit that is open.
        let known = self
            .fault
            .rests
            .filter(|_| resting || self.fault.name == "429");
        assert_retry(response, known, what);
        for member in &self.members {
            for told in [&*member.id, &*member.model] {
                assert!(!response.text().contains(told), "{what} tells of {told}");
            }
        }
        assert_eq!(response.header("x-backstop-deployment"), "", "{what}");
    }

    fn check_record(&self, record: &Value, response: &Response, resting: bool) {
        let what = &self.group;
        let rows = self.rows(resting);
        let healthy = self.healthy();
        let outcome = match healthy {
            Some(_) => "ok",
            None if self.fault.is_verdict() => "upstream_error",
            None => "exhausted",
        };
        let expected = json!({
            "requested_model": self.group,
            "deployment": healthy.map(|member| &member.id),
            "provider": healthy.map(|member| member.provider),
            "model": healthy.map(|member| &member.model),
            "region": healthy.and_then(Member::region),
            "stream": self.stream,
            "outcome": outcome,
            "http_status": response.status.as_u16(),
            "attempt_count": rows.len(),
            "retry_count": 0,
            "fallback_count": self.fallbacks(),
        });
        assert_part(record, &expected, what);

        let attempts = record["attempts"].as_array().expect("a list");
        assert_eq!(attempts.len(), rows.len(), "{what}: {attempts:?}");
        for (attempt, (member, result, status, next)) in attempts.iter().zip(rows) {
            let expected = json!({
                "deployment": member.id,
                "provider": member.provider,
                "model": member.model,
                "region": member.region(),
                "result": result,
                "http_status": status,
                "next_action": next,
                "retry_reason": null,
                "delay_ms": null,
            });
            assert_part(attempt, &expected, what);
            assert!(attempt["duration_ms"].is_f64(), "{what}: {attempt}");
            if result == "ok" {
                let usage = json!({"output": member.tokens, "source": "provider"});
                assert_part(&attempt["usage"], &usage, what);
                assert!(
                    attempt["provider_request_id"].is_string(),
                    "{what}: {attempt}"
                );
            }
        }
        let skipped = record["skipped"].as_array().expect("a list");
        let expected = self.skipped(resting);
        assert_eq!(skipped.len(), expected.len(), "{what}: {skipped:?}");
        for (skipped, expected) in skipped.iter().zip(&expected) {
            assert_part(skipped, expected, what);
            assert!(skipped["until"].is_string(), "{what}: {skipped}");
        }
    }

    fn check_journal(&self, sim: &Sim) {
        let visits = [self.rows(false), self.rows(self.fault.rests.is_some())];
        for member in &self.members {
            let rows = visits.iter().flatten().filter(|row| row.0.id == member.id);
            assert_eq!(member.calls(sim), rows.count(), "calls to {}", member.id);
        }
    }
}

#[tokio::test]
async fn a_fault_is_survived_while_one_deployment_is_healthy_and_recorded_as_it_was() {
    let sim = sim().await;
    let cases = Case::all();
    let deployments: Vec<_> = cases.iter().flat_map(Case::deployments).collect();
    let gateway = Gateway::start(&sim, &config(&deployments, "")).await;

    let visits = stream::iter(&cases).map(async |case| {
        let first = gateway.ask(&case.group, case.stream).await;
        let second = gateway.ask(&case.group, case.stream).await;
        (case, [first, second])
    });
    let visits: Vec<_> = visits.buffered(AT_ONCE).collect().await;

    let records = gateway.stop().await.records();
    let records: HashMap<_, _> = records
        .iter()
        .map(|record| (record["request_id"].as_str().expect("an id"), record))
        .collect();
    assert_eq!(
        records.len(),
        2 * cases.len(),
        "one record for each request"
    );
    for (case, [first, second]) in visits {
        for (response, resting) in [(first, false), (second, case.fault.rests.is_some())] {
            case.check(&response, resting);
            case.check_record(records[response.request_id()], &response, resting);
        }
        case.check_journal(&sim);
    }
}

/// Asserts that each member of `expected` has its like in `json`.
pub(crate) fn assert_part(json: &Value, expected: &Value, what: &str) {
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&json[name], value, "`{name}` of {what}: {json}");
    }
}

/// Asserts that an error says when to come back, at most so many seconds later, or that it is of no use.
pub(crate) fn assert_retry(response: &Response, known: Option<u64>, what: &str) {
    let told = &response.json()["error"]["backstop"];
    assert_eq!(told["request_id"], response.request_id(), "{what}");
    assert_eq!(told["retryable"], known.is_some(), "{what}");
    let Some(longest) = known else {
        assert_eq!(response.header("retry-after"), "", "{what}");
        assert_eq!(response.header("x-should-retry"), "false", "{what}");
        assert_eq!(told["retry_after_ms"], Value::Null, "{what}");
        return;
    };
    let seconds: u64 = response
        .header("retry-after")
        .parse()
        .unwrap_or_else(|_| panic!("no hint: {what}"));
    assert!((1..=longest).contains(&seconds), "{seconds} s for {what}");
    let millis = told["retry_after_ms"].as_u64().expect("a number");
    assert_eq!(millis.div_ceil(1000), seconds, "{what}");
    assert_eq!(response.header("x-should-retry"), "", "{what}");
}
