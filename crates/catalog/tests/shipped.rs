//! The table that comes with the crate.

use backstop_catalog::{Capability, Catalog};
use backstop_core::NanoUsd;

#[test]
fn it_is_whole_and_exact() {
    let catalog = Catalog::shipped();
    assert_eq!(catalog.len(), 745);
    assert!(catalog.remarks().is_empty(), "{:?}", catalog.remarks());

    let facts = catalog
        .find("anthropic", "claude-haiku-4-5-20251001")
        .expect("listed");
    assert_eq!(
        (facts.window(), facts.max_output()),
        (Some(200_000), Some(64_000))
    );
    assert_eq!(facts.supports(Capability::Prefill), Some(true));
    let rates = facts.price().expect("known").rates(0);
    assert_eq!(
        rates.cache_write().map(NanoUsd::as_nano),
        Some(1_250_000_000)
    );

    let long = catalog.find("gemini", "gemini-2.5-pro").expect("listed");
    let price = long.price().expect("known");
    assert_eq!(price.rates(200_000).output().to_string(), "10");
    assert_eq!(price.rates(200_001).output().to_string(), "15");
    assert!(long.output_apart());
}

#[test]
fn the_names_of_bedrock_are_understood() {
    let catalog = Catalog::shipped();
    let find = |model| catalog.find("bedrock", model);
    let rate = |model| {
        find(model)?
            .price()
            .map(|price| price.rates(0).input().to_string())
    };
    assert_eq!(rate("anthropic.claude-sonnet-4-6").as_deref(), Some("3"));
    assert_eq!(
        rate("eu.anthropic.claude-sonnet-4-6").as_deref(),
        Some("3.3")
    );
    assert_eq!(
        rate("anthropic.claude-sonnet-4-6-v1:0").as_deref(),
        Some("3")
    );

    let unlisted = find("ca.anthropic.claude-sonnet-4-6").expect("its model is known");
    assert_eq!(unlisted.window(), Some(1_000_000));
    assert_eq!(unlisted.price(), None, "a region may cost more");
    assert!(find("arn:aws:bedrock:us-east-1:1:inference-profile/x").is_none());
}

#[test]
fn a_bare_name_has_its_providers() {
    assert_eq!(Catalog::shipped().providers("gpt-4o"), ["azure", "openai"]);
}
