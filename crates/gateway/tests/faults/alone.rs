//! A chain of one deployment: its own failure is what the caller gets.

use futures_util::StreamExt;
use futures_util::stream;

use crate::chain::assert_retry;
use crate::member::{Member, PROVIDERS};
use crate::support::{Gateway, Response, config, sim};

/// What the caller is told of a fault.
#[derive(Clone, Copy, Debug)]
struct Told {
    words: &'static str,
    status: u16,
    code: &'static str,
    /// Who has nobody to go to asks again, unless it is of no use.
    attempts: usize,
    /// The longest that may be asked for, in seconds; none where asking again is of no use.
    retry: Option<u64>,
    /// The next caller gets no call, but this status, with the time that the rest has left.
    then: Option<u16>,
}

const fn told(words: &'static str, status: u16, code: &'static str, attempts: usize) -> Told {
    Told {
        words,
        status,
        code,
        attempts,
        retry: None,
        then: None,
    }
}

impl Told {
    const fn retry(self, longest: u64) -> Self {
        Self {
            retry: Some(longest),
            ..self
        }
    }

    const fn then(self, status: u16) -> Self {
        Self {
            then: Some(status),
            ..self
        }
    }

    /// What the provider itself says instead.
    fn by(self, provider: &str, stream: bool) -> Self {
        match (self.words, provider) {
            // A wrong request is explained in the provider's own words.
            ("400", "anthropic") => Self {
                code: "invalid_request_error",
                ..self
            },
            ("400", "bedrock") => Self {
                code: "ValidationException",
                ..self
            },
            // A frame that never ends may have been cut off.
            ("garbage", "bedrock") if stream => Self {
                attempts: 1,
                ..self
            },
            // It blocks with a 200, as all do by the other word.
            ("filter", "bedrock") => Self {
                status: 200,
                ..self
            },
            _ => self,
        }
    }
}

const TOLD: &[Told] = &[
    told("500", 502, "upstream_error", 3),
    told("503", 503, "upstream_overloaded", 3).retry(1),
    told("529", 503, "upstream_overloaded", 3).retry(1),
    told("504", 504, "upstream_timeout", 1),
    told("429", 429, "rate_limit_exceeded", 3).retry(1),
    told("429=20", 429, "rate_limit_exceeded", 1)
        .retry(20)
        .then(503),
    told("quota", 429, "upstream_quota_exhausted", 1).then(503),
    told("ttft=60000", 504, "upstream_timeout", 1),
    told("hang", 504, "upstream_timeout", 1),
    told("reset", 502, "upstream_error", 1),
    told("cut=0", 502, "upstream_error", 1),
    told("garbage", 502, "upstream_error", 3),
    told("html", 502, "upstream_error", 3),
    told("401", 502, "upstream_auth_failed", 1).then(502),
    told("403", 502, "upstream_permission_denied", 1).then(503),
    told("404", 404, "upstream_model_not_found", 1).then(503),
    told("400", 400, "invalid_value", 1),
    told("context", 400, "context_length_exceeded", 1),
    told("filter", 400, "content_filter", 1),
    told("filter200", 200, "content_filter", 1),
];

#[tokio::test]
async fn its_own_failure_is_passed_on() {
    let sim = sim().await;
    let mut cases = Vec::new();
    for told in TOLD {
        for provider in PROVIDERS {
            for stream in [false, true] {
                let form = if stream { "streamed" } else { "whole" };
                let group = format!("{}-at-{provider}-{form}", told.words.replace('=', "-"));
                cases.push((
                    told.by(provider, stream),
                    stream,
                    Member::new(&group, provider, told.words),
                ));
            }
        }
    }
    let deployments: Vec<_> = cases
        .iter()
        .map(|(told, _, member)| {
            // Whoever says something has all the time that a busy machine may need.
            if matches!(told.words, "hang" | "ttft=60000") {
                member.deployment().param("timeout: 0.2")
            } else {
                member.deployment()
            }
        })
        .collect();
    let more = "router_settings: {retry_after: 0.001}";
    let gateway = Gateway::start(&sim, &config(&deployments, more)).await;

    let visits = stream::iter(&cases).map(async |(told, stream, member)| {
        let first = gateway.ask(&member.group, *stream).await;
        let calls = member.calls(&sim);
        let second = match told.then {
            Some(_) => Some(gateway.ask(&member.group, *stream).await),
            None => None,
        };
        assert_eq!(
            member.calls(&sim),
            calls,
            "no call while {} rests",
            member.id
        );
        (told, member, calls, first, second)
    });
    let visits: Vec<_> = visits.buffered(6).collect().await;
    for (told, member, calls, first, second) in visits {
        let what = &member.id;
        assert_eq!(first.status, told.status, "{what}: {}", first.text());
        assert_eq!(calls, told.attempts, "{what}");
        assert_counts(&first, told.attempts, what);
        if told.status == 200 {
            let answer = first.answer();
            assert_eq!(
                (&*answer.text, answer.finish),
                ("", vec![told.code.to_owned()]),
                "{what}"
            );
            continue;
        }
        assert_eq!(first.code(), told.code, "{what}");
        assert_retry(&first, told.retry, what);
        if let (Some(second), Some(status)) = (second, told.then) {
            assert_eq!(second.status, status, "{what}");
            assert_counts(&second, 0, what);
            if status == first.status {
                // A rejected key: the caller cannot mend it, and time does not.
                assert_eq!(second.code(), told.code, "{what}");
                assert_retry(&second, None, what);
            } else {
                assert_eq!(second.code(), "upstream_overloaded", "{what}");
                assert_retry(&second, Some(told.retry.unwrap_or(18 * 60)), what);
            }
        }
    }
}

fn assert_counts(response: &Response, attempts: usize, what: &str) {
    let retries = attempts.saturating_sub(1).to_string();
    assert_eq!(
        response.header("x-backstop-attempts"),
        attempts.to_string(),
        "{what}"
    );
    assert_eq!(response.header("x-backstop-retries"), retries, "{what}");
    assert_eq!(response.header("x-backstop-fallbacks"), "0", "{what}");
}
