//! Mistakes about where data may go, and what a sound configuration says of it.

use std::time::{Duration, SystemTime};

use backstop_config::{Config, Environment};

fn parse(text: &str) -> Result<Config, String> {
    let environment = Environment::given([
        ("OPENAI_API_KEY", "sk-one"),
        ("ANTHROPIC_API_KEY", "sk-two"),
        ("AWS_REGION", "eu-central-1"),
    ]);
    Config::parse("b.yaml", text, &environment).map_err(|error| error.to_string())
}

#[track_caller]
fn sound(text: &str) -> Config {
    parse(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

#[track_caller]
fn assert_error(text: &str, expected: &str) {
    match parse(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => assert_eq!(error, expected, "{text}"),
    }
}

/// A deployment of this model with this `model_info`.
fn model(model: &str, info: &str) -> String {
    format!(
        "model_list:
  - model_name: smart
    litellm_params: {{model: {model}}}
    model_info: {info}
"
    )
}

/// One deployment in Frankfurt, which has a BAA for long, and these rules.
fn rules(rules: &str) -> String {
    let bedrock = "bedrock/anthropic.claude-sonnet-4-6";
    let info = "{id: frankfurt, compliance: [{name: baa, until: 2999-12-31}]}";
    format!("{}residency:\n{rules}", model(bedrock, info))
}

#[test]
fn regions_that_there_are_not_are_named_with_what_was_meant() {
    for (info, expected) in [
        (
            "{region: eu-centrl-1}",
            "b.yaml:4:26: unknown region `eu-centrl-1`; did you mean `eu-central-1`?",
        ),
        (
            "{region: [de, us-est-1]}",
            "b.yaml:4:31: unknown region `us-est-1`; did you mean `us-east-1`?",
        ),
        (
            "{region: {storage: atlantis}}",
            "b.yaml:4:36: unknown region `atlantis`; name a cloud region, a country such as `de`, or one of eu, eea, us, \
             uk, ch, us-gov, global",
        ),
        (
            "{region: {procesing: eu}}",
            "b.yaml:4:27: unknown key `procesing` in `region`; did you mean `processing`?",
        ),
        (
            "{region: []}",
            "b.yaml:4:26: `region` is empty: nothing could satisfy it; remove the key, or name something",
        ),
        (
            "{region: {processing: eu, evidence: hearsay}}",
            "b.yaml:4:53: `hearsay` is not a value of `evidence`, which takes contract, endpoint, sku, profile",
        ),
    ] {
        assert_error(&model("openai/gpt-4o", info), expected);
    }
    let text = "model_list:
  - model_name: smart
    litellm_params: {model: bedrock/anthropic.claude-sonnet-4-6, aws_region_name: eu-nort-1}
";
    assert_error(
        text,
        "b.yaml:3:83: unknown region `eu-nort-1`; did you mean `eu-north-1`?",
    );
    for (list, expected) in [
        (
            "  rules: [{name: r, require: {processing: [eu, eu-west-l]}}]\n",
            "b.yaml:6:48: unknown region `eu-west-l`; did you mean `eu-west-1`?",
        ),
        (
            "  rules: [{name: r, match: {user_region: aea}}]\n",
            "b.yaml:6:42: unknown region `aea`; did you mean `eea`?",
        ),
        (
            "  rules: [{name: r, require: {storage: []}}]\n",
            "b.yaml:6:40: `storage` is empty: nothing could satisfy it; remove the key, or name something",
        ),
    ] {
        assert_error(&rules(list), expected);
    }
}

#[test]
fn a_claim_that_promises_more_than_is_derived_is_refused_with_the_reason() {
    for (name, info, expected) in [
        (
            "bedrock/eu.anthropic.claude-sonnet-4-6",
            "{region: eu}",
            "b.yaml:4:26: the deployment claims processing in eu, but the inference profile `eu.` may also use \
             eu-central-2, eu-west-2; claim all of it, or call the provider in another way",
        ),
        (
            "bedrock/global.anthropic.claude-sonnet-4-6",
            "{region: {processing: eu}}",
            "b.yaml:4:39: the deployment claims processing in eu, but the inference profile `global.` may use any region; \
             claim all of it, or call the provider in another way",
        ),
        (
            "bedrock/anthropic.claude-sonnet-4-6",
            "{region: {storage: eu-west-1}}",
            "b.yaml:4:36: the deployment claims storage in eu-west-1, but the source region may also use eu-central-1; \
             claim all of it, or call the provider in another way",
        ),
        (
            "anthropic/claude-sonnet-4-6",
            "{region: eu}",
            "b.yaml:4:26: the deployment claims processing in eu, but Anthropic's API without `inference_geo: us` may use \
             any region; claim all of it, or call the provider in another way",
        ),
        (
            "openai/gpt-4o",
            "{region: {members: [eu-central-1]}}",
            "b.yaml:4:36: `members` are the regions of an inference profile of Bedrock, and this is none; use `processing`",
        ),
    ] {
        assert_error(&model(name, info), expected);
    }
    // What the provider itself says of the profile may be less.
    let info = "{region: {members: [eu-central-1, eu-west-1], processing: eu}}";
    sound(&model("bedrock/eu.anthropic.claude-sonnet-4-6", info));
}

#[test]
fn an_endpoint_of_aws_is_in_the_region_that_the_deployment_is_called_in() {
    let at = |key: &str, endpoint: &str| {
        format!(
            "model_list:
  - model_name: smart
    litellm_params:
      model: bedrock/anthropic.claude-sonnet-4-6
      {key}: {endpoint}
"
        )
    };
    let elsewhere = |line: u32, column: u32| {
        format!(
            "b.yaml:{line}:{column}: the endpoint is in `us-east-1`, but the region is `eu-central-1`; requests are \
             signed for one region, and what is known of a deployment's place follows from it"
        )
    };
    for host in [
        "bedrock-runtime.us-east-1.amazonaws.com",
        "vpce-1a2b.bedrock-runtime.us-east-1.vpce.amazonaws.com",
        "Bedrock-Runtime.US-East-1.api.aws",
    ] {
        let url = format!("https://{host}");
        assert_error(&at("aws_bedrock_runtime_endpoint", &url), &elsewhere(5, 37));
        assert_error(&at("api_base", &url), &elsewhere(4, 7));
    }
    for host in [
        "bedrock-runtime.eu-central-1.amazonaws.com",
        "us-east-1.bedrock.internal",
        "127.0.0.1:8080",
    ] {
        sound(&at("api_base", &format!("https://{host}")));
    }
}

#[test]
fn a_rule_that_nobody_satisfies_is_a_mistake_unless_it_says_otherwise() {
    let text = "model_list:
  - {model_name: smart, litellm_params: {model: openai/gpt-4o}, model_info: {id: undeclared}}
  - {model_name: smart, litellm_params: {model: openai/gpt-4o}, model_info: {id: american, region: us}}
  - {model_name: smart, litellm_params: {model: bedrock/anthropic.claude-sonnet-4-6}, model_info: {id: frankfurt}}
residency:
  rules:
    - {name: anybody, match: none}
    - {name: eu-dpa, require: {processing: [eu], compliance: [dpa]}}
";
    let reasons = "undeclared: where it processes is not declared; american: it processes in us, not within eu; frankfurt: \
                   it has no valid mark `dpa`";
    assert_error(
        text,
        &format!(
            "b.yaml:8:14: no deployment satisfies the residency rule `eu-dpa` ({reasons}); say `allow_empty: true` if its \
             requests are all to be refused"
        ),
    );
    let config = sound(&text.replace("[dpa]}", "[dpa]}, allow_empty: true"));
    let views = config.policies();
    let names: Vec<_> = views.iter().map(|view| &*view.rule).collect();
    assert_eq!(names, ["anybody", "eu-dpa"]);
    assert!(views[1].deployments.iter().all(|(_, why)| why.is_some()));
    assert!(
        views[0].excludes.is_empty(),
        "a rule that nobody satisfies anyway is no contradiction"
    );
}

/// A day, in UTC.
fn day(after: u64) -> String {
    let then = backstop_core::wall::now() + Duration::from_secs(after * 24 * 60 * 60);
    let since = then
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970");
    let second = i64::try_from(since.as_secs()).expect("not so far");
    let at = jiff::Timestamp::from_second(second).expect("not so far");
    at.strftime("%Y-%m-%d").to_string()
}

#[test]
fn a_mark_that_has_ended_does_not_count_and_one_that_ends_soon_is_warned_of() {
    let with = |until: &str| {
        let info = format!("{{id: f, compliance: [dpa, {{name: baa, until: {until}}}]}}");
        model("bedrock/anthropic.claude-sonnet-4-6", &info)
    };
    let rule = "residency: {rules: [{name: health, match: {data_class: [phi]}, require: {compliance: [baa]}}]}\n";
    let expired = format!("{}{rule}", with("2020-01-31"));
    assert_error(
        &expired,
        "b.yaml:5:28: no deployment satisfies the residency rule `health` (f: it has no valid mark `baa`); say \
         `allow_empty: true` if its requests are all to be refused",
    );
    for (until, warning) in [
        ("2999-12-31".to_owned(), None),
        (day(40), None),
        (
            day(30),
            Some(format!(
                "the compliance mark of `f`: `baa` ends on {}, in 30 days",
                day(30)
            )),
        ),
        (
            day(0),
            Some("the compliance mark of `f`: `baa` ends today".to_owned()),
        ),
        (
            "2020-01-31".to_owned(),
            Some(
                "the compliance mark of `f`: `baa` ended on 2020-01-31 and does not count any more"
                    .to_owned(),
            ),
        ),
    ] {
        let config = sound(&with(&until));
        assert_eq!(config.warnings(), Vec::from_iter(warning), "{until}");
    }
    for (until, expected) in [
        (
            "soon",
            "b.yaml:4:62: `until`: `soon` is not a day such as 2027-03-01",
        ),
        (
            "2027-02-30",
            "b.yaml:4:62: `until`: `2027-02-30` is not a day such as 2027-03-01",
        ),
    ] {
        assert_error(&with(until), expected);
    }
}

#[test]
fn names_of_rules_are_unique_and_known() {
    for (list, expected) in [
        (
            "  rules: [{name: eu-only}, {name: us-only}, {name: eu-only}]\n",
            "b.yaml:6:52: two rules are named `eu-only`",
        ),
        (
            "  rules: [{match: none}]\n",
            "b.yaml:6:11: `name` is missing in `rules`",
        ),
        (
            "  rules: [{name: pass}]\n",
            "b.yaml:6:18: the name of a rule has 1 to 64 characters, no comma, and is not `pass`",
        ),
        (
            "  rules: [{name: 'eu, us'}]\n",
            "b.yaml:6:18: the name of a rule has 1 to 64 characters, no comma, and is not `pass`",
        ),
        (
            "  unlabelled: eu-onyl\n  rules: [{name: eu-only}]\n",
            "b.yaml:6:15: there is no residency rule `eu-onyl`; did you mean `eu-only`?",
        ),
        (
            "  rules: [{name: eu-only}]\nkeys: [{id: web, key: sk-1, residency: eu_only}]\n",
            "b.yaml:7:40: there is no residency rule `eu_only`; did you mean `eu-only`?",
        ),
        (
            "  rules: []\nkeys: [{id: web, key: sk-1, residency: eu-only}]\n",
            "b.yaml:7:40: there is no residency rule `eu-only`; rules are listed under `residency.rules`",
        ),
        (
            "  rules: [{name: r, matches: {key: [web]}}]\n",
            "b.yaml:6:21: unknown key `matches` in `rules`; did you mean `match`?",
        ),
        (
            "  rules: [{name: r, match: {keys: [web]}}]\n",
            "b.yaml:6:29: unknown key `keys` in `match`; did you mean `key`?",
        ),
        (
            "  rules: [{name: r, require: {proccessing: [eu]}}]\n",
            "b.yaml:6:31: unknown key `proccessing` in `require`; did you mean `processing`?",
        ),
        (
            "  rules: [{name: r, providers: {alow: [openai]}}]\n",
            "b.yaml:6:33: unknown key `alow` in `providers`; did you mean `allow`?",
        ),
        (
            "  unlabeled: pass\n",
            "b.yaml:6:3: unknown key `unlabeled` in `residency`; did you mean `unlabelled`?",
        ),
    ] {
        assert_error(&rules(list), expected);
    }
    assert_error(
        &model("openai/gpt-4o", "{residency: eu-only}"),
        "b.yaml:4:29: there is no residency rule `eu-only`; rules are listed under `residency.rules`",
    );
}

#[test]
fn a_rule_is_for_keys_and_models_that_there_are() {
    let keys = "keys: [{id: web, key: sk-1}, {id: batch-1, key: sk-2}]\n";
    for (matching, expected) in [
        (
            "{key: [web, bach-1]}",
            "b.yaml:6:40: there is no key called `bach-1` that this rule could match; did you mean `batch-1`?",
        ),
        (
            "{key: [master]}",
            "b.yaml:6:35: there is no key called `master` that this rule could match; of whoever shows the master key \
             nothing is known: `unlabelled` decides",
        ),
        (
            "{model: [smrat]}",
            "b.yaml:6:37: there is no model called `smrat` that this rule could match; did you mean `smart`?",
        ),
    ] {
        let list = format!("  rules: [{{name: r, match: {matching}}}]\n{keys}");
        assert_error(&rules(&list), expected);
    }
    // Patterns are for those to come, and teams, tags and classes are free.
    let free = "{key: ['batch-*', 'later-*'], model: ['sm*', auto], team: [care], tag: x, data_class: [secret]}";
    let list = format!(
        "  rules: [{{name: r, match: {free}}}]\n{keys}capabilities: {{auto: {{default: smart}}}}\n"
    );
    assert!(sound(&rules(&list)).has_residency_rules());
}

#[test]
fn keys_say_what_is_known_of_their_requests() {
    let text = "  rules: [{name: eu-only, match: none}]
keys:
  - {id: web, key: sk-1, team: growth, tags: [eu], data_class: [pii, Secret], residency: eu-only}
  - {id: bare, key: sk-2}
";
    let config = sound(&rules(text));
    let [web, bare] = config.keys() else {
        panic!("two keys");
    };
    let labels = backstop::region::Labels::new()
        .key("web")
        .team("growth")
        .tags(["eu"]);
    assert_eq!(web.labels, labels.classes(["pii", "secret"]));
    assert_eq!(bare.labels, backstop::region::Labels::new().key("bare"));

    let wrong = "  rules: []\nkeys: [{id: web, key: sk-1, data_class: 3}]\n";
    assert_error(
        &rules(wrong),
        "b.yaml:7:41: `data_class` must be a list of words, but is a number",
    );
    let bare = sound(&model("openai/gpt-4o", "{}"));
    assert!(!bare.has_residency_rules());
    assert!(bare.policies().is_empty());
}

#[test]
fn rules_that_leave_nobody_together_are_told_of_each_other() {
    let text = "model_list:
  - {model_name: smart, litellm_params: {model: openai/gpt-4o}, model_info: {id: us, region: us}}
  - {model_name: smart, litellm_params: {model: bedrock/anthropic.claude-sonnet-4-6}, model_info: {id: eu}}
residency:
  rules:
    - {name: eu-only, match: {data_class: [pii]}, require: {processing: [eu]}}
    - {name: us-health, match: {data_class: [phi]}, require: {processing: [us]}}
    - {name: either, require: {processing: [eu, us]}}
";
    let views = sound(text).policies();
    let excludes =
        |index: usize| -> Vec<_> { views[index].excludes.iter().map(|rule| &**rule).collect() };
    assert_eq!(
        [excludes(0), excludes(1), excludes(2)],
        [vec!["us-health"], vec!["eu-only"], vec![]]
    );
    assert_eq!(
        views[0].to_string(),
        "residency rule eu-only
  no   us  it processes in us, not within eu
  yes  eu
  where `us-health` holds too, no deployment is left"
    );
}
