//! What Claude's models take, as data.
//!
//! Sources: Anthropic's model overview, its "migrating to" guides and the pages on extended and adaptive thinking,
//! effort, structured outputs and prefill; the `anthropic` SDK's migration notes (sampling parameters); LiteLLM's
//! price table (output bounds, models that cannot be forced to call a tool).

/// What one family of models takes.
#[derive(Debug)]
pub(crate) struct Model {
    /// The beginning of the name.
    name: &'static str,
    /// The most output tokens.
    pub(crate) max_output: u64,
    /// The bound where the request has none; Anthropic requires one.
    pub(crate) default_output: u64,
    /// The last message may be the assistant's, and is continued.
    pub(crate) prefill: bool,
    /// Temperature or `top_p`, never both.
    pub(crate) sampling: bool,
    pub(crate) thinking: Thinking,
    /// `output_config.format`, and strict tools.
    pub(crate) schemas: bool,
    /// `tool_choice` may force a call.
    pub(crate) forced_tools: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thinking {
    No,
    /// `enabled`, with a budget of tokens.
    Budget,
    /// `adaptive`, with an effort of these levels.
    Adaptive(&'static [&'static str]),
}

const FOUR_LEVELS: &[&str] = &["low", "medium", "high", "max"];
const FIVE_LEVELS: &[&str] = &["low", "medium", "high", "xhigh", "max"];

const CLAUDE_3: Model = Model {
    name: "claude-3",
    max_output: 4096,
    default_output: 4096,
    prefill: true,
    sampling: true,
    thinking: Thinking::No,
    schemas: false,
    forced_tools: true,
};

const CLAUDE_4: Model = Model {
    max_output: 32_000,
    default_output: 32_000,
    thinking: Thinking::Budget,
    ..CLAUDE_3
};

const CLAUDE_4_5: Model = Model {
    max_output: 64_000,
    default_output: 64_000,
    schemas: true,
    ..CLAUDE_4
};

const CLAUDE_4_6: Model = Model {
    max_output: 128_000,
    prefill: false,
    thinking: Thinking::Adaptive(FOUR_LEVELS),
    ..CLAUDE_4_5
};

/// Also any model that is not listed: new ones take what the newest take. Their bound is not known, so a large
/// one goes on as it came, and the default is one that every model since Claude 3.5 takes.
const NEWEST: Model = Model {
    name: "",
    max_output: u64::MAX,
    default_output: 8192,
    sampling: false,
    thinking: Thinking::Adaptive(FIVE_LEVELS),
    ..CLAUDE_4_6
};

const CLAUDE_5: Model = Model {
    max_output: 128_000,
    default_output: 64_000,
    ..NEWEST
};

/// The first that fits counts.
const MODELS: &[Model] = &[
    Model {
        name: "claude-3-7",
        max_output: 64_000,
        default_output: 8192,
        thinking: Thinking::Budget,
        ..CLAUDE_3
    },
    Model {
        name: "claude-3-5",
        max_output: 8192,
        default_output: 8192,
        ..CLAUDE_3
    },
    CLAUDE_3,
    Model {
        name: "claude-opus-4-8",
        ..CLAUDE_5
    },
    Model {
        name: "claude-opus-4-7",
        ..CLAUDE_5
    },
    Model {
        name: "claude-opus-4-6",
        ..CLAUDE_4_6
    },
    Model {
        name: "claude-sonnet-4-6",
        ..CLAUDE_4_6
    },
    Model {
        name: "claude-opus-4-5",
        ..CLAUDE_4_5
    },
    Model {
        name: "claude-sonnet-4-5",
        ..CLAUDE_4_5
    },
    Model {
        name: "claude-haiku-4-5",
        ..CLAUDE_4_5
    },
    Model {
        name: "claude-opus-4-1",
        schemas: true,
        ..CLAUDE_4
    },
    Model {
        name: "claude-opus-4",
        ..CLAUDE_4
    },
    Model {
        name: "claude-sonnet-4",
        max_output: 64_000,
        ..CLAUDE_4
    },
    Model {
        name: "claude-opus-5-5",
        forced_tools: false,
        ..CLAUDE_5
    },
    Model {
        name: "claude-sonnet-5-5",
        forced_tools: false,
        ..CLAUDE_5
    },
    Model {
        name: "claude-fable-5-1",
        forced_tools: false,
        ..CLAUDE_5
    },
    Model {
        name: "claude-mythos-5-1",
        forced_tools: false,
        ..CLAUDE_5
    },
    Model {
        name: "claude-opus-5",
        ..CLAUDE_5
    },
    Model {
        name: "claude-sonnet-5",
        ..CLAUDE_5
    },
    Model {
        name: "claude-haiku-5",
        ..CLAUDE_5
    },
    Model {
        name: "claude-fable-5",
        ..CLAUDE_5
    },
    Model {
        name: "claude-mythos",
        ..CLAUDE_5
    },
];

