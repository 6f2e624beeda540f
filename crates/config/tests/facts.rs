//! Mistakes in what is said of models and keys: the catalogue, `model_info`, `capabilities`, `keys`, and the fallbacks
//! after one failure.

use std::fs;

use backstop_config::{Config, Environment};

const MODELS: &str = "model_list:
  - model_name: smart
    litellm_params: {model: openai/gpt-4o}
  - model_name: backup
    litellm_params: {model: anthropic/claude-sonnet-4-6}
";

fn parse(text: &str) -> Result<Config, String> {
    let environment = Environment::given([
        ("OPENAI_API_KEY", "sk-one"),
        ("ANTHROPIC_API_KEY", "sk-two"),
        ("WEB_KEY", "sk-web"),
    ]);
    Config::parse("b.yaml", text, &environment).map_err(|error| error.to_string())
}

fn error(text: &str) -> String {
    match parse(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error,
    }
}

/// What is wrong with these lines behind the models; they begin in line 6.
fn behind_models(more: &str) -> String {
    error(&format!("{MODELS}{more}\n"))
}

#[test]
fn a_model_without_its_provider_is_who_lists_it() {
    for (model, provider) in [
        ("gpt-4o", "openai"),
        ("ft:gpt-4o-2024-08-06", "openai"),
        ("chat-latest", "openai"),
        ("claude-sonnet-4-6", "anthropic"),
        ("us.anthropic.claude-sonnet-4-6", "bedrock"),
        ("jp.anthropic.claude-sonnet-4-6", "bedrock"),
        ("mistral.mistral-large-2407-v1:0", "bedrock"),
    ] {
        let text = format!(
            "model_list: [{{model_name: a, litellm_params: {{model: '{model}', aws_region_name: us-east-1}}}}]\n"
        );
        let text = match provider {
            "bedrock" => text,
            _ => text.replace(", aws_region_name: us-east-1", ""),
        };
        let config = parse(&text).unwrap_or_else(|error| panic!("{model}: {error}"));
        assert_eq!(config.chains()[0].steps[0].provider, provider, "{model}");
    }
}

#[test]
fn a_model_of_bedrock_behind_the_api_that_it_is_called_by() {
    for (written, model) in [
        ("converse/amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.x",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.x",
        ),
    ] {
        let text = format!(
            "model_list: [{{model_name: a, litellm_params: {{model: 'bedrock/{written}', aws_region_name: us-east-1}}}}]\n"
        );
        let config = parse(&text).unwrap_or_else(|error| panic!("{written}: {error}"));
        assert_eq!(&*config.chains()[0].steps[0].model, model);
    }
}

#[test]
fn in_model_info() {
    for (info, expected) in [
        (
            "max_input_token: 5",
            "b.yaml:4:18: unknown key `max_input_token` in `model_info`; did you mean `max_input_tokens`?",
        ),
        (
            "max_input_tokens: 0",
            "b.yaml:4:36: `max_input_tokens` must be more than 0",
        ),
        (
            "max_input_tokens: -1",
            "b.yaml:4:36: `max_input_tokens` must be a whole number of 0 or more",
        ),
        (
            "max_output_tokens: many",
            "b.yaml:4:37: `max_output_tokens` must be a whole number of 0 or more",
        ),
        (
            "supports_vision: 1",
            "b.yaml:4:35: `supports_vision` must be true or false, but is a number",
        ),
        (
            "supports_vison: true",
            "b.yaml:4:18: unknown key `supports_vison` in `model_info`; did you mean `supports_vision`?",
        ),
        (
            "input_cost_per_token: 0.1",
            "b.yaml:4:40: `input_cost_per_token` and `output_cost_per_token` go together; a price that is free is 0",
        ),
        (
            "input_cost_per_token: -0.1, output_cost_per_token: 0",
            "b.yaml:4:40: `input_cost_per_token` must be an amount of dollars, such as 0.0000025 or 2.5e-06",
        ),
        (
            "input_cost_per_token: cheap, output_cost_per_token: 0",
            "b.yaml:4:40: `input_cost_per_token` must be an amount of dollars, such as 0.0000025 or 2.5e-06",
        ),
        (
            "cache_read_input_token_cost: 0.1",
            "b.yaml:4:47: a price of the cache goes with those of plain tokens; say `input_cost_per_token` and \
             `output_cost_per_token`, too",
        ),
    ] {
        let text = format!(
            "model_list:\n  - model_name: smart\n    litellm_params: {{model: openai/gpt-4o}}\n    model_info: {{{info}}}\n"
        );
        assert_eq!(error(&text), expected, "{info}");
    }
}

