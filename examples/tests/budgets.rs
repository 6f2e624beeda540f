//! The configurations with budgets in this folder, as a user would copy them.

use backstop_config::{Config, Environment};

const BUDGETS: &str = include_str!("../budgets.yaml");
const REPLICAS: &str = include_str!("../two_replicas.yaml");
const VARIABLES: [&str; 5] = [
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "BACKSTOP_KEY",
    "WEB_KEY",
    "BATCH_KEY",
];

fn parse(text: &str) -> Config {
    let keys = VARIABLES.map(|name| (name, name));
    let redis = ("REDIS_URL", "redis://127.0.0.1:6379");
    let given = Environment::given(keys.into_iter().chain([redis]));
    Config::parse("budgets.yaml", text, &given).expect("a sound configuration")
}

fn lines(config: &Config) -> Vec<String> {
    let budgets = config.budgets();
    let words = |budget: String| budget.split_whitespace().collect::<Vec<_>>().join(" ");
    budgets
        .iter()
        .map(|budget| words(budget.to_string()))
        .collect()
}

#[test]
fn every_scope_has_its_ceiling() {
    let config = parse(BUDGETS);
    assert_eq!(
        lines(&config),
        [
            "org=acme/usd/month@Europe/Berlin $500 hard",
            "key=web/usd/day@Europe/Berlin $30 hard",
            "user/requests/86400s 100 requests hard",
            "deployment=openai/usd/day@UTC $10 hard",
            "tag=nightly/tokens/day@UTC 5000000 tokens hard",
            "global/usd/month@UTC $400 soft",
        ]
    );
    assert_eq!(config.store().as_deref(), Some("./backstop.db"));
    let [web, batch] = config.keys() else {
        panic!("two keys")
    };
    assert!(web.may_use("smart") && web.may_use("own"));
    assert!(batch.may_use("own") && !batch.may_use("smart"));
}

#[test]
fn every_deployment_has_a_price() {
    for text in [BUDGETS, REPLICAS] {
        let config = parse(text);
        assert_eq!(config.warnings(), Vec::<String>::new());
        assert_eq!(config.remarks(), Vec::<String>::new());
    }
}

#[test]
fn replicas_share_a_redis() {
    let config = parse(REPLICAS);
    assert_eq!(config.store().as_deref(), Some("Redis"));
    assert_eq!(
        lines(&config),
        [
            "global/usd/day@Europe/Berlin $30 hard",
            "user/requests/86400s 100 requests hard",
        ]
    );
}
