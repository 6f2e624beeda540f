//! Our own format: a list of objects, prices in dollars per million tokens.

use serde_json::value::RawValue;

use super::File;
use super::json::{Member, Members, Mistake};
use super::parts::Parts;
use crate::{Capability, Facts, Price, Rates};

const KEYS: [&str; 14] = [
    "id",
    "context_window",
    "max_output_tokens",
    "input_usd_per_mtok",
    "output_usd_per_mtok",
    "cache_read_usd_per_mtok",
    "cache_write_usd_per_mtok",
    "cache_write_1h_usd_per_mtok",
    "tiers",
    "supports",
    "lacks",
    // Known, and of no consequence here.
    "audio_in_usd_per_mtok",
    "price_status",
    "deprecation_date",
];

const TIER_KEYS: [&str; 6] = [
    "above_input_tokens",
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_1h",
];

pub(super) fn read(whole: &RawValue) -> Result<File, Mistake> {
    let list: Vec<&RawValue> =
        serde_json::from_str(whole.get()).map_err(|_| Mistake::at(whole, "no list"))?;
    let mut file = File::default();
    let mut ids = std::collections::HashSet::new();
    for one in list {
        let members = Members::of(one, "a model")?;
        let (id, facts) = model(one, &members, &mut file)?;
        if !ids.insert(id.clone()) {
            return Err(Mistake::at(one, format!("`{id}` is listed twice")));
        }
        file.entries.push((id, facts));
    }
    Ok(file)
}

fn model(
    one: &RawValue,
    members: &Members<'_>,
    file: &mut File,
) -> Result<(String, Facts), Mistake> {
    check(members, &KEYS)?;
    let id = members.0.iter().find(|member| member.name == "id");
    let id = match id {
        Some(member) => {
            let id = member.string()?;
            let parts = id.split_once('/');
            if !parts.is_some_and(|(provider, model)| !provider.is_empty() && !model.is_empty()) {
                return Err(member.wrong("is not provider/model"));
            }
            id
        }
        None => return Err(Mistake::at(one, "a model without an `id`")),
    };
    let mut facts = Facts::new();
    let mut parts = Parts::default();
    let mut tiers = None;
    for member in members.0.iter().filter(|member| !member.is_null()) {
        match &*member.name {
            "context_window" => facts.window = Some(member.tokens()?),
            "max_output_tokens" => facts.max_output = Some(member.tokens()?),
            "tiers" => tiers = Some(member),
            "supports" => facts = support(facts, member, true)?,
            "lacks" => facts = support(facts, member, false)?,
            name => {
                if let Some(component) = name.strip_suffix("_usd_per_mtok") {
                    set(&mut parts, component, member, &id, file)?;
                }
            }
        }
    }
    // A price that is `null` on one side is unknown on both.
    let is_unknown = members.0.iter().any(|member| {
        member.is_null() && matches!(&*member.name, "input_usd_per_mtok" | "output_usd_per_mtok")
    });
    if !is_unknown {
        facts.price = price(one, &parts, tiers, &id, file)?;
    }
    Ok((id, facts))
}

fn price(
    one: &RawValue,
    parts: &Parts,
    tiers: Option<&Member<'_>>,
    id: &str,
    file: &mut File,
) -> Result<Option<Price>, Mistake> {
    let Some(base) = rates(parts, one)? else {
        return match tiers {
            Some(tiers) => Err(tiers.wrong("needs the prices below its first tier")),
            None => Ok(None),
        };
    };
    let mut price = Price::new(base);
    for one in tiers.map(Member::list).transpose()?.unwrap_or_default() {
        let (above, rates) = tier(one, id, file)?;
        price = price.with_tier(above, rates);
    }
    Ok(Some(price))
}

fn tier(one: &RawValue, id: &str, file: &mut File) -> Result<(u64, Rates), Mistake> {
    let members = Members::of(one, "a tier")?;
    check(&members, &TIER_KEYS)?;
    let mut above = None;
    let mut parts = Parts::default();
    for member in members.0.iter().filter(|member| !member.is_null()) {
        match &*member.name {
            "above_input_tokens" => above = Some(member.tokens()?),
            component => set(&mut parts, component, member, id, file)?,
        }
    }
    let above = above.ok_or_else(|| Mistake::at(one, "a tier without `above_input_tokens`"))?;
    let rates = rates(&parts, one)?;
    Ok((
        above,
        rates.ok_or_else(|| Mistake::at(one, "a tier without prices"))?,
    ))
}

fn set(
    parts: &mut Parts,
    component: &str,
    member: &Member<'_>,
    id: &str,
    file: &mut File,
) -> Result<(), Mistake> {
    let rate = member.usd_per_mtok(0, || file.round(&member.name, id))?;
    let part = match component {
        "input" => &mut parts.input,
        "output" => &mut parts.output,
        "cache_read" => &mut parts.cached,
        "cache_write" => &mut parts.cache_write,
        "cache_write_1h" => &mut parts.cache_write_1h,
        _ => return Ok(()),
    };
    *part = Some(rate);
    Ok(())
}

/// `None` if nothing is said of the price.
fn rates(parts: &Parts, one: &RawValue) -> Result<Option<Rates>, Mistake> {
    match parts.rates() {
        None if *parts != Parts::default() => {
            let message = "prices come together: one of prompt and answer is missing";
            Err(Mistake::at(one, message))
        }
        rates => Ok(rates),
    }
}

fn support(mut facts: Facts, member: &Member<'_>, able: bool) -> Result<Facts, Mistake> {
    for one in member.list()? {
        let name: String = serde_json::from_str(one.get())
            .map_err(|_| Mistake::at(one, "a capability is a string"))?;
        let Some(capability) = Capability::named(&name) else {
            let known = Capability::ALL.map(Capability::as_str);
            return Err(Mistake::at(one, unknown("capability", &name, &known)));
        };
        if facts.supports(capability) == Some(!able) {
            return Err(Mistake::at(
                one,
                format!("`{name}` is both supported and lacking"),
            ));
        }
        facts = facts.with_support(capability, able);
    }
    Ok(facts)
}

/// Each member once, and none that is not known.
fn check(members: &Members<'_>, known: &[&str]) -> Result<(), Mistake> {
    for (index, member) in members.0.iter().enumerate() {
        if !known.contains(&&*member.name) {
            return Err(Mistake::at(member.key, unknown("key", &member.name, known)));
        }
        if members.0[..index]
            .iter()
            .any(|other| other.name == member.name)
        {
            return Err(Mistake::at(
                member.key,
                format!("`{}` appears twice", member.name),
            ));
        }
    }
    Ok(())
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    match nearest {
        Some(nearest) => format!("unknown {what} `{name}`; did you mean `{nearest}`?"),
        None => format!("unknown {what} `{name}`"),
    }
}
