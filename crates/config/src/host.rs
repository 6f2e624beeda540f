//! Whose host a URL names.

use http::Uri;

/// The host that a URL names, in small letters; empty if it names none.
pub(crate) fn of(url: &str) -> String {
    let url: Option<Uri> = url.parse().ok();
    let host = url.as_ref().and_then(Uri::host).unwrap_or_default();
    host.to_ascii_lowercase()
}

/// Whether it is `domain`, or below it. That its name ends alike is not enough: anybody can have such a name.
pub(crate) fn is_within(host: &str, domain: &str) -> bool {
    let rest = host.strip_suffix(domain);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
