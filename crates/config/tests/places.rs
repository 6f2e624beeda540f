//! What `region` says of a deployment, and of which deployments it may say it.

use backstop_config::{Config, Environment};

/// Why the one deployment that is called like this, with this `region`, does not satisfy a rule that asks for both
/// processing and storage in Ireland; `None` if it does.
fn refusal(params: &str, region: &str) -> Option<String> {
    let text = format!(
        "
model_list:
  - {{model_name: smart, litellm_params: {{{params}, api_key: sk-one}}, model_info: {{region: {region}}}}}
residency:
  rules: [{{name: ireland, require: {{processing: [ie], storage: [ie]}}, allow_empty: true}}]
"
    );
    let config = Config::parse("b.yaml", &text, &Environment::given([("A", "b")]));
    let config = config.unwrap_or_else(|error| panic!("{params}, {region}: {error}"));
    config.policies()[0].deployments[0].1.clone()
}

const OWN: &str = "model: openai/qwen3, api_base: 'http://10.0.0.5/v1'";

#[test]
fn one_word_is_said_of_all_that_is_done_there() {
    assert_eq!(refusal(OWN, "eu-west-1"), None);
    assert_eq!(refusal(OWN, "{processing: ie, storage: ie}"), None);
    let why = refusal(OWN, "{processing: ie}").expect("storage is not said");
    assert!(why.contains("where it stores is not declared"), "{why}");
}

#[test]
fn what_is_derived_of_storage_stands() {
    let emirates = "model: openai/gpt-4o, api_base: 'https://ae.api.openai.com/v1'";
    let why = refusal(emirates, "ie").expect("it stores in the Emirates");
    assert!(why.contains("it stores in ae"), "{why}");
}

#[test]
fn who_else_speaks_anthropics_format_is_where_it_says() {
    for base in [
        "https://ai.example.com/anthropic",
        "https://notanthropic.com",
    ] {
        let other = format!("model: anthropic/claude-sonnet-4-6, api_base: '{base}'");
        assert_eq!(refusal(&other, "ie"), None, "{base}");
    }
}
