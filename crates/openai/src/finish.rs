//! What the finish reasons of OpenAI and of compatible servers mean.

use backstop_chat::Finish;
use backstop_core::FailureKind;

/// What a finish reason makes of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ending {
    /// It is complete. The reason is one of OpenAI's, or one that nobody has told us of.
    Complete(Finish),
    /// It is complete, for a reason that OpenAI has another word for.
    Renamed(Finish),
    /// It is not complete.
    Failed(FailureKind),
}

/// Reasons that are not OpenAI's.
///
/// Sources: the `mistralai` SDK, DeepSeek's API reference, OpenRouter's error handling, Zhipu's and Together's
/// references, Gemini's compatible endpoint, vLLM's and SGLang's `abort` of an answer that their engine gives up.
const OTHERS: &[(&str, Ending)] = &[
    ("model_length", Ending::Renamed(Finish::Length)),
    ("max_tokens", Ending::Renamed(Finish::Length)),
    ("sensitive", Ending::Renamed(Finish::ContentFilter)),
    ("eos", Ending::Renamed(Finish::Stop)),
    ("end_turn", Ending::Renamed(Finish::Stop)),
    ("stop_sequence", Ending::Renamed(Finish::Stop)),
    ("tool_use", Ending::Renamed(Finish::ToolCalls)),
    ("error", Ending::Failed(FailureKind::ServerError)),
    ("abort", Ending::Failed(FailureKind::ServerError)),
    ("network_error", Ending::Failed(FailureKind::ServerError)),
    (
        "insufficient_system_resource",
        Ending::Failed(FailureKind::ServerError),
    ),
    (
        "function_call_filter: MALFORMED_FUNCTION_CALL",
        Ending::Failed(FailureKind::ServerError),
    ),
];

/// Reads a finish reason.
pub(crate) fn ending(reason: &str) -> Ending {
    OTHERS
        .iter()
        .find(|(other, _)| *other == reason)
        .map_or_else(|| Ending::Complete(Finish::parse(reason)), |row| row.1)
}
