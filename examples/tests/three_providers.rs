//! The gateway's configuration in this folder, as a user would copy it.

use backstop_config::{Config, Environment};

const TEXT: &str = include_str!("../three_providers.yaml");
const VARIABLES: [&str; 5] = [
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "BACKSTOP_KEY",
];

fn parse(variables: &[&str]) -> Result<Config, String> {
    let given = Environment::given(variables.iter().map(|name| (*name, "a-value")));
    Config::parse("three_providers.yaml", TEXT, &given).map_err(|error| error.to_string())
}

#[test]
fn the_chain_is_openai_then_anthropic_then_bedrock() {
    let config = parse(&VARIABLES).expect("a sound configuration");
    let chains = config.chains();
    assert_eq!(chains.len(), 1);
    let steps = chains[0].steps.iter();
    let providers: Vec<_> = steps.map(|step| (&*step.id, step.provider)).collect();
    assert_eq!(
        providers,
        [
            ("openai", "openai"),
            ("anthropic", "anthropic"),
            ("bedrock", "bedrock")
        ]
    );

    let printed = chains[0].to_string();
    let rows = printed.lines().skip(1).take(3);
    let names: Vec<_> = rows
        .filter_map(|row| row.split_whitespace().nth(1))
        .collect();
    assert_eq!(names, ["openai", "anthropic", "bedrock"], "{printed}");
}

#[test]
fn every_secret_comes_from_the_environment() {
    for missing in VARIABLES {
        let others: Vec<_> = VARIABLES
            .into_iter()
            .filter(|name| *name != missing)
            .collect();
        let error = parse(&others).expect_err("a variable is missing");
        assert!(error.contains(missing), "{missing}: {error}");
    }
}
