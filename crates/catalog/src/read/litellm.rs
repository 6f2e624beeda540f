//! LiteLLM's `model_prices_and_context_window.json`, as it is: an object by model, prices in dollars per token.

use std::collections::{BTreeMap, HashMap};

use backstop_core::NanoUsd;
use serde_json::value::RawValue;

use super::File;
use super::json::{Members, Mistake};
use super::parts::Parts;
use crate::{Capability, Facts, Price, names};

pub(super) fn read(whole: &RawValue) -> Result<File, Mistake> {
    let mut file = File::default();
    // Where two keys give one id, the one that names its provider wins.
    let mut places: HashMap<String, (usize, bool)> = HashMap::new();
    for entry in Members::of(whole, "the file")?.0 {
        // An entry that explains the format.
        if entry.name == "sample_spec" {
            continue;
        }
        let members = Members::of(entry.value, &format!("`{}`", entry.name))?;
        let Some((id, facts)) = model(&entry.name, &members, &mut file)? else {
            continue;
        };
        let prefixed = *id == *entry.name;
        match places.get(&id) {
            Some((_, true)) if !prefixed => {}
            Some((place, _)) => file.entries[*place].1 = facts,
            None => {
                places.insert(id.clone(), (file.entries.len(), prefixed));
                file.entries.push((id, facts));
            }
        }
    }
    Ok(file)
}

/// `None` for what is no language model, or names no provider.
fn model(
    key: &str,
    members: &Members<'_>,
    file: &mut File,
) -> Result<Option<(String, Facts)>, Mistake> {
    let mode = members.0.iter().find(|member| member.name == "mode");
    if let Some(mode) = mode.filter(|mode| !mode.is_null())
        && !matches!(&*mode.string()?, "chat" | "completion" | "responses")
    {
        return Ok(None);
    }
    let mut facts = Facts::new();
    let mut provider = None;
    let mut max_tokens = None;
    // The tier above no tokens is the base.
    let mut tiers: BTreeMap<u64, Parts> = BTreeMap::new();
    for member in members.0.iter().filter(|member| !member.is_null()) {
        match &*member.name {
            "litellm_provider" => provider = Some(member.string()?),
            "max_input_tokens" => facts.window = member.tokens_or_none()?,
            "max_output_tokens" => facts.max_output = member.tokens_or_none()?,
            "max_tokens" => max_tokens = member.tokens_or_none()?,
            name => {
                if let Some(capability) = capability(name) {
                    facts = facts.with_support(capability, member.flag()?);
                } else if let Some((part, above)) = component(name) {
                    let rate = member.usd_per_mtok(6, || file.round(name, key))?;
                    if rate > NanoUsd::ZERO {
                        *part(tiers.entry(above).or_default()) = Some(rate);
                    }
                }
            }
        }
    }
    // An older name of the bound on the answer.
    facts.max_output = facts.max_output.or(max_tokens);
    facts.price = price(&tiers);
    // It may be a part of the key alone.
    let in_key = || Some(key.split_once('/')?.0);
    let Some(provider) = provider.as_deref().map(names::provider).or_else(in_key) else {
        if facts != Facts::new() {
            let remark = format!("`{key}` names no `litellm_provider`: it is left out");
            file.remarks.push(remark);
        }
        return Ok(None);
    };
    let id = if key
        .strip_prefix(provider)
        .is_some_and(|rest| rest.starts_with('/'))
    {
        key.to_owned()
    } else {
        format!("{provider}/{key}")
    };
    Ok(Some((id, facts)))
}

fn price(tiers: &BTreeMap<u64, Parts>) -> Option<Price> {
    let base = tiers.get(&0)?.rates()?;
    let mut price = Price::new(base);
    for (above, parts) in tiers.range(1..) {
        // One side that a tier does not name stays as it is below.
        let parts = Parts {
            input: parts.input.or(Some(base.input())),
            output: parts.output.or(Some(base.output())),
            ..*parts
        };
        price = price.with_tier(*above, parts.rates()?);
    }
    Some(price)
}

type Part = fn(&mut Parts) -> &mut Option<NanoUsd>;

/// Which price a key names, and above how many prompt tokens it holds.
fn component(key: &str) -> Option<(Part, u64)> {
    const KEYS: [(&str, Part); 5] = [
        ("input_cost_per_token", |parts| &mut parts.input),
        ("output_cost_per_token", |parts| &mut parts.output),
        ("cache_read_input_token_cost", |parts| &mut parts.cached),
        // Before the shorter name, which it begins with.
        ("cache_creation_input_token_cost_above_1hr", |parts| {
            &mut parts.cache_write_1h
        }),
        ("cache_creation_input_token_cost", |parts| {
            &mut parts.cache_write
        }),
    ];
    KEYS.iter().find_map(|(name, part)| {
        let rest = key.strip_prefix(name)?;
        if rest.is_empty() {
            return Some((*part, 0));
        }
        let thousands: u64 = rest
            .strip_prefix("_above_")?
            .strip_suffix("k_tokens")?
            .parse()
            .ok()?;
        Some((*part, thousands.checked_mul(1000)?))
    })
}

fn capability(key: &str) -> Option<Capability> {
    Some(match key.strip_prefix("supports_")? {
        "function_calling" => Capability::Tools,
        "tool_choice" => Capability::ToolChoice,
        "forced_tool_use" => Capability::ForcedTools,
        "parallel_function_calling" => Capability::ParallelTools,
        "vision" => Capability::Vision,
        "response_schema" => Capability::JsonSchema,
        "reasoning" => Capability::Reasoning,
        "audio_input" => Capability::AudioIn,
        "audio_output" => Capability::AudioOut,
        "video_input" => Capability::VideoIn,
        "pdf_input" => Capability::Pdf,
        "system_messages" => Capability::System,
        "prompt_caching" => Capability::PromptCaching,
        "assistant_prefill" => Capability::Prefill,
        "web_search" => Capability::WebSearch,
        "computer_use" => Capability::ComputerUse,
        "sampling_params" => Capability::SamplingParams,
        _ => return None,
    })
}
