/// The least budget of thinking tokens that Claude takes.
pub const LEAST_THINKING: u64 = 1024;

/// The thinking tokens that a `reasoning_effort` stands for, for models that want a number: the older ones of Claude,
/// whoever serves them. `None` for an effort that is not known.
///
/// ```
/// use backstop_chat::{LEAST_THINKING, thinking_budget};
///
/// assert_eq!(thinking_budget("minimal"), Some(LEAST_THINKING));
/// assert_eq!(thinking_budget("medium"), Some(8192));
/// assert_eq!(thinking_budget("much"), None);
/// ```
#[must_use]
pub fn thinking_budget(effort: &str) -> Option<u64> {
    Some(match effort {
        "minimal" => LEAST_THINKING,
        "low" => 2048,
        "medium" => 8192,
        "high" => 16_384,
        "xhigh" => 24_576,
        "max" => 32_000,
        _ => return None,
    })
}
