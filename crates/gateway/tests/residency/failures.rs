//! Whatever becomes of a deployment inside, nobody outside stands in for it.

use backstop_sim::{Outage, Provider};
use serde_json::json;

use crate::support::{Client, Deployment, Response, ask};
use crate::{EU_ONLY, NOT_WITHIN, Sides, assert_no_compliant, inside, kept_away, outside};

const FAULTS: [&str; 26] = [
    "500",
    "503",
    "529",
    "504",
    "429",
    "429=0.01",
    "429=60",
    "401",
    "403",
    "404",
    "400",
    "quota",
    "context",
    "filter",
    "filter200",
    "hang",
    "reset",
    "html",
    "empty",
    "garbage",
    "truncated",
    "wrongtype",
    "stall=0",
    "cut=3",
    "eof=3",
    "error=3",
];

const INSIDE: [&str; 2] = ["openai/gpt-4o", "bedrock/anthropic.claude-sonnet-4-5"];
const OUTSIDE: [&str; 3] = [
    "openai/gpt-4o",
    "bedrock/anthropic.claude-sonnet-4-5",
    "anthropic/claude-sonnet-4-5",
];

/// Short waits: nothing here is about time.
const QUICK: &str = "
router_settings: {timeout: 0.1, stream_timeout: 0.1, retry_after: 0.001, num_retries: 1, cooldown_time: 0}
audit: {mode: async}
";

/// Each fault of each provider inside, with each outside before it and behind it, streamed or not: all of them fail as
/// they would alone, and each record says who was kept away and why.
#[tokio::test]
async fn no_failure_leaves_the_eu() {
    let sides = Sides::new().await;
    let mut groups: Vec<(String, [Deployment; 2])> = Vec::new();
    for (a, voice) in INSIDE.iter().enumerate() {
        for (b, other) in OUTSIDE.iter().enumerate() {
            for fault in FAULTS {
                let first = inside("", "", &format!("{voice}+{fault}"));
                let behind = outside("", "", other);
                let name = format!("{a}{b}-{fault}");
                let (first, behind) = (
                    first.group(&name).id(&format!("{name}/in")),
                    behind.group(&name).id(&format!("{name}/out")),
                );
                let chain = if b % 2 == 0 {
                    [first, behind]
                } else {
                    [behind, first]
                };
                groups.push((name, chain));
            }
        }
    }
    let deployments: Vec<_> = groups.iter().flat_map(|(_, chain)| chain.clone()).collect();
    let more = format!("{QUICK}{EU_ONLY}");
    let gateway = sides.gateway(&deployments, &more).await;
    let mut client = Client::connect(gateway.addr()).await;
    let mut answered = Vec::new();
    for (name, _) in &groups {
        for stream in [false, true] {
            let response = client.send(ask(name, stream)).await;
            sides.nothing_left(name);
            answered.push((name, stream, response));
        }
    }
    let finished = gateway.stop().await;
    let records = finished.records();
    for (name, stream, response) in answered {
        let what = format!("{name}, streamed: {stream}");
        let id = response.request_id();
        let record = records.iter().find(|record| record["request_id"] == id);
        let record = record.unwrap_or_else(|| panic!("{what}: no record"));
        assert_eq!(record["policy"], "eu-only", "{what}");
        let attempts = record["attempts"].as_array().expect("a list");
        assert!(!attempts.is_empty(), "{what}: somebody inside was asked");
        for attempt in attempts {
            assert_eq!(attempt["deployment"], format!("{name}/in"), "{what}");
            assert_eq!(attempt["region"], "eu-central-1", "{what}");
        }
        let kept = kept_away(record);
        // A request that is wrong is wrong everywhere, so nobody else is thought of.
        let surfaced = kept.is_empty() && response.status.is_client_error();
        let answered = response.status == 200;
        let before = name.contains("1-");
        assert!(
            surfaced || answered || before || !kept.is_empty(),
            "{what}: {record}"
        );
        for (deployment, detail) in kept {
            assert_eq!(deployment, format!("{name}/out"), "{what}");
            let reason = detail.strip_prefix("rule `eu-only`: it ").expect(detail);
            let why = ["processes in us", "processes in us-east-1, not within eu"];
            assert!(
                why.iter().any(|why| reason.starts_with(why)),
                "{what}: {detail}"
            );
        }
    }
}

