//! The page on money is true to the code: its configuration, the names of its budgets, and what it says of rates.

use std::fs;

use backstop_config::{Config, Environment};

const MODELS: &str = "
model_list:
  - model_name: smart
    litellm_params: {model: openai/gpt-4o, api_key: sk-one}
";

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/money.md");
    fs::read_to_string(path).expect("docs/money.md")
}

fn parse(settings: &str) -> Config {
    let environment = Environment::given([("WEB_KEY", "sk-web")]);
    let text = format!("{settings}{MODELS}");
    Config::parse("money.md", &text, &environment).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The rows of a table whose first cell is code.
fn rows(page: &str) -> Vec<(&str, &str)> {
    let rows = page.lines().filter_map(|line| {
        let (first, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((first, rest.strip_suffix(" |")?))
    });
    rows.collect()
}

#[test]
fn its_configuration_is_one() {
    let page = page();
    let (_, rest) = page.split_once("```yaml\n").expect("a configuration");
    let (yaml, _) = rest.split_once("```").expect("its end");
    let (yaml, catalog) = yaml.split_once("catalog: ").expect("the last line");
    assert_eq!(catalog, "{file: ./prices.json}\n");
    let config = parse(yaml);
    assert_eq!(config.budgets().len(), 4);
    assert_eq!(config.keys().len(), 1);
    assert_eq!(config.store().as_deref(), Some("./backstop.db"));
}

#[test]
fn budgets_have_the_names_that_it_says() {
    let page = page();
    let budgets: Vec<_> = rows(&page)
        .into_iter()
        .filter(|(budget, _)| budget.starts_with("{scope"))
        .collect();
    assert_eq!(budgets.len(), 5, "the table was found: {budgets:?}");
    for (budget, name) in budgets {
        // Whoever has a budget has to be there.
        let keys = "keys: [{id: web, key: sk-web}]";
        let config = parse(&format!("{keys}\nbudgets: [{budget}]\n"));
        assert_eq!(format!("`{}`", config.budgets()[0].name), name);
    }
}

#[test]
fn every_store_is_one() {
    let page = page();
    let budgets = "budgets: [{scope: global, limit_usd: 1, window: total}]";
    let stores: Vec<_> = rows(&page)
        .into_iter()
        .map(|(store, _)| store)
        .filter(|store| {
            store.starts_with("{sqlite") || store.starts_with("{redis") || *store == "memory"
        })
        .collect();
    assert_eq!(stores.len(), 3, "the table was found: {stores:?}");
    for store in stores {
        let shown = parse(&format!("{budgets}\nstore: {store}\n")).store();
        assert!(shown.is_some(), "{store}");
    }
}

#[test]
fn what_an_entry_may_say_is_what_it_lists() {
    let page = page();
    for key in [
        "input_cost_per_token",
        "output_cost_per_token",
        "cache_read_input_token_cost",
        "cache_creation_input_token_cost",
        "cache_creation_input_token_cost_above_1hr",
    ] {
        assert!(page.contains(&format!("`{key}`")), "{key}");
    }
    let entry = "model_list:
  - model_name: smart
    litellm_params: {model: openai/gpt-4o, api_key: sk-one}
    model_info:
      max_input_tokens: 1000
      max_output_tokens: 100
      supports_vision: false
      input_cost_per_token: 0.000001
      output_cost_per_token: 0.000002
      cache_read_input_token_cost: 0.0000003
      cache_creation_input_token_cost: 0.000004
      cache_creation_input_token_cost_above_1hr: 0.000005
";
    let config = Config::parse("money.md", entry, &Environment::given([("", "")])).expect("valid");
    let chains = config.chains();
    let rates = chains[0].steps[0].price.expect("a price");
    let dollars = |rate: Option<backstop::core::NanoUsd>| rate.map(|rate| rate.to_string());
    assert_eq!(rates.input().to_string(), "1");
    assert_eq!(rates.output().to_string(), "2");
    assert_eq!(dollars(rates.cached()).as_deref(), Some("0.3"));
    assert_eq!(dollars(rates.cache_write()).as_deref(), Some("4"));
    assert_eq!(dollars(rates.cache_write_1h()).as_deref(), Some("5"));
}
