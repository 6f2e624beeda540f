//! What each call has to cost, worked out once more from the tokens that the record tells, and held against every place
//! that tells a cost.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Deployment, Gateway, deployment, get};

/// In femto-dollars a token, finer than a nano-dollar, so that each component has to be rounded up.
#[derive(Clone, Copy, Debug)]
struct Rates {
    input: u64,
    output: u64,
    cached: u64,
    /// What OpenAI writes to its cache costs nothing of its own.
    written: Option<[u64; 2]>,
}

fn rates(provider: &str) -> Rates {
    match provider {
        "openai" => Rates {
            input: 2_500_333_333,
            output: 10_000_777_777,
            cached: 1_250_111_111,
            written: None,
        },
        "anthropic" => Rates {
            input: 3_000_123_457,
            output: 15_000_987_653,
            cached: 300_010_101,
            written: Some([3_750_030_303, 6_000_070_707]),
        },
        "bedrock" => Rates {
            input: 3_300_123_457,
            output: 16_500_987_653,
            cached: 330_010_101,
            written: Some([4_125_030_303, 6_600_070_707]),
        },
        other => panic!("{other} has no price here"),
    }
}

/// A deployment of `provider/model` at those rates.
pub(crate) fn priced(group: &str, model: &str) -> Deployment {
    let (provider, _) = model.split_once('/').expect("provider/model");
    let rates = rates(provider);
    let dollars = |femto: u64| format!("0.{femto:015}");
    let deployment = deployment(group, model)
        .info(&format!("input_cost_per_token: {}", dollars(rates.input)))
        .info(&format!("output_cost_per_token: {}", dollars(rates.output)))
        .info(&format!(
            "cache_read_input_token_cost: {}",
            dollars(rates.cached)
        ));
    let Some([short, hour]) = rates.written else {
        return deployment;
    };
    deployment
        .info(&format!(
            "cache_creation_input_token_cost: {}",
            dollars(short)
        ))
        .info(&format!(
            "cache_creation_input_token_cost_above_1hr: {}",
            dollars(hour)
        ))
}

fn nano(tokens: u64, femto: u64) -> u64 {
    (tokens * femto).div_ceil(1_000_000)
}

impl Rates {
    fn of(self, usage: &Value) -> u64 {
        let count = |name: &str| usage[name].as_u64().expect("a number");
        let (cached, written, hour) = (
            count("cached"),
            count("cache_write"),
            count("cache_write_1h"),
        );
        let [short_rate, hour_rate] = self.written.unwrap_or_default();
        nano(count("input") - cached - written, self.input)
            + nano(cached, self.cached)
            + nano(written - hour, short_rate)
            + nano(hour, hour_rate)
            + nano(count("output"), self.output)
    }

    /// What is held for a call of which so much is the most.
    fn most(self, usage: &Value) -> u64 {
        let count = |name: &str| usage[name].as_u64().expect("a number");
        let dearest = self.written.map_or(self.input, |[_, hour]| hour);
        // Any of four components of the prompt may have to be rounded up.
        nano(count("input"), dearest) + 3 + nano(count("output"), self.output)
    }
}

/// Budgets that have room for everything, and never begin anew.
pub(crate) const ROOM: &str = "
budgets:
  - {scope: global, limit_usd: 1000, window: total}
  - {scope: provider, limit_usd: 500, window: total}
store: memory
";

/// All that a gateway has spent.
#[derive(Debug)]
pub(crate) struct Books<'a> {
    gateway: &'a Gateway,
    spent: BTreeMap<String, u64>,
}

impl<'a> Books<'a> {
    pub(crate) fn of(gateway: &'a Gateway) -> Self {
        Self {
            gateway,
            spent: BTreeMap::new(),
        }
    }

    /// Asserts that the request costs what its calls took, by their record and by the ledger. What it costs, if
    /// anything is known of that; `sources` says by whom the tokens of each call were counted.
    pub(crate) async fn enter(
        &mut self,
        record: &Value,
        sources: &[Option<&str>],
    ) -> Option<String> {
        let rows = record["attempts"].as_array().expect("a list");
        let found: Vec<_> = rows
            .iter()
            .map(|row| row["usage"]["source"].as_str())
            .collect();
        assert_eq!(found, sources, "{record:#}");
        let mut sum = None;
        for row in rows.iter().filter(|row| !row["usage"].is_null()) {
            let provider = row["provider"].as_str().expect("a provider");
            let rates = rates(provider);
            // Nobody knows of such a call, or of the end of such an answer, what it took: the most that it may have.
            let is_held = row["result"] != "ok"
                && row["usage"]["source"] == "estimate"
                && (row["ttft_ms"].is_null() || provider == "bedrock");
            let cost = if is_held {
                rates.most(&row["usage"])
            } else {
                rates.of(&row["usage"])
            };
            assert_eq!(row["cost_nano_usd"], cost, "{row:#}");
            *sum.get_or_insert(0) += cost;
            *self.spent.entry(provider.to_owned()).or_default() += cost;
        }
        for row in rows.iter().filter(|row| row["usage"].is_null()) {
            assert!(row["cost_nano_usd"].is_null(), "{row:#}");
        }
        assert_total(record);
        let usd = sum.map(dollars);
        assert_eq!(record["cost_nano_usd"].as_u64(), sum, "{record:#}");
        assert_eq!(record["cost_usd"].as_str(), usd.as_deref(), "{record:#}");
        self.assert_ledger().await;
        usd
    }

    async fn assert_ledger(&self) {
        let accounts = self.gateway.send(get("/budgets")).await.json();
        let all: u64 = self.spent.values().sum();
        let mut told = BTreeMap::new();
        for account in accounts["data"].as_array().expect("a list") {
            let spent = account["spent"].as_u64().expect("a number");
            assert_eq!(account["reserved"], 0, "{accounts:#}");
            assert_eq!(account["usd"]["spent"], *dollars(spent), "{accounts:#}");
            let limit = account["limit"].as_u64().expect("a number");
            assert_eq!(account["remaining"], limit - spent, "{accounts:#}");
            if account["scope"] == "global" {
                assert_eq!(spent, all, "{accounts:#}");
            } else {
                let id = account["id"].as_str().expect("an id").to_owned();
                told.insert(id, spent);
            }
        }
        told.retain(|_, spent| *spent > 0);
        assert_eq!(told, self.spent, "{accounts:#}");
    }
}

/// The tokens of a request are those of its calls, as sure as the least sure of them.
fn assert_total(record: &Value) {
    let rows = record["attempts"].as_array().expect("a list");
    let usages: Vec<_> = rows
        .iter()
        .map(|row| &row["usage"])
        .filter(|usage| !usage.is_null())
        .collect();
    if usages.is_empty() {
        assert!(record["usage"].is_null(), "{record:#}");
        return;
    }
    for name in [
        "input",
        "output",
        "cached",
        "cache_write",
        "cache_write_1h",
        "reasoning",
    ] {
        let sum: u64 = usages.iter().filter_map(|usage| usage[name].as_u64()).sum();
        assert_eq!(record["usage"][name], sum, "{name} in {record:#}");
    }
    let has = |source: &str| usages.iter().any(|usage| usage["source"] == source);
    let least_sure = ["estimate", "partial", "provider"]
        .into_iter()
        .find(|source| has(source));
    assert_eq!(record["usage"]["source"].as_str(), least_sure, "{record:#}");
}

/// As records write dollars: exactly, and nothing behind the last digit that counts.
pub(crate) fn dollars(nano: u64) -> String {
    let text = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
