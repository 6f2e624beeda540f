//! An entry of `model_list`.

use super::LATER;
use crate::document::Node;
use crate::error::ConfigError;
use crate::facts::{Known, Said};
use crate::read::Section;
use crate::schema::DeploymentConfig;
use crate::source::Environment;
use crate::{mid_stream, residency};

pub(super) fn deployment(
    node: Node,
    environment: &Environment,
    earlier: &[DeploymentConfig],
    known: &Known,
) -> Result<DeploymentConfig, ConfigError> {
    let mut entry = Section::of(node, "model_list", environment)?;
    let (group, group_place) = entry.required_text("model_name")?;
    if group.is_empty() {
        return Err(ConfigError::at(group_place, "`model_name` is empty"));
    }
    let place = entry.place();
    let mut info = entry.section("model_info")?;
    let Some(mut params) = entry.section("litellm_params")? else {
        let error = ConfigError::at(place, "`litellm_params` is missing in `model_list`")
            .help("it holds `model`, `api_key` and the like");
        return Err(entry.missing("litellm_params", error));
    };
    entry.finish()?;

    let (name, name_place) = params.required_text("model")?;
    for (text, place) in [(&group, group_place), (&name, name_place)] {
        if text.contains('*') {
            let message = format!("`{text}`: names with a `*` are not supported yet");
            return Err(ConfigError::at(place, message).help("write an entry for each model"));
        }
    }
    params.refuse(&["rpm", "tpm"], LATER)?;
    let (prefix, model) = crate::provider::split(&name, name_place, known)?;
    let called = params.place_of("aws_region_name").unwrap_or(name_place);
    let provider = crate::provider::read(prefix, &mut params)?;
    let order = params.count("order")?;
    let weight = params.count("weight")?.unwrap_or(1);
    let timeout = params.positive_seconds("timeout")?;
    let stream_timeout = params.positive_seconds("stream_timeout")?;
    let collect_streams = params.flag("collect_streams")?.unwrap_or(false);
    let mid_stream = mid_stream::read(&mut params)?;
    let mut said = Said::default();
    said.prices(&mut params)?;
    params.finish()?;

    let (mut id, mut allowed_fails, mut cooldown_time) = (None, None, None);
    if let Some(info) = &mut info {
        id = info.text("id")?;
        if let Some((_, place)) = id.as_ref().filter(|(id, _)| id.is_empty()) {
            return Err(ConfigError::at(*place, "`id` is empty"));
        }
        info.choice("mode", &[("chat", ())])?;
        said.info(info)?;
        allowed_fails = info.count("allowed_fails")?;
        cooldown_time = info.seconds("cooldown_time")?;
    }
    let residency = residency::declared(&provider, &model, called, info.as_mut())?;
    info.map(Section::finish).transpose()?;

    let facts = said.over(known.find(provider.name(), &model))?;
    let taken = |id: &str| earlier.iter().any(|deployment| &*deployment.id == id);
    let id = match id {
        Some((id, place)) if taken(&id) => {
            let message = format!("two deployments have the id `{id}`");
            return Err(
                ConfigError::at(place, message).help("give this one another `model_info.id`")
            );
        }
        Some((id, _)) => id,
        None if !taken(&name) => name.clone(),
        None => (2..)
            .map(|n| format!("{name}-{n}"))
            .find(|id| !taken(id))
            .unwrap_or_default(),
    };
    Ok(DeploymentConfig {
        group: group.into(),
        id: id.into(),
        model: model.into(),
        facts: facts.into(),
        name: name.into(),
        provider,
        order,
        weight,
        timeout,
        stream_timeout,
        allowed_fails,
        cooldown_time,
        collect_streams,
        residency,
        mid_stream,
    })
}