/// An answer of the second inside, with the one outside between passed over.
#[track_caller]
fn assert_by_the_other(response: &Response, sides: &Sides, what: &str) {
    assert_eq!(response.status, 200, "{what}: {}", response.text());
    assert_eq!(response.header("x-backstop-deployment"), "other", "{what}");
    assert_eq!(
        response.header("x-backstop-region"),
        "eu-central-1",
        "{what}"
    );
    sides.nothing_left(what);
}

/// A chain inside, outside, inside.
fn chain(fault: &str) -> [Deployment; 3] {
    [
        inside("smart", "first", &format!("openai/gpt-4o{fault}")),
        outside("smart", "us", "openai/gpt-4o"),
        inside("smart", "other", "bedrock/anthropic.claude-sonnet-4-5"),
    ]
}

#[tokio::test]
async fn the_next_deployment_is_the_next_inside() {
    let sides = Sides::new().await;
    for (fault, settings) in [
        ("+500", "{num_retries: 0}"),
        ("+500", "{num_retries: 3, retry_after: 0.001}"),
        ("+429", "{num_retries: 0}"),
        ("+429=0.01", "{num_retries: 1}"),
        ("+429=60", "{num_retries: 3}"),
        ("+401", "{}"),
        ("+hang", "{timeout: 0.2, num_retries: 0}"),
        ("+stall=0", "{timeout: 0.2, num_retries: 0}"),
        ("+reset", "{num_retries: 0}"),
        ("+500", "{routing_strategy: simple_shuffle}"),
        ("+500", "{routing_strategy: least_busy}"),
    ] {
        let more = format!("router_settings: {settings}\n{EU_ONLY}");
        let gateway = sides.gateway(&chain(fault), &more).await;
        for stream in [false, true] {
            let what = format!("{fault} {settings}, streamed: {stream}");
            let response = gateway.ask("smart", stream).await;
            assert_by_the_other(&response, &sides, &what);
            let record = gateway.record(response.request_id()).await;
            let kept = kept_away(&record);
            assert!(
                kept.is_empty() || kept == [("us", NOT_WITHIN)],
                "{what}: {record}"
            );
            assert!(
                !kept.is_empty() || settings.contains("routing"),
                "{what}: {record}"
            );
        }
    }
}

#[tokio::test]
async fn a_retry_stays_where_it_was() {
    let sides = Sides::new().await;
    let more = format!("router_settings: {{num_retries: 2}}\n{EU_ONLY}");
    let deployments = &chain("+429=0.01+first=2")[..2];
    let gateway = sides.gateway(deployments, &more).await;
    let response = gateway.ask("smart", false).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("x-backstop-retries"), "2");
    assert_eq!(response.header("x-backstop-deployment"), "first");
    sides.nothing_left("a retry");
}

/// A server's failure is repeated only where nobody else can answer.
#[tokio::test]
async fn who_alone_is_inside_is_asked_again() {
    let sides = Sides::new().await;
    let settings = "router_settings: {num_retries: 1, retry_after: 0.001}\n";
    let [first, us, _] = chain("+500+first=1");
    for (deployments, kept) in [
        ([first.clone(), us.clone()], &[][..]),
        ([us, first], &[("us", NOT_WITHIN)]),
    ] {
        sides.eu.faults().clear();
        let gateway = sides
            .gateway(&deployments, &format!("{settings}{EU_ONLY}"))
            .await;
        let response = gateway.ask("smart", false).await;
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(response.header("x-backstop-deployment"), "first");
        assert_eq!(response.header("x-backstop-retries"), "1");
        sides.nothing_left("asked again");
        let record = gateway.record(response.request_id()).await;
        assert_eq!(kept_away(&record), kept, "{record}");
    }

    // Without the rule the other one is asked instead.
    sides.eu.faults().clear();
    let deployments = &chain("+500+first=1")[..2];
    let gateway = sides.gateway(deployments, settings).await;
    let response = gateway.ask("smart", false).await;
    assert_eq!(response.header("x-backstop-deployment"), "us");
}

