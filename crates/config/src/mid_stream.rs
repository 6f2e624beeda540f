//! What a configuration says about streams that break: `mid_stream`, for all models or for one.

use std::time::Duration;

use backstop::resume::ResumeOptions;

use crate::document::Value;
use crate::error::{ConfigError, Place};
use crate::read::Section;
use crate::schema::{Config, DeploymentConfig};

/// The keys that were given; each replaces the one that is said for all models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MidStream {
    prefill: Option<bool>,
    replay: Option<bool>,
    /// Whether it is done at all, and whether without a verified seam too.
    prompt: Option<(bool, bool)>,
    max_resumes: Option<u32>,
    deadline: Option<Duration>,
    stream_deadline: Option<Duration>,
    keep_alive: Option<Duration>,
    hold_tool_calls: Option<bool>,
}

impl MidStream {
    /// Never.
    const OFF: Self = Self {
        prefill: None,
        replay: None,
        prompt: None,
        max_resumes: Some(0),
        deadline: None,
        stream_deadline: None,
        keep_alive: None,
        hold_tool_calls: Some(false),
    };

    /// These keys over what holds without them.
    pub(crate) fn over(self, mut options: ResumeOptions) -> ResumeOptions {
        if let Some(prefill) = self.prefill {
            options = options.prefill(prefill);
        }
        if let Some(replay) = self.replay {
            options = options.replay(replay);
        }
        if let Some((prompted, lenient)) = self.prompt {
            options = options.prompted(prompted).lenient(lenient);
        }
        if let Some(times) = self.max_resumes {
            options = options.max_resumes(times);
        }
        if let Some(deadline) = self.deadline {
            options = options.deadline(deadline);
        }
        if let Some(deadline) = self.stream_deadline {
            options = options.stream_deadline(deadline);
        }
        if let Some(interval) = self.keep_alive {
            options = options.keep_alive(interval);
        }
        if let Some(hold) = self.hold_tool_calls {
            options = options.hold_tool_calls(hold);
        }
        options
    }
}

/// Reads the key `mid_stream` of a section: a section of its own, or `off`.
pub(crate) fn read(within: &mut Section<'_>) -> Result<Option<(MidStream, Place)>, ConfigError> {
    let environment = within.environment();
    let Some(node) = within.take("mid_stream") else {
        return Ok(None);
    };
    let place = node.place;
    // YAML 1.1 reads a bare `off` as false.
    match &node.value {
        Value::Bool(false) => return Ok(Some((MidStream::OFF, place))),
        Value::Text(word) if word == "off" => return Ok(Some((MidStream::OFF, place))),
        _ => {}
    }
    let mut section = Section::of(node, "mid_stream", environment)?;
    let prompts = [("verified", (true, false)), ("lenient", (true, true))];
    let mid_stream = MidStream {
        prefill: section.flag("prefill")?,
        replay: section.flag("replay")?,
        prompt: section.choice_or_off("prompt", &prompts, (false, false))?,
        max_resumes: section.count("max_resumes")?,
        deadline: section.positive_seconds("deadline")?,
        stream_deadline: section.positive_seconds("stream_deadline")?,
        keep_alive: section.seconds("keep_alive")?,
        hold_tool_calls: section.flag("hold_tool_calls")?,
    };
    section.finish()?;
    Ok(Some((mid_stream, place)))
}

/// Refuses deployments of one model that say different things: a stream goes on from one of them to another.
pub(crate) fn agree(deployments: &[DeploymentConfig]) -> Result<(), ConfigError> {
    for (index, deployment) in deployments.iter().enumerate() {
        let Some((mid_stream, place)) = deployment.mid_stream else {
            continue;
        };
        let earlier = deployments[..index]
            .iter()
            .filter(|earlier| earlier.group == deployment.group)
            .find_map(|earlier| earlier.mid_stream);
        if earlier.is_some_and(|(earlier, _)| earlier != mid_stream) {
            let message = format!(
                "`mid_stream` holds for the whole model `{}`, and another of its deployments says something else",
                deployment.group
            );
            return Err(ConfigError::at(place, message).help("say it once"));
        }
    }
    Ok(())
}

/// What holds for one model.
pub(crate) fn of(model: &str, config: &Config) -> ResumeOptions {
    let options = config.router.mid_stream;
    config
        .deployments
        .iter()
        .filter(|deployment| &*deployment.group == model)
        .find_map(|deployment| deployment.mid_stream)
        .map_or(options, |(mid_stream, _)| mid_stream.over(options))
}
