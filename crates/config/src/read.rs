//! Reads typed values out of a document, and refuses what nobody reads.

mod numbers;

use secrecy::SecretString;

use crate::document::{self, Key, Node, Value};
use crate::error::{ConfigError, Place, nearest};
use crate::source::Environment;

/// A section of the document. Each key is taken once; [`finish`](Section::finish) refuses the ones that are left.
pub(crate) struct Section<'a> {
    name: &'static str,
    place: Place,
    entries: Vec<(Key, Node)>,
    known: Vec<&'static str>,
    environment: &'a Environment,
}

impl<'a> Section<'a> {
    pub(crate) fn of(
        node: Node,
        name: &'static str,
        environment: &'a Environment,
    ) -> Result<Self, ConfigError> {
        let place = node.place;
        let entries = match node.value {
            Value::Map(entries) => entries,
            Value::Null => Vec::new(),
            other => {
                let message = format!("`{name}` must be a mapping, but is {}", other.kind());
                return Err(ConfigError::at(place, message));
            }
        };
        for (index, (key, _)) in entries.iter().enumerate() {
            if entries[..index]
                .iter()
                .any(|(earlier, _)| earlier.name == key.name)
            {
                return Err(ConfigError::at(
                    key.place,
                    format!("`{}` appears twice in `{name}`", key.name),
                ));
            }
        }
        Ok(Self {
            name,
            place,
            entries,
            known: Vec::new(),
            environment,
        })
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    pub(crate) fn environment(&self) -> &'a Environment {
        self.environment
    }

    /// The node under `key`; absent and `null` are the same.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        let index = self
            .entries
            .iter()
            .position(|(entry, _)| entry.name == key)?;
        let (_, node) = self.entries.remove(index);
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    pub(crate) fn section(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Section<'a>>, ConfigError> {
        let environment = self.environment;
        self.take(key)
            .map(|node| Section::of(node, key, environment))
            .transpose()
    }

    pub(crate) fn text(
        &mut self,
        key: &'static str,
    ) -> Result<Option<(String, Place)>, ConfigError> {
        let environment = self.environment;
        self.take(key)
            .map(|node| text(node, key, environment))
            .transpose()
    }

    pub(crate) fn required_text(
        &mut self,
        key: &'static str,
    ) -> Result<(String, Place), ConfigError> {
        self.text(key)?.ok_or_else(|| {
            let message = format!("`{key}` is missing in `{}`", self.name);
            self.missing(key, ConfigError::at(self.place, message))
        })
    }

    /// What is wrong where `key` is missing: perhaps it is there, and misspelt.
    pub(crate) fn missing(&self, key: &'static str, error: ConfigError) -> ConfigError {
        let misspelt = self
            .entries
            .iter()
            .find(|(entry, _)| nearest(&entry.name, [key]).is_some());
        match misspelt {
            Some((entry, _)) => self.unknown(entry).nearest(&entry.name, [key]),
            None => error,
        }
    }

    fn unknown(&self, key: &Key) -> ConfigError {
        let message = format!("unknown key `{}` in `{}`", key.name, self.name);
        ConfigError::at(key.place, message)
    }

    pub(crate) fn secret(
        &mut self,
        key: &'static str,
    ) -> Result<Option<SecretString>, ConfigError> {
        self.text(key)?
            .map(|(text, place)| {
                if text.is_empty() {
                    return Err(ConfigError::at(place, format!("`{key}` is empty")));
                }
                Ok(SecretString::from(text))
            })
            .transpose()
    }

    /// The node under `key`; in the place of a reference, what it refers to, which may be a number or a flag.
    fn plain(&mut self, key: &'static str) -> Result<Option<Node>, ConfigError> {
        let environment = self.environment;
        let Some(mut node) = self.take(key) else {
            return Ok(None);
        };
        if let Value::Text(written) = &node.value {
            let (text, _) = text(node.clone(), key, environment)?;
            // What is written as text is text, whatever it looks like.
            if text != *written
                && let Ok(found) = document::parse(&text)
            {
                node.value = found.value;
            }
        }
        Ok(Some(node))
    }

    pub(crate) fn flag(&mut self, key: &'static str) -> Result<Option<bool>, ConfigError> {
        self.plain(key)?
            .map(|node| match node.value {
                Value::Bool(flag) => Ok(flag),
                other => Err(ConfigError::at(
                    node.place,
                    format!("`{key}` must be true or false, but is {}", other.kind()),
                )),
            })
            .transpose()
    }

    /// Where the value of a key stands.
    pub(crate) fn place_of(&self, key: &str) -> Option<Place> {
        let entry = self.entries.iter().find(|(entry, _)| entry.name == key);
        entry.map(|(_, node)| node.place)
    }

