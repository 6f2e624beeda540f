//! The page on residency is true to the code: its table, and the configurations that it shows.

use std::fs;

use backstop::region::{Derivation, Regions, UnknownRegion};
use backstop_config::{Config, Environment};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/residency.md");
    fs::read_to_string(path).expect("docs/residency.md")
}

/// The rows of the table: how a deployment is called, where it processes, where it stores, whether that is in the EU.
fn rows(page: &str) -> Vec<(&str, [&str; 3])> {
    let rows = page.lines().filter_map(|line| {
        let (called, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let cells: Vec<_> = rest.strip_suffix(" |")?.split(" | ").collect();
        Some((called, cells.try_into().ok()?))
    });
    rows.collect()
}

fn derived(called: &str) -> Result<Derivation, UnknownRegion> {
    Ok(match *called.split(' ').collect::<Vec<_>>() {
        ["bedrock", region, model] => Derivation::bedrock(region, model)?,
        ["azure", sku, region] => Derivation::azure(sku, region)?,
        ["vertex", location] => Derivation::vertex(location)?,
        ["gemini"] => Derivation::gemini(),
        ["openai", host] => Derivation::openai(host),
        ["anthropic"] => Derivation::anthropic(None),
        ["anthropic", geo] => Derivation::anthropic(Some(geo)),
        ["self-hosted", model] => Derivation::self_hosted(model),
        _ => panic!("`{called}` is no way to call a deployment"),
    })
}

fn place(cell: &str) -> Option<Regions> {
    match cell {
        "unknown" => None,
        "anywhere" => Some(Regions::global()),
        names => Some(Regions::of(names.split(", ")).expect("names of regions")),
    }
}

#[test]
fn where_a_deployment_is() {
    let eu = Regions::of(["eu"]).expect("a name of the vocabulary");
    let page = page();
    let rows = rows(&page);
    for (called, [processing, storage, within]) in &rows {
        let derived = derived(called).expect("a region of that cloud");
        assert_eq!(derived.processing(), place(processing), "{called}");
        assert_eq!(derived.storage(), place(storage), "{called}");
        let is_within = |place: Option<Regions>| place.is_some_and(|place| place.is_within(&eu));
        let expected = if is_within(derived.processing()) && is_within(derived.storage()) {
            "yes"
        } else {
            "no"
        };
        assert_eq!(*within, expected, "{called}");
    }
    for profile in ["us", "eu", "apac", "jp", "au", "in", "us-gov", "global"] {
        let names = |called: &str| {
            let model = called.strip_prefix("bedrock ")?.split_once(' ')?.1;
            Some(model.split_once('.')?.0 == profile)
        };
        assert!(
            rows.iter().any(|(called, _)| names(called) == Some(true)),
            "the table has no row for the profile `{profile}.`"
        );
    }
}

#[test]
fn the_configurations_are_sound() {
    let page = page();
    let blocks: Vec<_> = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .map(|(block, _)| block)
        .collect();
    assert_eq!(blocks.len(), 2, "one declares places, the other has rules");
    // Rules need deployments that satisfy them, so the blocks are one file.
    let text = blocks.concat();
    let keys = ["AZURE_KEY", "OPENAI_API_KEY", "WEB_KEY"].map(|name| (name, "key"));
    let environment = Environment::given(keys);
    let config = Config::parse("docs/residency.md", &text, &environment).expect("sound");

    let satisfying = |rule: &str| -> Vec<String> {
        let views = config.policies();
        let view = views.iter().find(|view| *view.rule == *rule);
        let deployments = &view.expect("the rule is on the page").deployments;
        let kept = deployments.iter().filter(|(_, why)| why.is_none());
        kept.map(|(id, _)| id.to_string()).collect()
    };
    assert_eq!(
        satisfying("eu-only"),
        ["frankfurt", "ireland", "azure", "own"]
    );
    assert_eq!(satisfying("eu-pii"), ["azure", "own"]);
    assert_eq!(satisfying("zero-retention"), ["frankfurt", "own"]);
    assert!(config.warnings().is_empty(), "{:?}", config.warnings());
}
