use std::fmt;

use backstop_chat::ProviderError;
use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::server::Profile;

/// The server's key, as it goes out. Clones share it.
#[derive(Clone)]
pub(crate) enum Key {
    None,
    Bearer(HeaderValue),
    Header(HeaderName, HeaderValue),
    /// It has characters that no header can carry.
    Unusable,
}

impl Key {
    pub(crate) fn new(server: &Profile, key: &SecretString) -> Self {
        // Keys often come from files, with a line end.
        let key = key.expose_secret().trim();
        let value = match server.key_header {
            Some(_) => HeaderValue::from_str(key),
            None => HeaderValue::try_from(format!("Bearer {key}")),
        };
        let Ok(mut value) = value else {
            return Self::Unusable;
        };
        value.set_sensitive(true);
        match server.key_header {
            Some(name) => Self::Header(HeaderName::from_static(name), value),
            None => Self::Bearer(value),
        }
    }

    /// Hides the key wherever the server has repeated it.
    pub(crate) fn hide(&self, error: ProviderError) -> ProviderError {
        match self.text() {
            Some(key) => error.hiding(key),
            None => error,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::None | Self::Unusable => None,
            Self::Bearer(value) => value.to_str().ok()?.strip_prefix("Bearer "),
            Self::Header(_, value) => value.to_str().ok(),
        }
    }
}

/// Never shows the key.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}
