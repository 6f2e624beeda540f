//! The page on the gateway is true to the code: its configuration, and what it says holds where nothing is said.

use std::fs;

use backstop_config::{Config, Environment};

const MODELS: &str = "
model_list:
  - model_name: smart
    litellm_params: {model: openai/gpt-4o, api_key: sk-one}
";

/// The configurations on the page.
fn blocks() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/gateway.md");
    let page = fs::read_to_string(path).expect("docs/gateway.md");
    page.split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .map(|(block, _)| block.to_owned())
        .collect()
}

fn parse(text: &str) -> Config {
    let environment = Environment::given(
        [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "BACKSTOP_KEY",
            "OPENAI_API_KEY",
            "WEB_KEY",
        ]
        .map(|name| (name, name.to_lowercase())),
    );
    Config::parse("docs/gateway.md", text, &environment)
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn its_deployments_are_sound() {
    let key = "file:/run/secrets/anthropic";
    let block = &blocks()[0];
    assert!(block.contains(key), "the page names a file of its own");
    let config = parse(&block.replace(key, "sk-two"));
    let chains = config.chains();
    assert_eq!(chains.len(), 2, "{chains:?}");
    let smart: Vec<_> = chains[1].steps.iter().map(|step| &*step.id).collect();
    assert_eq!(
        smart,
        [
            "openai",
            "own",
            "anthropic/claude-sonnet-4-6",
            "bedrock/us.anthropic.claude-sonnet-4-6",
        ]
    );
    assert_eq!(config.capabilities().len(), 1);
}

#[test]
fn what_is_not_said_is_as_it_says() {
    let said = parse(&format!("{}{MODELS}", blocks()[1]));
    assert_eq!(format!("{said:#?}"), format!("{:#?}", parse(MODELS)));
}

#[test]
fn its_keys_are_sound() {
    let config = parse(&format!("{}{MODELS}", blocks()[2]));
    assert!(config.general.master_key.is_some());
    assert!(config.keys()[0].may_use("smart/balanced"));
}
