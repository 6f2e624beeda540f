//! Every mistake is one error that says where it is and what to do.

use backstop_config::{Config, Environment};

fn environment() -> Environment {
    Environment::given([
        ("OPENAI_API_KEY", "sk-one"),
        ("ANTHROPIC_API_KEY", "sk-two"),
        ("AWS_REGION", "us-east-1"),
    ])
}

fn error(text: &str) -> String {
    match Config::parse("b.yaml", text, &environment()) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error.to_string(),
    }
}

const MODELS: &str = "model_list:
  - model_name: smart
    litellm_params: {model: openai/gpt-4o}
  - model_name: backup
    litellm_params: {model: anthropic/claude-sonnet-4-6}
";

#[test]
fn in_a_whole_file() {
    for (text, expected) in [
        (
            "",
            "b.yaml:1:1: `model_list` is missing: it names the deployments",
        ),
        (
            "model_list: []\n",
            "b.yaml:1:13: `model_list` is empty: it names the deployments",
        ),
        (
            "- a\n- b\n",
            "b.yaml:1:1: `the configuration` must be a mapping, but is a list",
        ),
        (
            "model_lits:\n  - model_name: smart\n",
            "b.yaml:1:1: unknown key `model_lits` in `the configuration`; did you mean `model_list`?",
        ),
        (
            "admin: {}\n",
            "b.yaml:1:1: unknown key `admin` in `the configuration`",
        ),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn malformed_yaml_names_the_place() {
    for text in [
        "model_list: [\n",
        "a: b: c\n",
        "model_list:\n\t- x\n",
        "a: \"unclosed\n",
        "model_list: []\n---\nmodel_list: []\n",
    ] {
        let error = error(text);
        assert!(!error.contains("from_str"), "{error}");
        let mut parts = error.splitn(4, ':');
        assert_eq!(parts.next(), Some("b.yaml"), "{error}");
        assert!(
            parts.next().is_some_and(|line| line.parse::<u32>().is_ok()),
            "{error}"
        );
        assert!(
            parts
                .next()
                .is_some_and(|column| column.parse::<u32>().is_ok()),
            "{error}"
        );
    }
}

#[test]
fn in_the_model_list() {
    let entry = |rest: &str| format!("model_list:\n  - model_name: smart\n    {rest}\n");
    for (text, expected) in [
        (
            entry(""),
            "b.yaml:2:5: `litellm_params` is missing in `model_list`; it holds `model`, `api_key` and the like",
        ),
        (
            entry("model: openai/gpt-4o"),
            "b.yaml:2:5: `litellm_params` is missing in `model_list`; it holds `model`, `api_key` and the like",
        ),
        (
            entry("litellm_parms: {model: openai/gpt-4o}"),
            "b.yaml:3:5: unknown key `litellm_parms` in `model_list`; did you mean `litellm_params`?",
        ),
        (
            "model_list:\n  - modelname: smart\n    litellm_params: {model: openai/gpt-4o}\n"
                .to_owned(),
            "b.yaml:2:5: unknown key `modelname` in `model_list`; did you mean `model_name`?",
        ),
        (
            entry("litellm_params: {modell: openai/gpt-4o}"),
            "b.yaml:3:22: unknown key `modell` in `litellm_params`; did you mean `model`?",
        ),
        (
            entry("litellm_params: {model: openai/gpt-4o, num_retries: 3}"),
            "b.yaml:3:44: unknown key `num_retries` in `litellm_params`; it belongs in `router_settings`",
        ),
        (
            entry("litellm_params: {model: openai/gpt-4o}\n    model_info: {timeout: 3}"),
            "b.yaml:4:18: unknown key `timeout` in `model_info`; it belongs in `litellm_params` or `router_settings`",
        ),
        (
            entry("litellm_params: {model: openai/*}"),
            "b.yaml:3:29: `openai/*`: names with a `*` are not supported yet; write an entry for each model",
        ),
        (
            entry("litellm_params: {model: openai/gpt-4o, api_key: '${OPENAI_API_KEY}'}"),
            "b.yaml:3:53: `${OPENAI_API_KEY}` stands for itself here; the environment is read by \
             `os.environ/OPENAI_API_KEY`",
        ),
        (
            entry(
                "litellm_params: {model: openai/gpt-4o, api_base: 'http://host/v1/chat/completions'}",
            ),
            "b.yaml:3:54: `api_base` ends in `/chat/completions`, which is added to it; leave that out",
        ),
        (
            entry("litellm_params: {}"),
            "b.yaml:3:21: `model` is missing in `litellm_params`",
        ),
        (
            entry("litellm_params: {model: opnai/gpt-4o}"),
            "b.yaml:3:29: unknown provider `opnai` in `opnai/gpt-4o`; there are openai, anthropic, bedrock; \
             did you mean `openai/gpt-4o`?",
        ),
        (
            entry("litellm_params: {model: gemini/gemini-2.5-pro}"),
            "b.yaml:3:29: the provider `gemini` of `gemini/gemini-2.5-pro` is not supported yet; a server that speaks \
             OpenAI's format is reached as `openai/…` with `api_base`",
        ),
        (
            entry("litellm_params: {model: my-model}"),
            "b.yaml:3:29: the model `my-model` does not say which provider serves it; write one of openai/my-model, \
             anthropic/my-model, bedrock/my-model",
        ),
        (
            entry("litellm_params: {model: bedrock/invoke/amazon.nova-pro-v1:0}"),
            "b.yaml:3:29: `invoke` in `bedrock/invoke/amazon.nova-pro-v1:0` is not supported yet; models are called by \
             Converse: write `bedrock/amazon.nova-pro-v1:0`",
        ),
        (
            entry("litellm_params: {model: gemini-2.5-pro}"),
            "b.yaml:3:29: the provider `gemini` of `gemini-2.5-pro` is not supported yet; a server that speaks OpenAI's \
             format is reached as `openai/…` with `api_base`",
        ),
        (
            entry("litellm_params: {model: openai/gpt-4o}\n    model_info: {id: ''}"),
            "b.yaml:4:22: `id` is empty",
        ),
        (
            entry("litellm_params: {model: openai/gpt-4o, timeot: 3}"),
            "b.yaml:3:44: unknown key `timeot` in `litellm_params`; did you mean `timeout`?",
        ),
        (
            entry("litellm_params: {model: openai/gpt-4o, rpm: 3}"),
            "b.yaml:3:44: `rpm` in `litellm_params` is not supported yet; remove the key",
        ),
        (
            entry("litellm_params: {model: openai/gpt-4o, max_parallel_requests: 3}"),
            "b.yaml:3:44: `max_parallel_requests` is a LiteLLM key that is not supported yet; remove the key",
        ),
        (
            entry("litellm_params: {model: openai/gpt-4o, api_key: os.environ/NOT_SET}"),
            "b.yaml:3:53: the environment variable `NOT_SET` is not set; export it, or name another",
        ),
        (
            entry("litellm_params: {model: openai/gpt-4o, timeout: 0}"),
            "b.yaml:3:53: `timeout` must be more than 0 seconds",
        ),
        (
            entry("litellm_params: {model: openai/gpt-4o, timeout: -1}"),
            "b.yaml:3:53: `timeout` must be a number of seconds, 0 or more",
        ),
        (
            entry("litellm_params: {model: openai/gpt-4o, weight: 1.5}"),
            "b.yaml:3:52: `weight` must be a whole number of 0 or more",
        ),
        (
            entry("litellm_params: {model: openai/gpt-4o, api_base: localhost}"),
            "b.yaml:3:54: `api_base` must be a URL such as https://host/v1, without a query",
        ),
        (
            entry("litellm_params: {model: openai/gpt-4o, api_base: 'https://me:sk-1@host/v1'}"),
            "b.yaml:3:54: `api_base` must not hold a user or a password",
        ),
        (
            entry("litellm_params: {model: openai/gpt-4o, timeout: os.environ/OPENAI_API_KEY}"),
            "b.yaml:3:53: `timeout` must be a number of seconds, 0 or more",
        ),
        (
            entry("litellm_params: {model: openai/gpt-4o, timeout: '30'}"),
            "b.yaml:3:53: `timeout` must be a number of seconds, 0 or more",
        ),
        (
            entry("litellm_params: {model: openai/gpt-4o}\n    model_info: {mode: embedding}"),
            "b.yaml:4:24: `embedding` is not a value of `mode`, which takes chat",
        ),
        (
            entry("litellm_params: {model: openai/gpt-4o, api_key: 12345}"),
            "b.yaml:3:53: `api_key` must be text, but is a number; put it in quotes",
        ),
        (
            entry("litellm_params: {model: bedrock/m, aws_access_key_id: A}"),
            "b.yaml:3:21: `aws_access_key_id` and `aws_secret_access_key` go together; give both, or neither for \
             AWS's default chain",
        ),
    ] {
        assert_eq!(error(&text), expected, "{text}");
    }
}

#[test]
fn a_key_that_is_misspelt_is_not_merely_missing() {
    for (params, expected) in [
        (
            "{model: openai/gpt-4o, apikey: sk-1}",
            "b.yaml:1:73: unknown key `apikey` in `litellm_params`; did you mean `api_key`?",
        ),
        (
            "{model: anthropic/claude-sonnet-4-6, apikey: sk-1}",
            "b.yaml:1:87: unknown key `apikey` in `litellm_params`; did you mean `api_key`?",
        ),
        (
            "{model: bedrock/amazon.nova-pro-v1:0, aws_region: us-east-1}",
            "b.yaml:1:88: unknown key `aws_region` in `litellm_params`; did you mean `aws_region_name`?",
        ),
    ] {
        let text = format!("model_list: [{{model_name: smart, litellm_params: {params}}}]\n");
        let nothing = Environment::given([("HOME", "/root")]);
        let error = Config::parse("b.yaml", &text, &nothing).expect_err("it lacks a key");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_file_that_is_not_utf_8() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("b.yaml");
    std::fs::write(&file, b"model_list:\n  - model_name: \xc3\xbc \xff\n").expect("a file");
    let error = Config::load(&file).expect_err("it is not text");
    assert_eq!(
        error.to_string(),
        format!("{}:2:19: the configuration is not UTF-8", file.display())
    );
}

#[test]
fn two_deployments_with_one_id() {
    let text = "model_list:
  - model_name: a
    litellm_params: {model: openai/gpt-4o}
    model_info: {id: primary}
  - model_name: b
    litellm_params: {model: openai/gpt-4o}
    model_info: {id: primary}
";
    assert_eq!(
        error(text),
        "b.yaml:7:22: two deployments have the id `primary`; give this one another `model_info.id`"
    );
}

#[test]
fn a_key_file_that_cannot_be_read() {
    let text = "model_list:\n  - model_name: a\n    litellm_params: {model: openai/x, api_key: 'file:/nowhere/key'}\n";
    let error = error(text);
    assert!(
        error.starts_with("b.yaml:3:48: the file /nowhere/key cannot be read: "),
        "{error}"
    );
}

#[test]
fn in_the_router_settings() {
    let router = |rest: &str| format!("{MODELS}router_settings:\n  {rest}\n");
    for (rest, expected) in [
        (
            "num_retrys: 3",
            "b.yaml:7:3: unknown key `num_retrys` in `router_settings`; did you mean `num_retries`?",
        ),
        (
            "routing_strategy: least-bussy",
            "b.yaml:7:21: `least-bussy` is not a routing strategy; there are in_order, simple_shuffle and least_busy; \
             did you mean `least_busy`?",
        ),
        (
            "routing_strategy: latency-based-routing",
            "b.yaml:7:21: the routing strategy `latency-based-routing` is not supported yet; use in_order, \
             simple_shuffle or least_busy",
        ),
        (
            "fallbacks: [{smart: [bakup]}]",
            "b.yaml:7:24: `bakup` is no model name and no deployment of `model_list`; did you mean `backup`?",
        ),
        (
            "fallbacks: [{smrt: [backup]}]",
            "b.yaml:7:16: `smrt` is no model name and no deployment of `model_list`; did you mean `smart`?",
        ),
        (
            "fallbacks: [{smart: [backup]}, {backup: [smart]}]",
            "b.yaml:7:44: `fallbacks` go round in a circle: smart → backup → smart; take one of them out",
        ),
        (
            "fallbacks: [{smart: [backup]}, {anthropic/claude-sonnet-4-6: [smart]}]",
            "b.yaml:7:65: `fallbacks` go round in a circle: smart → backup → smart; take one of them out",
        ),
        (
            "fallbacks: [{smart: [smart]}]",
            "b.yaml:7:24: `fallbacks` go round in a circle: smart → smart; take one of them out",
        ),
        (
            "default_fallbacks: [nobody]",
            "b.yaml:7:23: `nobody` is no model name and no deployment of `model_list`",
        ),
        (
            "auth_error: ignore",
            "b.yaml:7:15: `ignore` is not a value of `auth_error`, which takes next, surface",
        ),
        (
            "retry_on: [5xx, timeouts]",
            "b.yaml:7:19: `timeouts` is not a value of `retry_on`, which takes 5xx, timeout, content_filter; did you \
             mean `timeout`?",
        ),
        (
            "deadline: 0",
            "b.yaml:7:13: `deadline` must be more than 0 seconds",
        ),
        (
            "deadline: soon",
            "b.yaml:7:13: `deadline` must be a number of seconds, 0 or more",
        ),
        (
            "mid_stream: {prompt: maybe}",
            "b.yaml:7:24: `maybe` is not a value of `prompt`, which takes verified, lenient, false",
        ),
        (
            "mid_stream: {prompt: true}",
            "b.yaml:7:24: `true` is not a value of `prompt`, which takes verified, lenient, false",
        ),
        (
            "mid_stream: {prefil: true}",
            "b.yaml:7:16: unknown key `prefil` in `mid_stream`; did you mean `prefill`?",
        ),
        (
            "mid_stream: {stream_deadline: 0}",
            "b.yaml:7:33: `stream_deadline` must be more than 0 seconds",
        ),
        (
            "mid_stream: {keep_alive: often}",
            "b.yaml:7:28: `keep_alive` must be a number of seconds, 0 or more",
        ),
        (
            "mid_stream: never",
            "b.yaml:7:15: `mid_stream` must be a mapping, but is text",
        ),
    ] {
        assert_eq!(error(&router(rest)), expected, "{rest}");
    }
}

#[test]
fn in_mid_stream_of_a_model() {
    let models = |other: &str| {
        format!(
            "model_list:
  - model_name: smart
    litellm_params: {{model: openai/gpt-4o, mid_stream: {{prompt: false}}}}
  - model_name: {other}
    litellm_params: {{model: anthropic/claude-sonnet-4-6, mid_stream: off}}
"
        )
    };
    assert_eq!(
        error(&models("smart")),
        "b.yaml:5:70: `mid_stream` holds for the whole model `smart`, and another of its deployments says \
         something else; say it once"
    );
    let other = Config::parse("b.yaml", &models("other"), &environment());
    other.expect("another model is another matter");
}

#[test]
fn in_sizes() {
    for (rest, expected) in [
        (
            "connection_buffer_kb: 7",
            "b.yaml:7:25: `connection_buffer_kb` must be a number of KiB from 8 to 65536",
        ),
        (
            "http2_window_kb: 65537",
            "b.yaml:7:20: `http2_window_kb` must be a number of KiB from 8 to 65536",
        ),
        (
            "max_request_size_mb: 0",
            "b.yaml:7:24: `max_request_size_mb` must be more than 0",
        ),
        (
            "http2_windw_kb: 64",
            "b.yaml:7:3: unknown key `http2_windw_kb` in `general_settings`; did you mean `http2_window_kb`?",
        ),
    ] {
        let text = format!("{MODELS}general_settings:\n  {rest}\n");
        assert_eq!(error(&text), expected, "{rest}");
    }
}

#[test]
fn without_any_provider() {
    let error = Config::from_environment(&Environment::given([("HOME", "/root")]))
        .expect_err("none is set");
    let text = error.to_string();
    for name in [
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "AWS_ACCESS_KEY_ID",
        "GEMINI_API_KEY is not supported yet",
        "--config",
        "backstop demo",
    ] {
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn a_secret_is_never_shown() {
    let environment = Environment::given([("KEY", "MARKED-secret")]);
    let text = "model_list:\n  - model_name: a\n    litellm_params: {model: openai/x, api_key: os.environ/KEY}\n";
    let config = Config::parse("b.yaml", text, &environment).expect("sound");
    assert!(!format!("{config:?} {environment:?} {:?}", config.chains()).contains("MARKED"));
}

#[test]
fn the_end_of_a_line_is_no_part_of_a_secret() {
    let environment = Environment::given([("KEY", "sk-one\n")]);
    let text = format!("{MODELS}general_settings: {{master_key: os.environ/KEY}}\n")
        .replace("anthropic/claude-sonnet-4-6", "openai/gpt-4o")
        .replace("openai/gpt-4o}", "openai/gpt-4o, api_key: os.environ/KEY}");
    let config = Config::parse("b.yaml", &text, &environment).expect("sound");
    let key = config.general.master_key.expect("a key");
    assert_eq!(secrecy::ExposeSecret::expose_secret(&key), "sk-one");
}

#[test]
fn a_key_for_a_model_that_there_is_not() {
    let key =
        |models: &str| format!("{MODELS}keys:\n  - {{id: web, key: sk-web, models: {models}}}\n");
    assert_eq!(
        error(&key("[smart, bakup]")),
        "b.yaml:7:44: there is no model called `bakup` that this key could use; did you mean `backup`?"
    );
    let auto = "capabilities: {auto: {default: smart}}\n";
    for sound in [
        key("[smart, backup]"),
        key("['later-*']"),
        key("[auto]") + auto,
    ] {
        Config::parse("b.yaml", &sound, &environment()).expect("each may be asked for");
    }
}
