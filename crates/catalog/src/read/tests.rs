use backstop_core::NanoUsd;

use crate::{Capability, Catalog, Rates};

fn read(text: &str) -> Catalog {
    let mut catalog = Catalog::new();
    catalog.read("mine.json", text).expect("valid");
    catalog
}

fn wrong(text: &str) -> String {
    let mut catalog = Catalog::new();
    let error = catalog.read("mine.json", text).expect_err("invalid");
    assert!(catalog.is_empty());
    error.to_string()
}

fn usd(text: &str) -> NanoUsd {
    NanoUsd::from_usd_str(text).expect("an amount")
}

#[test]
fn litellms_format_as_it_is() {
    let catalog = read(
        r#"{
        "sample_spec": {"max_tokens": "LEGACY parameter", "mode": "one of: chat, embedding"},
        "gpt-x": {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 272000, "max_output_tokens": 128000.0,
            "max_tokens": 1, "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05,
            "cache_read_input_token_cost": 1.25e-07, "supports_vision": true, "supports_audio_input": false,
            "input_cost_per_token_flex": 1e-9, "supported_regions": ["global"],
            "input_cost_per_token_above_200k_tokens": 2.5e-06, "output_cost_per_token_above_200k_tokens": 1.5e-05,
            "input_cost_per_token_above_200k_tokens_priority": 9.0},
        "eu.anthropic.claude-x-v1:0": {"litellm_provider": "bedrock_converse", "mode": "chat",
            "input_cost_per_token": 3.3e-06, "output_cost_per_token": 1.65e-05,
            "cache_creation_input_token_cost": 4.125e-06, "cache_creation_input_token_cost_above_1hr": 6.6e-06,
            "max_tokens": 8192},
        "text-embedding": {"litellm_provider": "openai", "max_tokens": "any", "mode": "embedding", "input_cost_per_token": 1e-8},
        "free": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 0.0, "output_cost_per_token": 0, "max_output_tokens": 0},
        "odd": {"litellm_provider": "openai", "input_cost_per_token": 1.0000000000000001e-06, "output_cost_per_token": "2e-6"}
    }"#,
    );
    assert_eq!(catalog.len(), 4);

    let facts = catalog.find("openai", "gpt-x").expect("listed");
    assert_eq!(
        (facts.window(), facts.max_output()),
        (Some(272_000), Some(128_000))
    );
    assert_eq!(facts.supports(Capability::Vision), Some(true));
    assert_eq!(facts.supports(Capability::AudioIn), Some(false));
    assert_eq!(facts.supports(Capability::Tools), None);
    let price = facts.price().expect("known");
    assert_eq!(
        *price.rates(200_000),
        Rates::new(usd("1.25"), usd("10")).with_cached(usd("0.125"))
    );
    assert_eq!(*price.rates(200_001), Rates::new(usd("2.5"), usd("15")));

    let facts = catalog
        .find("bedrock", "eu.anthropic.claude-x-v1:0")
        .expect("listed");
    assert_eq!((facts.window(), facts.max_output()), (None, Some(8192)));
    let rates = facts.price().expect("known").rates(0);
    assert_eq!(
        (rates.cache_write(), rates.cache_write_1h()),
        (Some(usd("4.125")), Some(usd("6.6")))
    );

    assert!(
        catalog
            .find("openai", "free")
            .is_some_and(|facts| facts.price().is_none())
    );

    let odd = catalog.find("openai", "odd").expect("listed");
    assert_eq!(
        odd.price().map(|price| *price.rates(0)),
        Some(Rates::new(usd("1.000000001"), usd("2")))
    );
    assert_eq!(
        catalog.remarks(),
        [
            "mine.json: `input_cost_per_token` of `odd` is finer than a nano-dollar per million tokens: rounded up"
        ]
    );
}

#[test]
fn what_names_no_provider_is_told_of() {
    let catalog = read(
        r#"{"gpt-x": {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
            "openai/gpt-y": {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
            "rules": {"since": "2026-01-01"}}"#,
    );
    assert_eq!(catalog.len(), 1);
    let facts = catalog.find("openai", "gpt-y").expect("its key says whose");
    assert!(facts.price().is_some());
    assert_eq!(
        catalog.remarks(),
        ["mine.json: `gpt-x` names no `litellm_provider`: it is left out"]
    );
}

