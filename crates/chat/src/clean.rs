use std::fmt::Write;

/// What a caller may see of a provider's error text at the most, in bytes.
const LIMIT: usize = 512;

/// The one host that looks like any word.
const LOCALHOST: &str = "localhost";

/// Cleans a provider's error text for the caller: what looks like a key, a URL or a host becomes `[hidden]`, and
/// the text is cut at 512 bytes.
///
/// It errs on the side of hiding: a word is hidden when it begins as keys of known providers do, when it is a
/// long run of letters and digits, or when it has the form of an address.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LIMIT + 4));
    for piece in text.split_inclusive(ends_word) {
        if out.len() + piece.len() > LIMIT {
            let _ = write!(out, "…");
            break;
        }
        let word = piece.trim_end_matches(|c: char| !c.is_alphanumeric());
        if is_private(word) {
            out.push_str("[hidden]");
            out.push_str(&piece[word.len()..]);
        } else {
            out.push_str(piece);
        }
    }
    out
}

fn ends_word(c: char) -> bool {
    // Letters first: nearly all are.
    !c.is_ascii_lowercase()
        && (c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '(' | ')' | ',' | ';' | '<' | '>'))
}

fn is_private(word: &str) -> bool {
    // Most words, at the beginning of a sentence, too.
    if let [first, rest @ ..] = word.as_bytes()
        && first.is_ascii_alphabetic()
        && rest.iter().all(u8::is_ascii_lowercase)
        && word != LOCALHOST
    {
        return false;
    }
    const PREFIXES: [&str; 12] = [
        "sk-", "sk_", "pk-", "rk-", "AKIA", "ASIA", "AIza", "xai-", "gsk_", "hf_", "key-", "eyJ",
    ];
    let bare = word.trim_start_matches(|c: char| !c.is_alphanumeric());
    // `api_key=sk-…` and `token:abc…` hide their second half's company, too.
    let last = bare.rsplit(['=', ':']).next().unwrap_or(bare);
    let keyish = |part: &str| {
        PREFIXES
            .iter()
            .any(|prefix| part.len() > prefix.len() + 3 && part.starts_with(prefix))
            || part.contains("***")
            || (part.len() >= 24
                && part.bytes().any(|b| b.is_ascii_digit())
                && part.bytes().any(|b| b.is_ascii_alphabetic())
                && !part.contains('.'))
    };
    keyish(bare) || keyish(last) || bare.contains("://") || is_host(bare)
}

/// `api.example.com`, `10.0.0.3`, `host:8080`; but not `gpt-4.1`, `2.0` or `messages.0.content`.
fn is_host(word: &str) -> bool {
    let (name, port) = word
        .split_once(':')
        .map_or((word, None), |(name, port)| (name, Some(port)));
    let name = name.split('/').next().unwrap_or(name);
    if port.is_some_and(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
        && !name.is_empty()
    {
        return true;
    }
    let numeric = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit());
    if name.split('.').count() == 4 && name.split('.').all(numeric) {
        return true;
    }
    const ENDS: [&str; 14] = [
        "com", "net", "org", "io", "ai", "dev", "app", "cloud", "local", "internal", LOCALHOST,
        "cn", "eu", "aws",
    ];
    name == LOCALHOST
        || name
            .rsplit_once('.')
            .is_some_and(|(_, end)| ENDS.iter().any(|known| end.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn keys_and_hosts_go() {
        for (text, expected) in [
            (
                "Incorrect API key provided: sk-proj-abcd1234.",
                "Incorrect API key provided: [hidden].",
            ),
            (
                "Incorrect API key provided: sk-proj-****1234.",
                "Incorrect API key provided: [hidden].",
            ),
            ("see https://platform.openai.com/account", "see [hidden]"),
            (
                "upstream api.internal.example.com:8443 refused",
                "upstream [hidden] refused",
            ),
            ("connect to 10.1.2.3 failed", "connect to [hidden] failed"),
            ("token=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", "[hidden]"),
            (
                "AccessKey AKIAIOSFODNN7EXAMPLE is not valid",
                "AccessKey [hidden] is not valid",
            ),
        ] {
            assert_eq!(clean(text), expected);
        }
    }

    #[test]
    fn what_helps_the_caller_stays() {
        for text in [
            "The model `gpt-4.1` does not exist",
            "Invalid value: 'messages[0].content' must be a string.",
            "prompt is too long: 210000 tokens > 200000 maximum",
            "messages.0.content: expected a string",
            "temperature must be <= 2.0",
        ] {
            assert_eq!(clean(text), text);
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        let text = clean(&"word ".repeat(1000));
        assert!(text.len() < 520 && text.ends_with('…'));
    }
}
