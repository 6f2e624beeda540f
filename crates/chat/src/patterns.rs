//! What providers say in the text of an error and nowhere else: the last thing to look at.
//!
//! Only a provider's `message` may be matched, never a whole body: bodies echo what the user wrote.

use std::time::Duration;

use backstop_core::hint;

/// Says that a prompt is too long. Lower case; `*` stands for any text.
///
/// Bedrock's "too many tokens" is not here: there it also means a rate limit, and only the exception's name
/// tells.
const TOO_LONG: &[&str] = &[
    // OpenAI, Azure, vLLM.
    "maximum context length is",
    "exceeds the context window of this model",
    "input tokens exceed the configured limit",
    "requested token count exceeds the model's maximum context length",
    "you passed * input tokens and requested * output tokens",
    "decoder prompt * is longer than the maximum model length",
    // Anthropic, on all hosts.
    "prompt is too long",
    "prompt: length",
    "exceed context limit",
    // Bedrock.
    "input is too long",
    "expected maxlength:",
    "too many input tokens",
    "prompt tokens (*) exceed model maximum",
    // Gemini, Vertex.
    "input token count * exceeds the maximum number of tokens allowed",
    // llama.cpp, Ollama.
    "exceeds the available context size",
    "input length exceeds the context length",
    "prompt is longer than the context length",
    // Mistral.
    "prompt has too many tokens",
    "too large for model with * maximum context length",
    // Groq, Together, Cerebras.
    "reduce the length of the messages",
    "longer than the model's maximum context length",
    "longer than the model's context length",
    "current length is * while limit is",
    // xAI, Moonshot, Hugging Face and others.
    "maximum prompt length is",
    "exceeded model token limit",
    "`inputs` tokens + `max_new_tokens` must be <=",
    "maximum input length is * tokens",
    "input too long: * input tokens, limit is",
    "length limit exceeded",
    "input text length should not exceed",
];

/// What each of them mentions, so that the many messages about something else are not compared with all of them.
const MENTIONS: &[&str] = &["token", "length", "context", "too long", "prompt"];

/// Sounds like it, and means something else.
const NOT_TOO_LONG: &[&str] = &[
    "string_above_max_length",
    "invalid 'user'",
    "max_tokens is too large",
    "throttlingexception",
    "tokens per min",
    "tokens per day",
];

/// Whether this error message says that the prompt does not fit the model's context window.
///
/// An answer with status 429 or 413 never does, whatever it says.
///
/// ```
/// use backstop_chat::patterns::is_too_long;
///
/// assert!(is_too_long("prompt is too long: 210000 tokens > 200000 maximum"));
/// assert!(!is_too_long("max_tokens is too large: 99999"));
/// ```
#[must_use]
pub fn is_too_long(message: &str) -> bool {
    let message = message.to_lowercase();
    any(&message, MENTIONS) && any(&message, TOO_LONG) && !any(&message, NOT_TOO_LONG)
}

/// Whether the message matches one of the patterns: lower case, `*` stands for any text.
#[must_use]
pub fn says(message: &str, patterns: &[&str]) -> bool {
    !patterns.is_empty() && any(&message.to_lowercase(), patterns)
}

fn any(message: &str, patterns: &[&str]) -> bool {
    patterns.iter().any(|pattern| {
        let mut rest = message;
        pattern.split('*').all(|piece| match find(rest, piece) {
            Some(at) => {
                rest = &rest[at + piece.len()..];
                true
            }
            None => false,
        })
    })
}

/// Where `piece` begins in `text`. For texts of a line: `str::find` prepares for long ones, at some cost.
fn find(text: &str, piece: &str) -> Option<usize> {
    let Some((first, rest)) = piece.as_bytes().split_first() else {
        return Some(0);
    };
    let bytes = text.as_bytes();
    memchr::memchr_iter(*first, bytes).find(|at| bytes[at + 1..].starts_with(rest))
}

/// The wait that a message asks for: "Please retry in 36.4s", "retry after 9 seconds", "try again in 6m0s".
#[must_use]
pub fn retry_after(message: &str) -> Option<Duration> {
    let message = message.to_lowercase();
    let rest = ["retry in ", "retry after ", "try again in "]
        .iter()
        .find_map(|lead| Some(&message[find(&message, lead)? + lead.len()..]))?;
    let mut words = rest
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ')'))
        .map(|word| word.trim_end_matches('.'));
    let amount = words.next()?;
    hint::go_duration(amount).or_else(|| {
        let unit = match words.next()? {
            "ms" | "millisecond" | "milliseconds" => 0.001,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "min" | "mins" | "minute" | "minutes" => 60.0,
            "hour" | "hours" => 3600.0,
            _ => return None,
        };
        let seconds = hint::seconds(amount)?.as_secs_f64() * unit;
        Duration::try_from_secs_f64(seconds).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_matches_itself() {
        for pattern in TOO_LONG {
            let message = format!("Error: {}.", pattern.replace('*', "123").to_uppercase());
            assert!(is_too_long(&message), "{message}");
            assert!(any(pattern, MENTIONS), "{pattern}");
        }
    }

    #[test]
    fn prompts_that_are_too_long() {
        for message in [
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
            "prompt is too long: 210000 tokens > 200000 maximum",
            "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000",
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            "You passed 9000 input tokens and requested 1000 output tokens.",
            "the request exceeds the available context size (4096 tokens)",
        ] {
            assert!(is_too_long(message), "{message}");
        }
    }

    #[test]
    fn what_only_sounds_like_it() {
        for message in [
            "Invalid 'user': string too long. Expected a string with maximum length 64.",
            "max_tokens is too large: 99999. This model supports at most 16384 completion tokens, maximum context length is 1",
            "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, reduce the length of the messages",
            "Too many tokens per day, please wait",
            "Too many tokens, please wait before trying again.",
            "some prompt",
            "",
        ] {
            assert!(!is_too_long(message), "{message}");
        }
    }

    #[test]
    fn waits_in_words() {
        let seconds = |message| retry_after(message).map(|wait| wait.as_secs_f64());
        for (message, expected) in [
            ("Please retry in 36.4s.", Some(36.4)),
            ("Please retry after 9 seconds, or upgrade.", Some(9.0)),
            ("Retry after 86400 seconds.", Some(86400.0)),
            ("Please try again in 6m0s. Visit us.", Some(360.0)),
            ("Please try again in 20ms.", Some(0.02)),
            ("retry after 2 minutes", Some(120.0)),
            ("retry after 0 seconds", None),
            ("retry after -1 seconds", None),
            ("retry after a while", None),
            ("retry in ", None),
            ("try later", None),
        ] {
            assert_eq!(seconds(message), expected, "{message}");
        }
    }
}