#[test]
fn prices_that_are_rounded_are_one_remark() {
    let fine = r#"{"litellm_provider": "p", "input_cost_per_token": 1.0000000000000001e-06}"#;
    let catalog = read(&format!(r#"{{"a": {fine}, "b": {fine}, "c": {fine}}}"#));
    assert_eq!(
        catalog.remarks(),
        [
            "mine.json: `input_cost_per_token` of `a` and 2 more prices are finer than a nano-dollar per million \
             tokens: rounded up"
        ]
    );
}

#[test]
fn a_key_with_its_provider_wins() {
    let catalog = read(
        r#"{"gemini/x": {"litellm_provider": "gemini", "max_input_tokens": 2},
            "x": {"litellm_provider": "gemini", "max_input_tokens": 1}}"#,
    );
    assert_eq!(
        catalog.find("gemini", "x").and_then(|facts| facts.window()),
        Some(2)
    );
}

#[test]
fn a_file_goes_over_what_is_there() {
    let mut catalog = read(
        r#"[{"id": "p/m", "context_window": 8, "input_usd_per_mtok": 1, "output_usd_per_mtok": 2,
             "cache_read_usd_per_mtok": 0.1, "supports": ["tools", "vision"]}]"#,
    );
    catalog
        .read("b", r#"[{"id": "p/m", "input_usd_per_mtok": 0, "output_usd_per_mtok": 0, "lacks": ["vision"]}]"#)
        .expect("valid");
    let facts = catalog.find("p", "m").expect("listed");
    assert_eq!(facts.window(), Some(8));
    assert_eq!(
        facts.price().map(|price| *price.rates(0)),
        Some(Rates::new(NanoUsd::ZERO, NanoUsd::ZERO))
    );
    assert_eq!(facts.supports(Capability::Tools), Some(true));
    assert_eq!(facts.supports(Capability::Vision), Some(false));
}

#[test]
fn mistakes_have_a_place_and_the_nearest_key() {
    for (text, error) in [
        ("[\n  {\"id\": }", "mine.json:2:10: expected value"),
        (
            "3",
            "mine.json:1:1: neither a list of models nor an object of them",
        ),
        ("[3]", "mine.json:1:2: a model is no object"),
        ("[{}]", "mine.json:1:2: a model without an `id`"),
        (
            "[{\"id\": \"gpt-4o\"}]",
            "mine.json:1:9: `id` is not provider/model",
        ),
        (
            "[\n {\"id\": \"p/m\",\n  \"context_windw\": 1}]",
            "mine.json:3:3: unknown key `context_windw`; did you mean `context_window`?",
        ),
        (
            "[{\"id\": \"p/m\", \"supports\": [\"visoin\"]}]",
            "mine.json:1:29: unknown capability `visoin`; did you mean `vision`?",
        ),
        (
            "[{\"id\": \"p/m\", \"context_window\": -1}]",
            "mine.json:1:34: `context_window` is negative",
        ),
        (
            "[{\"id\": \"p/m\", \"context_window\": 0}]",
            "mine.json:1:34: `context_window` is zero; leave it out if it is not known",
        ),
        (
            "[{\"id\": \"p/m\", \"input_usd_per_mtok\": -1, \"output_usd_per_mtok\": 1}]",
            "mine.json:1:38: `input_usd_per_mtok` is negative",
        ),
        (
            "[{\"id\": \"p/m\", \"input_usd_per_mtok\": 1}]",
            "mine.json:1:2: prices come together: one of prompt and answer is missing",
        ),
        (
            "[{\"id\": \"p/m\", \"id\": \"p/m\"}]",
            "mine.json:1:16: `id` appears twice",
        ),
        (
            "[{\"id\": \"p/m\"}, {\"id\": \"p/m\"}]",
            "mine.json:1:17: `p/m` is listed twice",
        ),
        (
            "[{\"id\": \"p/m\", \"supports\": [\"tools\"], \"lacks\": [\"tools\"]}]",
            "mine.json:1:49: `tools` is both supported and lacking",
        ),
        (
            "{\"m\": {\"litellm_provider\": \"p\", \"input_cost_per_token\": \"cheap\"}}",
            "mine.json:1:57: `input_cost_per_token` is not a number",
        ),
        ("{\"m\": 1}", "mine.json:1:7: `m` is no object"),
    ] {
        assert_eq!(wrong(text), error, "{text}");
    }
}