/// What `model` takes. Whatever stands before `claude-` in its name is a host's business.
pub(crate) fn rules(model: &str) -> &'static Model {
    let name = model.rfind("claude-").map_or(model, |at| &model[at..]);
    MODELS
        .iter()
        .find(|row| name.starts_with(row.name))
        .unwrap_or(&NEWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_found_by_the_beginning_of_its_name() {
        for (model, name) in [
            ("claude-3-opus-20240229", "claude-3"),
            ("claude-3-5-haiku-latest", "claude-3-5"),
            ("claude-opus-4-20250514", "claude-opus-4"),
            ("claude-opus-4-1-20250805", "claude-opus-4-1"),
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
            ("anthropic/claude-sonnet-4-6", "claude-sonnet-4-6"),
            ("claude-sonnet-5-5", "claude-sonnet-5-5"),
            ("claude-sonnet-5", "claude-sonnet-5"),
            ("claude-next-9", ""),
            ("something", ""),
        ] {
            assert_eq!(rules(model).name, name, "{model}");
        }
    }

    /// The models of which a public price list (LiteLLM 1.109's) says whether they take prefill, on Anthropic's own
    /// host and on Vertex.
    #[test]
    fn claude_takes_prefill_up_to_4_5() {
        for model in [
            "claude-3-5-haiku",
            "claude-3-5-haiku@20241022",
            "claude-3-5-sonnet",
            "claude-3-5-sonnet@20240620",
            "claude-3-haiku",
            "claude-3-haiku@20240307",
            "claude-3-opus",
            "claude-3-opus@20240229",
            "claude-3-sonnet",
            "claude-3-sonnet@20240229",
            "claude-haiku-4-5",
            "claude-haiku-4-5-20251001",
            "claude-haiku-4-5@20251001",
            "claude-opus-4-5",
            "claude-opus-4-5-20251101",
            "claude-opus-4-5@20251101",
            "claude-sonnet-4-5",
            "claude-sonnet-4-5-20250929",
            "claude-sonnet-4-5@20250929",
        ] {
            assert!(rules(model).prefill, "{model}");
        }
        for model in [
            "claude-fable-5",
            "claude-fable-5-1",
            "claude-haiku-5-5",
            "claude-mythos-5",
            "claude-mythos-5-1",
            "claude-mythos-preview",
            "claude-opus-4-6",
            "claude-opus-4-6-20260205",
            "claude-opus-4-7",
            "claude-opus-4-7-20260416",
            "claude-opus-4-8",
            "claude-opus-5",
            "claude-opus-5-5",
            "claude-sonnet-4-6",
            "claude-sonnet-5",
            "claude-sonnet-5-5",
        ] {
            assert!(!rules(model).prefill, "{model}");
        }
    }

    #[test]
    fn defaults_are_within_bounds() {
        for row in MODELS {
            assert!(row.default_output <= row.max_output, "{}", row.name);
        }
    }
}
