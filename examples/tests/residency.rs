//! The gateway's configuration of residency in this folder, as `backstop check` reads it.

use backstop_config::{Config, Environment};

const TEXT: &str = include_str!("../residency.yaml");

#[test]
fn each_rule_has_its_deployments() {
    let variables = [
        "OPENAI_API_KEY",
        "OPENAI_EU_KEY",
        "ANTHROPIC_API_KEY",
        "WEB_KEY",
        "CLINIC_KEY",
        "LEGAL_KEY",
        "BACKSTOP_KEY",
    ];
    let given = Environment::given(variables.map(|name| (name, name)));
    let config = Config::parse("residency.yaml", TEXT, &given).expect("a sound configuration");
    let policies = config.policies();
    let satisfied: Vec<(&str, Vec<&str>)> = policies
        .iter()
        .map(|policy| {
            let deployments = policy.deployments.iter();
            let yes = deployments.filter(|(_, why)| why.is_none());
            (&*policy.rule, yes.map(|(id, _)| &**id).collect())
        })
        .collect();
    assert_eq!(
        satisfied,
        [
            ("eu-only", vec!["frankfurt"]),
            ("eu-pii", vec!["frankfurt"]),
            ("us-health", vec!["anthropic-us"]),
            ("zero-retention", vec!["anthropic-us", "frankfurt"]),
        ]
    );

    let why = policies[0].deployments.iter();
    let why = why.filter_map(|(id, why)| Some((&**id, why.as_deref()?)));
    let [openai, openai_eu, anthropic, europe] = why.collect::<Vec<_>>()[..] else {
        panic!("all but one");
    };
    assert_eq!(openai, ("openai", "where it processes is not declared"));
    let not_only_the_eu = "it processes in eea, ch, not within eu";
    assert_eq!(openai_eu, ("openai-eu", not_only_the_eu));
    assert_eq!(
        anthropic,
        ("anthropic-us", "it processes in us, not within eu")
    );
    // London and Zurich.
    assert!(europe.1.contains("eu-west-2") && europe.1.contains("eu-central-2"));
    assert_eq!(config.warnings(), Vec::<String>::new());
    let keys: Vec<_> = config.keys().iter().map(|key| &*key.id).collect();
    assert_eq!(keys, ["web", "clinic", "legal"]);
}
