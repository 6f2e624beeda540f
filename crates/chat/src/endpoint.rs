use std::error::Error;
use std::fmt;

use http::Uri;

/// The URL of a provider's operation: `path` below `base`, which may or may not end in a slash.
///
/// A query in `base` is kept.
///
/// ```
/// use backstop_chat::endpoint;
///
/// let base = "http://localhost:11434/v1/".parse()?;
/// assert_eq!(endpoint(&base, "chat/completions")?, "http://localhost:11434/v1/chat/completions");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// If `base` is not an absolute `http` or `https` URL, or has a user or a password in it.
pub fn endpoint(base: &Uri, path: &str) -> Result<Uri, InvalidBaseUrl> {
    let (Some(scheme), Some(authority)) = (base.scheme_str(), base.authority()) else {
        return Err(InvalidBaseUrl("must be absolute"));
    };
    if !matches!(scheme, "http" | "https") {
        return Err(InvalidBaseUrl("must be http or https"));
    }
    if authority.as_str().contains('@') {
        return Err(InvalidBaseUrl("must not hold a user or a password"));
    }
    let mut target = format!("{}/{path}", base.path().trim_end_matches('/'));
    if let Some(query) = base.query() {
        target.push('?');
        target.push_str(query);
    }
    Uri::builder()
        .scheme(scheme)
        .authority(authority.clone())
        .path_and_query(target)
        .build()
        .map_err(|_| InvalidBaseUrl("is not a URL"))
}

/// A base URL that no request can be sent to. Its text does not repeat the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidBaseUrl(&'static str);

impl fmt::Display for InvalidBaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the base URL {}", self.0)
    }
}

impl Error for InvalidBaseUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base: &str) -> Result<String, InvalidBaseUrl> {
        endpoint(&base.parse().expect("a URI"), "chat/completions").map(|uri| uri.to_string())
    }

    #[test]
    fn with_or_without_a_slash() {
        for (base, expected) in [
            ("https://a.example", "https://a.example/chat/completions"),
            ("https://a.example/", "https://a.example/chat/completions"),
            (
                "https://a.example/v1",
                "https://a.example/v1/chat/completions",
            ),
            (
                "https://a.example/v1//",
                "https://a.example/v1/chat/completions",
            ),
            (
                "https://a.example/d?api-version=1",
                "https://a.example/d/chat/completions?api-version=1",
            ),
            (
                "http://[::1]:8080/v1",
                "http://[::1]:8080/v1/chat/completions",
            ),
        ] {
            assert_eq!(joined(base).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_cannot_be_called() {
        for base in [
            "/v1",
            "a.example:80",
            "ftp://a.example",
            "https://me:pw@a.example",
        ] {
            let error = joined(base).expect_err(base);
            assert!(!error.to_string().contains("pw"));
        }
    }
}