#[tokio::test]
async fn a_resting_deployment_is_not_stood_in_for_and_its_probe_goes_nowhere_else() {
    let sides = Sides::new().await;
    let settings = "router_settings: {allowed_fails: 0, cooldown_time: 0.3, num_retries: 0}\n";
    let gateway = sides
        .gateway(&chain(""), &format!("{settings}{EU_ONLY}"))
        .await;
    sides
        .eu
        .faults()
        .begin(Outage::new(Provider::OpenAi, "500").expect("a fault"));
    for what in ["it fails", "it rests"] {
        let response = gateway.ask("smart", false).await;
        assert_by_the_other(&response, &sides, what);
        let record = gateway.record(response.request_id()).await;
        assert_eq!(kept_away(&record), [("us", NOT_WITHIN)], "{what}");
    }
    sides.eu.faults().clear();
    let back = async {
        let mut client = Client::connect(gateway.addr()).await;
        loop {
            let response = client.send(ask("smart", false)).await;
            assert_eq!(response.status, 200, "{}", response.text());
            if response.header("x-backstop-deployment") == "first" {
                break;
            }
        }
    };
    crate::support::within("a probe", back).await;
    sides.nothing_left("a probe");
}

#[tokio::test]
async fn with_the_eu_down_the_answer_is_that_it_is_down() {
    let sides = Sides::new().await;
    let settings = "router_settings: {allowed_fails: 0, cooldown_time: 60, num_retries: 0}\n";
    let deployments = [
        outside("smart", "us", "anthropic/claude-sonnet-4-5"),
        inside("smart", "first", "openai/gpt-4o+500"),
        inside("smart", "other", "bedrock/anthropic.claude-sonnet-4-5+500"),
    ];
    let gateway = sides
        .gateway(&deployments, &format!("{settings}{EU_ONLY}"))
        .await;
    let mut client = Client::connect(gateway.addr()).await;
    let mut asked = Vec::new();
    // At first they fail, then they rest, and now and then one is asked as a last resort.
    for _ in 0..20 {
        let response = client.send(ask("smart", false)).await;
        assert_eq!(
            (response.status.as_u16(), &*response.code()),
            (503, "all_deployments_failed")
        );
        asked.push(response.header("x-backstop-attempts").to_owned());
        let record = gateway.record(response.request_id()).await;
        let kept = kept_away(&record);
        assert!(!kept.is_empty(), "{record}");
        assert!(
            kept.iter().all(|(deployment, _)| *deployment == "us"),
            "{record}"
        );
    }
    assert_eq!(asked[0], "2");
    assert!(
        asked[1..].iter().any(|asked| asked == "1"),
        "a last resort: {asked:?}"
    );
    assert!(asked[1..].iter().any(|asked| asked == "0"), "{asked:?}");
    sides.nothing_left("all down");
}

#[tokio::test]
async fn a_ceiling_inside_opens_no_way_out() {
    let sides = Sides::new().await;
    let budgets = "
budgets:
  - {scope: deployment, id: first, limit_requests: 1, window: total}
store: memory
";
    let more = format!("{budgets}{EU_ONLY}");
    let gateway = sides.gateway(&chain(""), &more).await;
    assert_eq!(gateway.ask("smart", false).await.status, 200);
    let response = gateway.ask("smart", false).await;
    assert_by_the_other(&response, &sides, "over budget");
    let record = gateway.record(response.request_id()).await;
    assert_eq!(kept_away(&record), [("us", NOT_WITHIN)]);
    assert_eq!(record["skipped"][0]["reason"], "budget");

    let gateway = sides.gateway(&chain("")[..2], &more).await;
    assert_eq!(gateway.ask("smart", false).await.status, 200);
    let response = gateway.ask("smart", false).await;
    assert_eq!(
        (response.status.as_u16(), &*response.code()),
        (402, "budget_exceeded")
    );
    let record = gateway.record(response.request_id()).await;
    assert_eq!(kept_away(&record), [("us", NOT_WITHIN)]);
    sides.nothing_left("over budget");
}

