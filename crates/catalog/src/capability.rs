use std::fmt;

/// Something that a model can do, or cannot.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Capability {
    /// It calls tools.
    Tools,
    /// It follows `tool_choice`.
    ToolChoice,
    /// It can be made to call a tool.
    ForcedTools,
    /// It makes several tool calls at once.
    ParallelTools,
    /// It sees images.
    Vision,
    /// It follows a JSON schema.
    JsonSchema,
    /// It thinks before it answers, as much as it is asked to.
    Reasoning,
    /// It hears audio.
    AudioIn,
    /// It answers with audio.
    AudioOut,
    /// It watches videos.
    VideoIn,
    /// It reads PDF files.
    Pdf,
    /// It takes system prompts.
    System,
    /// Its provider keeps prompts in a cache.
    PromptCaching,
    /// It goes on exactly with an assistant's message that is not finished.
    Prefill,
    /// It searches the web.
    WebSearch,
    /// It operates a computer.
    ComputerUse,
    /// It takes `temperature` and the like.
    SamplingParams,
}

impl Capability {
    pub(crate) const ALL: [Self; 17] = [
        Self::Tools,
        Self::ToolChoice,
        Self::ForcedTools,
        Self::ParallelTools,
        Self::Vision,
        Self::JsonSchema,
        Self::Reasoning,
        Self::AudioIn,
        Self::AudioOut,
        Self::VideoIn,
        Self::Pdf,
        Self::System,
        Self::PromptCaching,
        Self::Prefill,
        Self::WebSearch,
        Self::ComputerUse,
        Self::SamplingParams,
    ];

    /// The name that catalogue files use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::ToolChoice => "tool_choice",
            Self::ForcedTools => "forced_tools",
            Self::ParallelTools => "parallel_tools",
            Self::Vision => "vision",
            Self::JsonSchema => "json_schema",
            Self::Reasoning => "reasoning",
            Self::AudioIn => "audio_in",
            Self::AudioOut => "audio_out",
            Self::VideoIn => "video_in",
            Self::Pdf => "pdf",
            Self::System => "system",
            Self::PromptCaching => "prompt_caching",
            Self::Prefill => "prefill",
            Self::WebSearch => "web_search",
            Self::ComputerUse => "computer_use",
            Self::SamplingParams => "sampling_params",
        }
    }

    /// The capability of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    pub(crate) const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
