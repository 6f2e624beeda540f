//! How long a server asks us to wait, in the spellings that servers use.
//!
//! Sources: RFC 9110 §10.2.3 (`retry-after`), the OpenAI and Anthropic SDKs (`retry-after-ms` first, fractions of
//! a second), Azure's `x-ms-retry-after-ms`, AWS's `x-amz-retry-after` in milliseconds, OpenAI's Go durations,
//! Google's protobuf durations. A value that is zero, negative or not a number is no hint.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName};

const MILLIS: [HeaderName; 3] = [
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("x-ms-retry-after-ms"),
    HeaderName::from_static("x-amz-retry-after"),
];

/// The wait that the headers ask for: the millisecond headers first, then `retry-after` as seconds, whole or
/// fractional, or as an HTTP date seen from `now`.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
    MILLIS
        .iter()
        .find_map(|name| millis(text(name)?))
        .or_else(|| {
            let value = text(&http::header::RETRY_AFTER)?;
            seconds(value).or_else(|| date(value, now))
        })
}

/// Seconds, whole or fractional: `2`, `0.5`.
#[must_use]
pub fn seconds(value: &str) -> Option<Duration> {
    positive(value.trim().parse().ok()?)
}

/// Milliseconds, whole or fractional: `1500`.
#[must_use]
pub fn millis(value: &str) -> Option<Duration> {
    positive(value.trim().parse::<f64>().ok()? / 1000.0)
}

/// An HTTP date, as the time from `now` until then.
#[must_use]
pub fn date(value: &str, now: SystemTime) -> Option<Duration> {
    let then = httpdate::parse_http_date(value.trim()).ok()?;
    then.duration_since(now).ok().filter(|wait| !wait.is_zero())
}

/// A Go duration: `12ms`, `1s`, `6m0s`, `1h2m3.5s`.
#[must_use]
pub fn go_duration(value: &str) -> Option<Duration> {
    let mut rest = value.trim();
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        total += number
            * match &rest[..letters] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[letters..];
    }
    positive(total)
}

/// A protobuf duration in JSON: `36s`, `36.4s`.
#[must_use]
pub fn proto_duration(value: &str) -> Option<Duration> {
    seconds(value.trim().strip_suffix('s')?)
}

fn positive(seconds: f64) -> Option<Duration> {
    if seconds > 0.0 {
        Duration::try_from_secs_f64(seconds).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    value.parse().expect("a header value"),
                )
            })
            .collect()
    }

    #[test]
    fn every_spelling() {
        let now = httpdate::parse_http_date("Sat, 21 Nov 2026 10:00:00 GMT").expect("a date");
        let ms = |n| Some(Duration::from_millis(n));
        for (pairs, expected) in [
            (&[("retry-after", "2")][..], ms(2000)),
            (&[("retry-after", "0.5")], ms(500)),
            (&[("retry-after", "86400")], ms(86_400_000)),
            (
                &[("retry-after", "Sat, 21 Nov 2026 10:00:30 GMT")],
                ms(30_000),
            ),
            (&[("retry-after", "Sat, 21 Nov 2026 09:59:30 GMT")], None),
            (
                &[("retry-after-ms", "1500"), ("retry-after", "2")],
                ms(1500),
            ),
            (&[("retry-after-ms", "-5"), ("retry-after", "2")], ms(2000)),
            (&[("x-ms-retry-after-ms", "250")], ms(250)),
            (&[("x-amz-retry-after", "1200")], ms(1200)),
            (&[("retry-after", "0")], None),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "inf")], None),
            (&[("retry-after", "1e300")], None),
            (&[("retry-after", "soon")], None),
            (&[], None),
        ] {
            assert_eq!(retry_after(&headers(pairs), now), expected, "{pairs:?}");
        }
    }

    #[test]
    fn go_durations() {
        for (value, expected) in [
            ("12ms", Some(0.012)),
            ("1s", Some(1.0)),
            ("6m0s", Some(360.0)),
            ("1h0m0s", Some(3600.0)),
            ("1h2m3.5s", Some(3723.5)),
            ("-1", None),
            ("0s", None),
            ("", None),
            ("5", None),
            ("5 minutes", None),
        ] {
            assert_eq!(
                go_duration(value).map(|d| d.as_secs_f64()),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn proto_durations() {
        assert_eq!(proto_duration("36s"), Some(Duration::from_secs(36)));
        assert_eq!(proto_duration("36.4s"), Some(Duration::from_millis(36_400)));
        assert_eq!(proto_duration("0s"), None);
        assert_eq!(proto_duration("36"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let now = SystemTime::UNIX_EPOCH;
            let _ = (seconds(&text), millis(&text), date(&text, now), go_duration(&text), proto_duration(&text));
        }
    }
}
