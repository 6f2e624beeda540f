//! Models that stand for others, by what a request needs: `capabilities`.

use std::fmt;
use std::sync::Arc;

use backstop::core::Needs;

use crate::document::{Key, Node, Value};
use crate::error::{ConfigError, Place};
use crate::read::{Section, text};
use crate::schema::Named;
use crate::source::Environment;

/// Something that a request may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Tools,
    Vision,
    Audio,
    Files,
    JsonSchema,
    Reasoning,
}

const NEEDS: [(&str, Need); 6] = [
    ("tools", Need::Tools),
    ("vision", Need::Vision),
    ("audio", Need::Audio),
    ("files", Need::Files),
    ("json_schema", Need::JsonSchema),
    ("reasoning", Need::Reasoning),
];

impl Need {
    fn is_of(self, needs: Needs) -> bool {
        match self {
            Self::Tools => needs.tools || needs.tool_history,
            Self::Vision => needs.vision,
            Self::Audio => needs.audio,
            Self::Files => needs.files,
            Self::JsonSchema => needs.json_schema,
            Self::Reasoning => needs.reasoning,
        }
    }
}

/// A model's name that stands for others.
#[derive(Clone, Debug)]
pub(crate) struct Auto {
    pub(crate) name: Arc<str>,
    place: Place,
    /// In the order of the file.
    when: Vec<(Need, Named)>,
    /// For requests that need none of these.
    default: Named,
}

impl Auto {
    /// The model that answers a request with these needs: the first that was named for any of them.
    pub(crate) fn choose(&self, needs: Needs) -> &str {
        let chosen = self.when.iter().find(|(need, _)| need.is_of(needs));
        chosen.map_or(&*self.default.name, |(_, model)| &*model.name)
    }

    /// Whether there are requests that `model` answers.
    pub(crate) fn may_choose(&self, model: &str) -> bool {
        let mut models = self.when.iter().map(|(_, model)| model);
        self.default.name == model || models.any(|named| named.name == model)
    }

    /// Refuses names that are not there, or there twice.
    pub(crate) fn check(&self, groups: &[&str]) -> Result<(), ConfigError> {
        if groups.contains(&&*self.name) {
            let message = format!("`{}` is a model of `model_list` already", self.name);
            return Err(ConfigError::at(self.place, message).help("give this one another name"));
        }
        let models = self.when.iter().map(|(_, model)| model);
        for model in models.chain([&self.default]) {
            if !groups.contains(&model.name.as_str()) {
                let message = format!("`{}` is no model name of `model_list`", model.name);
                return Err(ConfigError::at(model.place, message)
                    .nearest(&model.name, groups.iter().copied()));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Auto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        for (need, model) in &self.when {
            let word = NEEDS.iter().find(|(_, known)| known == need);
            let word = word.map_or("", |(word, _)| word);
            write!(f, "\n  {word:12} {}", model.name)?;
        }
        write!(f, "\n  {:12} {}", "default", self.default.name)
    }
}

pub(crate) fn read(top: &mut Section<'_>) -> Result<Vec<Auto>, ConfigError> {
    let environment = top.environment();
    let Some(node) = top.take("capabilities") else {
        return Ok(Vec::new());
    };
    entries(node, "capabilities")?
        .into_iter()
        .map(|(key, node)| auto(key, node, environment))
        .collect()
}

fn auto(key: Key, node: Node, environment: &Environment) -> Result<Auto, ConfigError> {
    let mut when: Vec<(Need, Named)> = Vec::new();
    let mut default = None;
    for (word, node) in entries(node, &key.name)? {
        let (name, place) = text(node, &word.name, environment)?;
        let model = Named { name, place };
        if word.name == "default" {
            default = Some(model);
            continue;
        }
        let known = NEEDS.iter().find(|(name, _)| *name == word.name);
        let Some((_, need)) = known else {
            let names = NEEDS.iter().map(|(name, _)| *name).chain(["default"]);
            let message = format!("`{}` is nothing that a request can need", word.name);
            let all = names.clone().collect::<Vec<_>>().join(", ");
            return Err(ConfigError::at(word.place, message)
                .help(format!("there are {all}"))
                .nearest(&word.name, names));
        };
        when.push((*need, model));
    }
    let Some(default) = default else {
        let message = format!(
            "`{}` has no `default`: the model for all other requests",
            key.name
        );
        return Err(ConfigError::at(key.place, message));
    };
    Ok(Auto {
        name: key.name.into(),
        place: key.place,
        when,
        default,
    })
}

fn entries(node: Node, name: &str) -> Result<Vec<(Key, Node)>, ConfigError> {
    match node.value {
        Value::Map(entries) => Ok(entries),
        other => Err(ConfigError::at(
            node.place,
            format!("`{name}` must be a mapping, but is {}", other.kind()),
        )),
    }
}