#[test]
fn in_the_catalogue() {
    for (section, expected) in [
        ("catalog: {}", "b.yaml:6:10: `file` is missing in `catalog`"),
        (
            "catalog: {flie: prices.json}",
            "b.yaml:6:11: unknown key `flie` in `catalog`; did you mean `file`?",
        ),
        (
            "catalog: prices.json",
            "b.yaml:6:10: `catalog` must be a mapping, but is text",
        ),
    ] {
        assert_eq!(behind_models(section), expected, "{section}");
    }
    let missing = behind_models("catalog: {file: /nowhere/prices.json}");
    assert!(
        missing.starts_with("b.yaml:6:17: the file /nowhere/prices.json cannot be read: "),
        "{missing}"
    );
}

#[test]
fn in_the_catalogues_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("prices.json");
    let path = path.to_str().expect("text");
    for (file, expected) in [
        ("", "1:0: "),
        ("[", "1:1: "),
        ("3", "1:1: neither a list of models nor an object of them"),
        (
            "[\n {\"id\": \"openai/x\", \"context_window\": -1}]",
            "2:39: ",
        ),
        (
            "[\n {\"id\": \"openai/x\", \"contextwindow\": 1}]",
            "2:21: ",
        ),
        (
            "{\"x\": {\"litellm_provider\": \"openai\",\n \"input_cost_per_token\": \"much\"}}",
            "2:",
        ),
    ] {
        fs::write(path, file).expect("writable");
        let error = behind_models(&format!("catalog: {{file: {path}}}"));
        let expected = format!("b.yaml:6:17: {path}:{expected}");
        assert!(error.starts_with(&expected), "{error}\nnot {expected}");
        assert!(
            error.len() > expected.len() || expected.ends_with("them"),
            "{error}"
        );
    }
}

#[test]
fn in_capabilities() {
    for (section, expected) in [
        (
            "capabilities: [auto]",
            "b.yaml:6:15: `capabilities` must be a mapping, but is a list",
        ),
        (
            "capabilities: {auto: smart}",
            "b.yaml:6:22: `auto` must be a mapping, but is text",
        ),
        (
            "capabilities: {auto: {vision: smart}}",
            "b.yaml:6:16: `auto` has no `default`: the model for all other requests",
        ),
        (
            "capabilities: {auto: {vison: smart, default: smart}}",
            "b.yaml:6:23: `vison` is nothing that a request can need; did you mean `vision`?",
        ),
        (
            "capabilities: {auto: {telepathy: smart, default: smart}}",
            "b.yaml:6:23: `telepathy` is nothing that a request can need; there are tools, vision, audio, files, \
             json_schema, reasoning, default",
        ),
        (
            "capabilities: {auto: {vision: smrt, default: smart}}",
            "b.yaml:6:31: `smrt` is no model name of `model_list`; did you mean `smart`?",
        ),
        (
            "capabilities: {auto: {default: auto}}",
            "b.yaml:6:32: `auto` is no model name of `model_list`",
        ),
        (
            "capabilities: {smart: {default: backup}}",
            "b.yaml:6:16: `smart` is a model of `model_list` already; give this one another name",
        ),
        (
            "capabilities: {auto: {default: smart, default: backup}}",
            "b.yaml:6:39: duplicate mapping key: default",
        ),
    ] {
        assert_eq!(behind_models(section), expected, "{section}");
    }
}

