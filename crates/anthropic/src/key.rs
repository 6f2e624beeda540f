use std::fmt;

use backstop_chat::ProviderError;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// The key, as it goes out. Clones share it.
#[derive(Clone)]
pub(crate) struct Key(
    /// `None`: it has characters that no header can carry.
    Option<HeaderValue>,
);

impl Key {
    pub(crate) fn new(key: &SecretString) -> Self {
        // Keys often come from files, with a line end.
        let key = HeaderValue::from_str(key.expose_secret().trim());
        Self(key.ok().map(|mut key| {
            key.set_sensitive(true);
            key
        }))
    }

    pub(crate) const fn header(&self) -> Option<&HeaderValue> {
        self.0.as_ref()
    }

    /// Hides the key wherever Anthropic has repeated it.
    pub(crate) fn hide(&self, error: ProviderError) -> ProviderError {
        match self.0.as_ref().and_then(|key| key.to_str().ok()) {
            Some(key) => error.hiding(key),
            None => error,
        }
    }
}

/// Never shows the key.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}
