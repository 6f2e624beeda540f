//! What an operator reads: `check`, and the log of a start and a reload.

use rustix::process::Signal;

use crate::support::{Deployment, Setup, config};
use crate::{Sides, inside, outside};

const RULES: &str = "
residency:
  rules:
    - {name: eu-only, match: none, require: {processing: [eu]}}
    - {name: with-baa, match: none, require: {compliance: [baa]}}
    - {name: nowhere, match: none, require: {processing: [jp]}, allow_empty: true}
";

fn deployments() -> [Deployment; 3] {
    [
        inside("smart", "frankfurt", "openai/gpt-4o"),
        outside("smart", "virginia", "openai/gpt-4o")
            .info("compliance: [{name: baa, until: 2999-12-31}]"),
        outside("smart", "ohio", "bedrock/anthropic.claude-sonnet-4-5")
            .param("aws_region_name: us-east-2")
            .info("compliance: [{name: baa, until: 2020-01-31}]"),
    ]
}

const ENDED: &str =
    "the compliance mark of `ohio`: `baa` ended on 2020-01-31 and does not count any more";

fn check(sides: &Sides, text: &str) -> Setup {
    Setup::new(&["check", "--config", "backstop.yaml"])
        .file("backstop.yaml", text)
        .before(&sides.eu)
        .env("US_OPENAI", &sides.us.openai())
        .env("US_BEDROCK", &sides.us.bedrock())
}

#[tokio::test]
async fn check_says_who_qualifies_and_why_the_others_do_not() {
    let sides = Sides::new().await;
    let finished = check(&sides, &config(&deployments(), RULES)).run().await;
    assert!(finished.status.success(), "{}", finished.stderr);
    let expected = "
residency rule eu-only
  yes  frankfurt
  no   virginia   it processes in us-east-1, not within eu
  no   ohio       it processes in us-east-2, not within eu
  where `with-baa` holds too, no deployment is left

residency rule with-baa
  no   frankfurt  it has no valid mark `baa`
  yes  virginia
  no   ohio       it has no valid mark `baa`
  where `eu-only` holds too, no deployment is left

residency rule nowhere
  no   frankfurt  it processes in eu-central-1, not within jp
  no   virginia   it processes in us-east-1, not within jp
  no   ohio       it processes in us-east-2, not within jp
";
    assert!(finished.stdout.contains(expected), "{}", finished.stdout);
    let warning = format!("warning: {ENDED}\n");
    assert!(finished.stdout.contains(&warning), "{}", finished.stdout);
}

#[tokio::test]
async fn a_rule_that_nobody_satisfies_does_not_start() {
    let sides = Sides::new().await;
    let text = config(&deployments(), RULES).replace(", allow_empty: true", "");
    for setup in [check(&sides, &text), sides.setup(&text)] {
        let finished = setup.run().await;
        assert_eq!(finished.status.code(), Some(1));
        let said = "no deployment satisfies the residency rule `nowhere` (frankfurt: it processes in eu-central-1, not within \
                    jp; virginia: it processes in us-east-1, not within jp; ohio: it processes in us-east-2, not within jp)";
        assert!(finished.stderr.contains(said), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn a_mark_that_has_ended_is_warned_of_at_the_start_and_at_each_reload() {
    let sides = Sides::new().await;
    let gateway = sides.gateway(&deployments(), RULES).await;
    let warned = |gateway: &crate::support::Gateway| {
        let log = gateway.log();
        let lines = log
            .lines()
            .filter(|line| line.contains("WARN") && line.contains(ENDED));
        lines.count()
    };
    gateway.logged(&["WARN", ENDED]).await;
    assert_eq!(warned(&gateway), 1);
    gateway.signal(Signal::HUP);
    gateway.logged(&["configuration reloaded"]).await;
    assert_eq!(warned(&gateway), 2);
}

#[tokio::test]
async fn check_reads_the_example() {
    let variables = [
        "OPENAI_API_KEY",
        "OPENAI_EU_KEY",
        "ANTHROPIC_API_KEY",
        "WEB_KEY",
        "CLINIC_KEY",
        "LEGAL_KEY",
        "BACKSTOP_KEY",
    ];
    let text = include_str!("../../../../examples/residency.yaml");
    let setup = Setup::new(&["check", "--config", "residency.yaml"]).file("residency.yaml", text);
    let setup = variables
        .into_iter()
        .fold(setup, |setup, name| setup.env(name, name));
    let finished = setup.run().await;
    assert!(finished.status.success(), "{}", finished.stderr);
    for (rule, satisfied) in [
        ("eu-only", &["frankfurt"][..]),
        ("eu-pii", &["frankfurt"]),
        ("us-health", &["anthropic-us"]),
        ("zero-retention", &["anthropic-us", "frankfurt"]),
    ] {
        let printed = finished.stdout.split("\n\n");
        let title = format!("residency rule {rule}\n");
        let printed = printed.filter_map(|part| part.trim_start().strip_prefix(&title));
        let yes = |part: &str| -> Vec<String> {
            let lines = part
                .lines()
                .filter_map(|line| line.trim().strip_prefix("yes "));
            lines.map(|id| id.trim().to_owned()).collect()
        };
        let said: Vec<_> = printed.map(yes).collect();
        assert_eq!(said, [satisfied], "{rule}: {}", finished.stdout);
    }
}
