//! Which deployments are asked, in which order.

use backstop_config::{Config, Environment, Live};

fn environment() -> Environment {
    Environment::given([
        ("OPENAI_API_KEY", "sk-one"),
        ("ANTHROPIC_API_KEY", "sk-two"),
        ("AWS_REGION", "us-east-1"),
    ])
}

fn config(text: &str) -> Config {
    Config::parse("b.yaml", text, &environment()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// `(order, id)` of each step of `model`'s chain.
fn chain(text: &str, model: &str) -> Vec<(u32, String)> {
    let chains = config(text).chains();
    let chain = chains
        .iter()
        .find(|chain| &*chain.model == model)
        .expect("the model is configured");
    chain
        .steps
        .iter()
        .map(|step| (step.order, step.id.to_string()))
        .collect()
}

fn steps(expected: &[(u32, &str)]) -> Vec<(u32, String)> {
    expected
        .iter()
        .map(|(order, id)| (*order, (*id).to_owned()))
        .collect()
}

#[test]
fn a_fallback_list_orders_the_deployments_of_one_group() {
    let text = r#"
model_list:
  - {model_name: smart, litellm_params: {model: bedrock/anthropic.claude-sonnet-4-6}}
  - {model_name: smart, litellm_params: {model: anthropic/claude-sonnet-4-6}}
  - {model_name: smart, litellm_params: {model: openai/gpt-4o}}
router_settings:
  fallbacks:
    - "openai/gpt-4o": ["anthropic/claude-sonnet-4-6", "bedrock/anthropic.claude-sonnet-4-6"]
"#;
    assert_eq!(
        chain(text, "smart"),
        steps(&[
            (0, "openai/gpt-4o"),
            (1, "anthropic/claude-sonnet-4-6"),
            (2, "bedrock/anthropic.claude-sonnet-4-6")
        ])
    );
}

#[test]
fn an_explicit_order_wins() {
    let text = r#"
model_list:
  - {model_name: smart, litellm_params: {model: openai/a, order: 2}}
  - {model_name: smart, litellm_params: {model: openai/b, order: 1}}
  - {model_name: smart, litellm_params: {model: openai/c}}
router_settings:
  fallbacks: [{"openai/b": ["openai/a"]}]
"#;
    assert_eq!(
        chain(text, "smart"),
        steps(&[(0, "openai/b"), (1, "openai/a"), (2, "openai/c")])
    );
}

#[test]
fn orders_then_fallbacks_then_the_default() {
    let text = r#"
model_list:
  - {model_name: smart, litellm_params: {model: openai/a}}
  - {model_name: smart, litellm_params: {model: openai/b}}
  - {model_name: backup, litellm_params: {model: anthropic/c}}
  - {model_name: backup, litellm_params: {model: anthropic/d}}
  - {model_name: last, litellm_params: {model: openai/e}}
router_settings:
  fallbacks: [{smart: [backup]}]
  default_fallbacks: [last]
"#;
    assert_eq!(
        chain(text, "smart"),
        steps(&[
            (0, "openai/a"),
            (0, "openai/b"),
            (1, "anthropic/c"),
            (1, "anthropic/d"),
            (2, "openai/e")
        ])
    );
    assert_eq!(
        chain(text, "last"),
        steps(&[(0, "openai/e")]),
        "a deployment is asked once"
    );
}

#[test]
fn the_fallbacks_of_a_fallback_follow_it() {
    let text = r#"
model_list:
  - {model_name: a, litellm_params: {model: openai/a}}
  - {model_name: b, litellm_params: {model: openai/b}}
  - {model_name: c, litellm_params: {model: openai/c}}
router_settings:
  fallbacks: {a: [b], b: [c]}
"#;
    assert_eq!(
        chain(text, "a"),
        steps(&[(0, "openai/a"), (1, "openai/b"), (2, "openai/c")])
    );
}

#[test]
fn many_lists_of_many_names_are_read_at_once() {
    let models = (0..40).map(|n| {
        format!("  - {{model_name: m{n}, litellm_params: {{model: openai/gpt-4o, api_key: k}}}}\n")
    });
    let lists = (0..39).map(|n| {
        let then: Vec<_> = (n + 1..40).map(|then| format!("m{then}")).collect();
        format!("    - m{n}: [{}]\n", then.join(", "))
    });
    let text = format!(
        "model_list:\n{}router_settings:\n  fallbacks:\n{}",
        models.collect::<String>(),
        lists.collect::<String>()
    );
    assert_eq!(chain(&text, "m0").len(), 40);
}

#[test]
fn one_model_string_twice_gets_two_ids() {
    let text = "
model_list:
  - {model_name: a, litellm_params: {model: openai/gpt-4o}}
  - {model_name: a, litellm_params: {model: openai/gpt-4o}}
  - {model_name: a, litellm_params: {model: gpt-4o}}
";
    assert_eq!(
        chain(text, "a"),
        steps(&[(0, "openai/gpt-4o"), (0, "openai/gpt-4o-2"), (0, "gpt-4o")])
    );
}

#[test]
fn the_printed_chain_says_what_an_operator_asks() {
    let text = "
model_list:
  - {model_name: smart, litellm_params: {model: openai/gpt-4o, timeout: 20, collect_streams: true}}
  - {model_name: smart, litellm_params: {model: bedrock/anthropic.claude-sonnet-4-6, aws_region_name: eu-west-1}}
router_settings: {routing_strategy: simple-shuffle, deadline: 60}
";
    let shown = config(text).chains()[0].to_string();
    for part in [
        "smart (weighted shuffle)",
        "openai/gpt-4o",
        "region eu-west-1",
        "timeout 20s  collects streams  window 128000  $2.5 in, $10 out a million\n",
        "worst case 112s",
        "after 60s",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
}

#[test]
fn the_printed_chain_is_numbered_as_it_is_tried() {
    let text = |strategy: &str| {
        format!(
            "
model_list:
  - {{model_name: smart, litellm_params: {{model: openai/gpt-4o, order: 2}}}}
  - {{model_name: smart, litellm_params: {{model: openai/gpt-4o-mini, order: 1}}}}
  - {{model_name: smart, litellm_params: {{model: anthropic/claude-sonnet-4-6, order: 1}}}}
router_settings: {{routing_strategy: {strategy}}}
"
        )
    };
    for (strategy, numbered) in [
        (
            "in_order",
            [
                "1. openai/gpt-4o-mini ",
                "2. anthropic/",
                "3. openai/gpt-4o ",
            ],
        ),
        (
            "least_busy",
            [
                "1. openai/gpt-4o-mini ",
                "1. anthropic/",
                "2. openai/gpt-4o ",
            ],
        ),
    ] {
        let shown = config(&text(strategy)).chains()[0].to_string();
        let steps: Vec<&str> = shown.lines().skip(1).take(3).map(str::trim).collect();
        for (step, start) in steps.iter().zip(numbered) {
            assert!(step.starts_with(start), "{start:?} in\n{shown}");
        }
    }
}

#[test]
fn an_existing_litellm_file_works() {
    let text = "
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      timeout: 10
    model_info: {mode: chat}
litellm_settings:
  num_retries: 3
  request_timeout: 10
  drop_params: true
  set_verbose: False
  cache: false
  fallbacks: []
general_settings:
  master_key: sk-1234
router_settings:
  routing_strategy: least-busy
  enable_pre_call_checks: true
";
    assert_eq!(config(text).chains().len(), 1);
    let on = text.replace("cache: false", "cache: true");
    let error = Config::parse("b.yaml", &on, &environment()).expect_err("it is on");
    assert!(
        error.to_string().contains("`cache` is a LiteLLM key"),
        "{error}"
    );
}

#[test]
fn numbers_and_flags_may_come_from_the_environment() {
    let text = "
model_list:
  - model_name: smart
    litellm_params: {model: openai/gpt-4o, api_key: sk-1, timeout: os.environ/TIMEOUT, collect_streams: os.environ/ON}
router_settings: {num_retries: os.environ/RETRIES, deadline: os.environ/DEADLINE}
";
    let variables = [
        ("TIMEOUT", "7.5"),
        ("ON", "true"),
        ("RETRIES", "1"),
        ("DEADLINE", "40"),
    ];
    let environment = Environment::given(variables);
    let config = Config::parse("b.yaml", text, &environment).expect("sound");
    let chain = &config.chains()[0];
    let step = &chain.steps[0];
    assert_eq!((step.timeout.as_secs_f64(), step.collects), (7.5, true));
    assert_eq!(chain.deadline.as_secs(), 40);
    assert_eq!(chain.worst_case.as_secs_f64(), 16.0, "with one repeat");
}

#[test]
fn the_environment_alone_makes_a_chain() {
    let config = Config::from_environment(&environment()).expect("two keys are set");
    let chains = config.chains();
    assert_eq!(&*chains[0].model, "default");
    let providers: Vec<_> = chains[0].steps.iter().map(|step| step.provider).collect();
    assert_eq!(providers, ["openai", "anthropic"]);
}

#[tokio::test]
async fn stacks_are_built_and_swapped() {
    let one = config(
        "
model_list:
  - {model_name: a, litellm_params: {model: openai/a, api_base: 'http://127.0.0.1:1/v1'}}
",
    );
    let two = config(
        "
model_list:
  - {model_name: b, litellm_params: {model: bedrock/b, api_base: 'http://127.0.0.1:1'}}
  - {model_name: c, litellm_params: {model: anthropic/c, api_key: sk-two, api_base: 'http://127.0.0.1:1'}}
",
    );
    let live = Live::start(&one).await.expect("it builds");
    assert!(live.is_ready());
    assert_eq!(live.models().len(), 1);
    let live = live.reloaded(&two).await.expect("it builds");
    let models: Vec<String> = live.models().iter().map(ToString::to_string).collect();
    assert_eq!(models, ["b", "c"]);
}

#[test]
fn any_of_awss_own_ways_makes_bedrock_a_provider() {
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_BEARER_TOKEN_BEDROCK",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ] {
        let environment = Environment::given([(name, "x"), ("AWS_REGION", "eu-west-1")]);
        let config = Config::from_environment(&environment).expect("a provider");
        let step = &config.chains()[0].steps[0];
        assert_eq!(
            (step.provider, step.region.as_deref()),
            ("bedrock", Some("eu, uk, ch")),
            "{name}"
        );
    }
}