#[tokio::test]
async fn what_is_asked_only_after_certain_failures_is_held_to_the_rule_too() {
    let sides = Sides::new().await;
    for (fault, list, code) in [
        (
            "context",
            "context_window_fallbacks",
            "context_length_exceeded",
        ),
        ("filter", "content_policy_fallbacks", "content_filter"),
        ("500", "fallbacks", "all_deployments_failed"),
        ("500", "default_fallbacks", "all_deployments_failed"),
    ] {
        let then = match list {
            "default_fallbacks" => "[elsewhere]",
            _ => "[{smart: [elsewhere]}]",
        };
        let settings = format!("router_settings: {{num_retries: 0, {list}: {then}}}\n");
        let deployments = [
            inside("smart", "first", &format!("openai/gpt-4o+{fault}")),
            outside("elsewhere", "us", "openai/gpt-4.1"),
        ];
        let gateway = sides
            .gateway(&deployments, &format!("{settings}{EU_ONLY}"))
            .await;
        let response = gateway.ask("smart", false).await;
        assert_eq!(response.code(), code, "{list}: {}", response.text());
        let record = gateway.record(response.request_id()).await;
        assert_eq!(kept_away(&record), [("us", NOT_WITHIN)], "{list}");
        sides.nothing_left(list);

        // Without the rule it is asked: the test could fail.
        let gateway = sides.gateway(&deployments, &settings).await;
        let response = gateway.ask("smart", false).await;
        assert_eq!(response.header("x-backstop-deployment"), "us", "{list}");
        sides.us.journal().clear();
    }
}

#[tokio::test]
async fn nobody_inside_is_a_403_that_names_each_candidate() {
    let sides = Sides::new().await;
    let rule = "
residency:
  rules:
    - {name: eu-only, require: {processing: [eu]}, providers: {deny: [bedrock]}, allow_empty: true}
";
    let deployments = [
        outside("smart", "us", "openai/gpt-4o"),
        outside("smart", "claude", "anthropic/claude-sonnet-4-5"),
        inside("smart", "denied", "bedrock/anthropic.claude-sonnet-4-5"),
        outside("smart", "unknown", "openai/gpt-4.1").info("region: {storage: eu}"),
    ];
    // The last of them says nothing of where it processes.
    let text = crate::config(&deployments, rule)
        .replace("      region: us-east-1\n      region:", "      region:");
    let gateway = sides.setup(&text).start().await;
    for stream in [false, true] {
        let response = gateway.ask("smart", stream).await;
        let record = gateway.record(response.request_id()).await;
        assert_no_compliant(&response, &record);
        assert_eq!(record["policy"], "eu-only");
        assert_eq!(
            kept_away(&record),
            [
                ("us", NOT_WITHIN),
                (
                    "claude",
                    "rule `eu-only`: it processes in us, not within eu"
                ),
                ("denied", "rule `eu-only`: its provider is not allowed"),
                (
                    "unknown",
                    "rule `eu-only`: where it processes is not declared"
                ),
            ]
        );
        assert_eq!(record["skipped"].as_array().map(Vec::len), Some(4));
    }
    sides.nothing_left("403");
    assert!(sides.eu.journal().entries().is_empty());
    let models = gateway.send(crate::support::get("/v1/models")).await;
    assert_eq!(models.json()["data"][0]["id"], json!("smart"));
}