    /// A list of words; a single one is a list of it.
    pub(crate) fn words(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Vec<(String, Place)>>, ConfigError> {
        let environment = self.environment;
        let Some(node) = self.take(key) else {
            return Ok(None);
        };
        let list = match node.value {
            Value::List(list) => list,
            Value::Text(_) => vec![node],
            other => {
                let message = format!("`{key}` must be a list of words, but is {}", other.kind());
                return Err(ConfigError::at(node.place, message));
            }
        };
        list.into_iter()
            .map(|node| text(node, key, environment))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// One word of a closed set; hyphens and underscores are the same.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Result<Option<T>, ConfigError> {
        let Some((word, place)) = self.text(key)? else {
            return Ok(None);
        };
        choose(key, &word, place, choices).map(Some)
    }

    /// One word of a closed set, or `false` for none of them.
    pub(crate) fn choice_or_off<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
        off: T,
    ) -> Result<Option<T>, ConfigError> {
        let environment = self.environment;
        let Some(node) = self.take(key) else {
            return Ok(None);
        };
        let (word, place) = match node.value {
            Value::Bool(word) => (word.to_string(), node.place),
            _ => text(node, key, environment)?,
        };
        let mut choices = choices.to_vec();
        choices.push(("false", off));
        choose(key, &word, place, &choices).map(Some)
    }

    pub(crate) fn list(
        &mut self,
        key: &'static str,
    ) -> Result<Option<(Vec<Node>, Place)>, ConfigError> {
        self.take(key)
            .map(|node| match node.value {
                Value::List(list) => Ok((list, node.place)),
                other => Err(ConfigError::at(
                    node.place,
                    format!("`{key}` must be a list, but is {}", other.kind()),
                )),
            })
            .transpose()
    }

    /// A list of words of a closed set.
    pub(crate) fn choices<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Result<Option<Vec<T>>, ConfigError> {
        let Some((list, _)) = self.list(key)? else {
            return Ok(None);
        };
        let environment = self.environment;
        list.into_iter()
            .map(|node| {
                // `5xx` is text, but `429` would be a number: both are words here.
                let (word, place) = match node.value {
                    Value::Integer(number) => (number.to_string(), node.place),
                    _ => text(node, key, environment)?,
                };
                choose(key, &word, place, choices)
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Some)
    }

    /// Keys that exist, but not in this version.
    pub(crate) fn refuse(&mut self, keys: &[&'static str], why: &str) -> Result<(), ConfigError> {
        for key in keys {
            self.known.push(key);
            if let Some((entry, _)) = self.entries.iter().find(|(entry, _)| entry.name == *key) {
                let message = format!("`{key}` in `{}` {why}", self.name);
                return Err(ConfigError::at(entry.place, message).help("remove the key"));
            }
        }
        Ok(())
    }

    /// Refuses keys that nobody took, but for those that ask for nothing.
    pub(crate) fn finish(self) -> Result<(), ConfigError> {
        let is_off = |(key, node): &&(Key, Node)| {
            crate::keys::SWITCHES.contains(&key.name.as_str())
                && matches!(node.value, Value::Bool(false))
        };
        match self.entries.iter().find(|entry| !is_off(entry)) {
            None => Ok(()),
            Some((key, _)) if crate::keys::LITELLM.contains(&key.name.as_str()) => {
                let message = format!("`{}` is a LiteLLM key that is not supported yet", key.name);
                Err(ConfigError::at(key.place, message).help("remove the key"))
            }
            Some((key, _)) => {
                let error = self.unknown(key);
                let homes = crate::keys::homes(self.name, &key.name);
                if homes.is_empty() {
                    return Err(error.nearest(&key.name, self.known.iter().copied()));
                }
                let homes = homes.join("` or `");
                Err(error.help(format!("it belongs in `{homes}`")))
            }
        }
    }
}

/// Text, or what it refers to: `os.environ/NAME`, `file:/path`.
pub(crate) fn text(
    node: Node,
    key: &str,
    environment: &Environment,
) -> Result<(String, Place), ConfigError> {
    let place = node.place;
    match node.value {
        Value::Text(text) => Ok((
            environment
                .resolve(text)
                .map_err(|message| ConfigError::at(place, message))?,
            place,
        )),
        other => {
            let error = ConfigError::at(
                place,
                format!("`{key}` must be text, but is {}", other.kind()),
            );
            Err(match other {
                Value::Integer(_) | Value::Float(_) | Value::Bool(_) => {
                    error.help("put it in quotes")
                }
                _ => error,
            })
        }
    }
}

pub(crate) fn choose<T: Copy>(
    key: &str,
    word: &str,
    place: Place,
    choices: &[(&'static str, T)],
) -> Result<T, ConfigError> {
    let plain = word.replace('-', "_");
    choices
        .iter()
        .find(|(name, _)| *name == plain)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let names = choices.iter().map(|(name, _)| *name);
            let all = names.clone().collect::<Vec<_>>().join(", ");
            let error = ConfigError::at(
                place,
                format!("`{word}` is not a value of `{key}`, which takes {all}"),
            );
            error.nearest(&plain, names)
        })
}
