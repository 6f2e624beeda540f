//! Streams that break after their first token, through the running gateway: the client gets the known text byte for
//! byte, one id, one finish, whoever goes on and however; or a typed error, never glued text.

#[path = "../support/mod.rs"]
mod support;

use backstop_sim::Provider;

use crate::support::{Deployment, Gateway, config, deployment, sim};

const STYLES: [&str; 6] = ["ascii", "multibyte", "emoji", "combining", "crlf", "code"];
const BREAKS: [&str; 4] = ["cut", "eof", "error", "stall"];

/// Who goes on, and how it does.
const SECONDS: [(Provider, &str, &str); 5] = [
    (Provider::OpenAi, "gpt-4o", "prompted"),
    (Provider::Anthropic, "claude-sonnet-4-5", "prefill"),
    (Provider::Anthropic, "claude-sonnet-4-6", "prompted"),
    (
        Provider::Bedrock,
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "prefill",
    ),
    (Provider::Bedrock, "anthropic.claude-sonnet-4-6", "prompted"),
];

fn first(provider: Provider) -> &'static str {
    match provider {
        Provider::OpenAi => "gpt-4o",
        Provider::Anthropic => "claude-sonnet-4-6",
        _ => "anthropic.claude-sonnet-4-6",
    }
}

/// A group whose first deployment breaks and whose second is asked for the rest.
struct Case {
    group: String,
    text: String,
    mode: &'static str,
    deployments: [Deployment; 2],
}

fn case(
    provider: Provider,
    how: &str,
    after: usize,
    style: &str,
    second: usize,
    seam: &str,
) -> Case {
    let (next, model, mode) = SECONDS[second];
    let group = format!(
        "{}-{how}-{after}-{style}-{second}{}",
        provider.name(),
        seam.replace(['+', '='], "-")
    );
    let tokens = format!("tokens=24+text={style}");
    let breaking = format!(
        "{}/{}+{tokens}+{how}={after}",
        provider.name(),
        first(provider)
    );
    let mut one = deployment(&group, &breaking).id(&format!("{group}/one"));
    if how == "stall" {
        one = one.param("stream_timeout: 0.1");
    }
    let two = format!("{}/{model}+{tokens}{seam}", next.name());
    let two = deployment(&group, &two).id(&format!("{group}/two"));
    let text = backstop_sim::text(&format!("m+{tokens}"));
    Case {
        group,
        text,
        mode,
        deployments: [one, two],
    }
}

async fn gateway(sim: &backstop_sim::Sim, cases: &[Case]) -> Gateway {
    let deployments: Vec<Deployment> = cases
        .iter()
        .flat_map(|case| case.deployments.clone())
        .collect();
    Gateway::start(
        sim,
        &config(
            &deployments,
            "router_settings: {cooldown_time: 0}\naudit: {mode: async}",
        ),
    )
    .await
}

#[tokio::test]
async fn whoever_goes_on_the_text_is_exact() {
    let mut cases = Vec::new();
    for provider in [Provider::OpenAi, Provider::Anthropic, Provider::Bedrock] {
        for (nth, how) in BREAKS.iter().enumerate() {
            for (second, (next, ..)) in SECONDS.iter().enumerate() {
                if *next == provider {
                    continue;
                }
                for (index, style) in STYLES.iter().enumerate() {
                    let after = 1 + (index * 5 + nth * 3 + second) % 20;
                    cases.push(case(provider, how, after, style, second, ""));
                }
            }
        }
    }
    let sim = sim().await;
    let gateway = gateway(&sim, &cases).await;
    for case in &cases {
        let what = &case.group;
        let stream = gateway.ask(what, true).await;
        let answer = stream.answer();
        assert_eq!(answer.error, None, "{what}");
        assert_eq!(answer.text, case.text, "{what}");
        assert_eq!(answer.finish, ["stop"], "{what}");
        let ids: std::collections::BTreeSet<_> = stream
            .text()
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter_map(|event| serde_json::from_str::<serde_json::Value>(event).ok())
            .filter_map(|event| event["id"].as_str().map(str::to_owned))
            .collect();
        assert_eq!(ids.len(), 1, "{what}");
        let comment = format!(
            ": backstop resumed mode={} deployment={what}/two",
            case.mode
        );
        assert!(
            stream.text().contains(&comment),
            "{comment} in\n{}",
            stream.text()
        );
    }
    let records = gateway.stop().await.records();
    assert_eq!(records.len(), cases.len());
    for record in &records {
        assert_eq!(record["outcome"], "ok", "{record}");
        assert_eq!(
            record["resumes"].as_array().map(Vec::len),
            Some(1),
            "{record}"
        );
        assert_eq!(record["attempts"][0]["next_action"], "resume", "{record}");
    }
}

#[tokio::test]
async fn what_is_said_twice_is_cut_and_what_cannot_be_placed_is_an_error() {
    let mut cases = Vec::new();
    for (index, style) in STYLES.iter().enumerate() {
        for seam in [
            "+echo",
            "+restart",
            "+overlap=12",
            "+overlap=40",
            "+overlap=200",
            "+noanchor",
            "+paraphrase",
        ] {
            cases.push(case(
                Provider::OpenAi,
                "cut",
                16 + index % 4,
                style,
                2,
                seam,
            ));
        }
    }
    let sim = sim().await;
    let gateway = gateway(&sim, &cases).await;
    for case in &cases {
        let what = &case.group;
        let answer = gateway.ask(what, true).await.answer();
        if what.ends_with("noanchor") || what.ends_with("paraphrase") {
            assert!(answer.error.is_some() && answer.finish.is_empty(), "{what}");
            assert!(
                case.text.starts_with(&answer.text),
                "never glued text: {what}: {}",
                answer.text
            );
        } else {
            assert_eq!(answer.error, None, "{what}");
            assert_eq!(
                (&answer.text, answer.finish.len()),
                (&case.text, 1),
                "{what}"
            );
        }
    }
}
