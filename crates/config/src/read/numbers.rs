use std::time::Duration;

use super::{Section, text};
use crate::document::Value;
use crate::error::{ConfigError, Place};

impl Section<'_> {
    pub(crate) fn count(&mut self, key: &'static str) -> Result<Option<u32>, ConfigError> {
        self.plain(key)?
            .map(|node| match node.value {
                Value::Integer(number) if u32::try_from(number).is_ok() => Ok(number as u32),
                _ => Err(ConfigError::at(
                    node.place,
                    format!("`{key}` must be a whole number of 0 or more"),
                )),
            })
            .transpose()
    }

    /// The size of a connection's buffer, in bytes.
    pub(crate) fn kilobytes(&mut self, key: &'static str) -> Result<Option<u32>, ConfigError> {
        let place = self.place_of(key);
        match (self.count(key)?, place) {
            // Less holds no request's head; more is no bound.
            (Some(size), Some(place)) if !(8..=65_536).contains(&size) => Err(ConfigError::at(
                place,
                format!("`{key}` must be a number of KiB from 8 to 65536"),
            )),
            (size, _) => Ok(size.map(|size| size * 1024)),
        }
    }

    /// A duration in seconds, whole or fractional.
    pub(crate) fn seconds(&mut self, key: &'static str) -> Result<Option<Duration>, ConfigError> {
        self.plain(key)?
            .map(|node| {
                let seconds = match node.value {
                    Value::Integer(number) => number as f64,
                    Value::Float(number) => number.value,
                    _ => f64::NAN,
                };
                // A year is longer than anybody waits, and short enough for every clock.
                if (0.0..=31_536_000.0).contains(&seconds) {
                    Ok(Duration::from_secs_f64(seconds))
                } else {
                    let message = format!("`{key}` must be a number of seconds, 0 or more");
                    Err(ConfigError::at(node.place, message))
                }
            })
            .transpose()
    }

    /// A duration in seconds that must not be zero.
    pub(crate) fn positive_seconds(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Duration>, ConfigError> {
        let place = self.place_of(key);
        match (self.seconds(key)?, place) {
            (Some(Duration::ZERO), Some(place)) => Err(ConfigError::at(
                place,
                format!("`{key}` must be more than 0 seconds"),
            )),
            (seconds, _) => Ok(seconds),
        }
    }

    /// A decimal number as it was written.
    pub(crate) fn decimal(
        &mut self,
        key: &'static str,
    ) -> Result<Option<(String, Place)>, ConfigError> {
        let environment = self.environment;
        self.take(key)
            .map(|node| match node.value {
                Value::Integer(number) => Ok((number.to_string(), node.place)),
                Value::Float(number) => Ok((number.written.into(), node.place)),
                Value::Text(_) => text(node, key, environment),
                other => {
                    let message = format!("`{key}` must be a number, but is {}", other.kind());
                    Err(ConfigError::at(node.place, message))
                }
            })
            .transpose()
    }

    /// A whole number of 0 or more, however large, and where it stands.
    pub(crate) fn amount(
        &mut self,
        key: &'static str,
    ) -> Result<Option<(u64, Place)>, ConfigError> {
        let Some((number, place)) = self.decimal(key)? else {
            return Ok(None);
        };
        match number.parse() {
            Ok(number) => Ok(Some((number, place))),
            Err(_) => Err(ConfigError::at(
                place,
                format!("`{key}` must be a whole number of 0 or more"),
            )),
        }
    }

    /// A number of tokens, more than none.
    pub(crate) fn tokens(&mut self, key: &'static str) -> Result<Option<u64>, ConfigError> {
        match self.amount(key)? {
            Some((0, place)) => Err(ConfigError::at(
                place,
                format!("`{key}` must be more than 0"),
            )),
            tokens => Ok(tokens.map(|(tokens, _)| tokens)),
        }
    }
}