#[test]
fn in_keys() {
    for (section, expected) in [
        (
            "keys: [{key: sk-web}]",
            "b.yaml:6:8: `id` is missing in `keys`",
        ),
        (
            "keys: [{id: web}]",
            "b.yaml:6:8: the key `web` has no `key`",
        ),
        (
            "keys: [{id: web, kye: sk-web}]",
            "b.yaml:6:18: unknown key `kye` in `keys`; did you mean `key`?",
        ),
        (
            "keys: [{id: master, key: sk-web}]",
            "b.yaml:6:13: `master` cannot be the id of a key; `master` is whoever shows general_settings.master_key",
        ),
        (
            "keys: [{id: web, key: sk-1}, {id: web, key: sk-2}]",
            "b.yaml:6:35: two keys have the id `web`",
        ),
        (
            "keys: [{id: web, key: sk-1}, {id: app, key: sk-1}]",
            "b.yaml:6:30: the keys `web` and `app` are the same; nobody could tell whose budget it is",
        ),
        (
            "keys: [{id: web, key: sk-1}]\ngeneral_settings: {master_key: sk-1}",
            "b.yaml:6:8: the key `web` is the same as `general_settings.master_key`; whoever shows it would be the \
             operator, whom no rule for this key concerns",
        ),
        (
            "keys: [{id: web, key: os.environ/WEB_KYE}]",
            "b.yaml:6:23: the environment variable `WEB_KYE` is not set; export it, or name another",
        ),
        (
            "keys: [{id: web, key: sk-1, model: [smart]}]",
            "b.yaml:6:29: unknown key `model` in `keys`; did you mean `models`?",
        ),
        (
            "keys: [{id: web, key: sk-1, tem: growth}]",
            "b.yaml:6:29: unknown key `tem` in `keys`; did you mean `team`?",
        ),
        (
            "keys: {id: web}",
            "b.yaml:6:7: `keys` must be a list, but is a mapping",
        ),
    ] {
        assert_eq!(behind_models(section), expected, "{section}");
    }
}

#[test]
fn in_fallbacks_after_one_failure() {
    for list in ["context_window_fallbacks", "content_policy_fallbacks"] {
        for (value, column, expected) in [
            (
                "[{smart: [bakup]}]",
                15,
                "`bakup` is no model name and no deployment of `model_list`; did you mean `backup`?",
            ),
            (
                "[{smrt: [backup]}]",
                7,
                "`smrt` is no model name and no deployment of `model_list`; did you mean `smart`?",
            ),
            (
                "[smart]",
                5,
                "each of `LIST` must be a mapping from a name to a list of names",
            ),
        ] {
            let error = behind_models(&format!("router_settings:\n  {list}: {value}"));
            let column = list.len() + column;
            let expected = format!("b.yaml:7:{column}: {}", expected.replace("LIST", list));
            assert_eq!(error, expected);
        }
    }
}

/// What is right is not refused for its form.
#[test]
fn what_is_not_a_mistake() {
    for more in [
        "keys: [{id: web, key: os.environ/WEB_KEY, models: [\"smart*\"], tags: [eu], team: growth, org: acme}]",
        "capabilities: {auto: {vision: smart, default: backup}}",
        "router_settings: {context_window_fallbacks: [{smart: [backup]}], content_policy_fallbacks: []}",
    ] {
        if let Err(error) = parse(&format!("{MODELS}{more}\n")) {
            panic!("{error}");
        }
    }
    let priced = MODELS.replace(
        "{model: openai/gpt-4o}",
        "{model: openai/gpt-4o, input_cost_per_token: 2.5e-06, output_cost_per_token: 1e-05}",
    );
    let config = parse(&priced).expect("LiteLLM takes prices from either section");
    let chains = config.chains();
    let smart = chains
        .iter()
        .find(|chain| &*chain.model == "smart")
        .expect("there");
    let price = smart.steps[0].price.expect("priced");
    assert_eq!(
        (price.input().to_string(), price.output().to_string()),
        ("2.5".to_owned(), "10".to_owned())
    );
}
