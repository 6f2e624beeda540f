//! A provider that reports to have run elsewhere.

use backstop_sim::{Outage, Provider};

use crate::support::{Deployment, Gateway};
use crate::{Sides, outside};

const RULES: &str = "
residency: {rules: [{name: us-only, require: {processing: [us]}}]}
router_settings: {num_retries: 1, retry_after: 0.001}
";

/// Claude in the United States, which reports to have run there; and somebody else there.
fn claude(fault: &str) -> [Deployment; 2] {
    [
        outside(
            "smart",
            "claude",
            &format!("anthropic/claude-sonnet-4-5{fault}"),
        ),
        outside("smart", "other", "openai/gpt-4o"),
    ]
}

fn errors(gateway: &Gateway) -> Vec<String> {
    let log = gateway.log();
    let errors = log.lines().filter(|line| line.contains("ERROR"));
    errors.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_report_from_elsewhere_is_an_alarm_and_closes_the_deployment() {
    for stream in [false, true] {
        let sides = Sides::new().await;
        let gateway = sides.gateway(&claude("+geo=global"), RULES).await;
        let response = gateway.ask("smart", stream).await;
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(response.header("x-backstop-deployment"), "other");
        let record = gateway.record(response.request_id()).await;
        let attempt = &record["attempts"][0];
        assert_eq!(attempt["deployment"], "claude");
        assert_eq!(attempt["result"], "permission", "not asked again: {record}");
        assert_eq!(record["attempts"][1]["deployment"], "other", "{record}");
        let notes = record["notes"].to_string() + &attempt["notes"].to_string();
        assert!(notes.contains("declared is us"), "{record}");

        gateway
            .logged(&[
                "ERROR",
                "outside of where the deployment is said to be",
                "claude",
            ])
            .await;
        assert_eq!(errors(&gateway).len(), 1, "{}", gateway.log());
        gateway.logged(&["WARN", "circuit opened", "claude"]).await;

        // Nobody asks it any more, whoever has a rule.
        let response = gateway.ask("smart", stream).await;
        let record = gateway.record(response.request_id()).await;
        assert_eq!(record["skipped"][0]["deployment"], "claude");
        assert_eq!(record["skipped"][0]["reason"], "cooling");
        assert_eq!(sides.us.journal().entries().len(), 3);
    }
}

#[tokio::test]
async fn a_report_that_agrees_is_none() {
    for fault in ["+geo=us", "+geo=not_available", ""] {
        for stream in [false, true] {
            let sides = Sides::new().await;
            let gateway = sides.gateway(&claude(fault), RULES).await;
            let response = gateway.ask("smart", stream).await;
            assert_eq!(
                response.header("x-backstop-deployment"),
                "claude",
                "{fault}"
            );
            assert_eq!(response.header("x-backstop-region"), "us");
            assert_eq!(errors(&gateway), [""; 0], "{fault}");
            let sent = sides.us.journal().entries()[0].json();
            assert_eq!(sent["inference_geo"], "us");
        }
    }
}

#[tokio::test]
async fn the_alarm_needs_no_rule() {
    let sides = Sides::new().await;
    let elsewhere = Outage::new(Provider::Anthropic, "geo=antarctica").expect("a fault");
    sides.us.faults().begin(elsewhere);
    let gateway = sides.gateway(&claude("")[..1], "").await;
    let response = gateway.ask("smart", false).await;
    assert_ne!(response.status, 200, "{}", response.text());
    assert!(!response.text().contains("antarctica"));
    gateway
        .logged(&["ERROR", "outside of where the deployment is said to be"])
        .await;
    let record = gateway.record(response.request_id()).await;
    assert!(!record.to_string().contains("antarctica"), "{record}");
}
