//! What Bedrock's models take, as far as their ids tell.
//!
//! Sources: Anthropic's model documentation and the migration guide of its SDK 2.11 (prefill, sampling, thinking and
//! effort), AWS's user guide on structured output and on tool use, LiteLLM 1.109 (Nova 2, gpt-oss, models that cannot
//! be forced to call a tool). A model that no row knows is asked as the request says; Bedrock itself will say what it
//! does not take.

/// What a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Whether it goes on from a last message of the assistant.
    pub(crate) prefill: bool,
    /// Which of `temperature` and `topP` it takes.
    pub(crate) sampling: Sampling,
    /// How a reasoning effort is said.
    pub(crate) effort: Effort,
    /// Whether it can be made to call a tool: `toolChoice` of `any` or `tool`.
    pub(crate) forced_tools: bool,
    /// Whether it follows schemas: `outputConfig.textFormat`, and `strict` tools.
    pub(crate) schemas: bool,
    /// Whether `additionalModelRequestFields` are merged into a request in Anthropic's own format.
    pub(crate) anthropic: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sampling {
    Both,
    /// One at a time.
    Either,
    Neither,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Not at all.
    None,
    /// `thinking` with a budget of tokens.
    Budget,
    /// Adaptive `thinking`, and `outputConfig.effort`.
    Adaptive {
        /// Whether there is an effort between `high` and `max`.
        xhigh: bool,
    },
    /// `reasoning_effort`, as OpenAI has it.
    OpenAi,
    /// `reasoningConfig.maxReasoningEffort`.
    Nova,
}

const CLAUDE_3: Rules = Rules {
    prefill: true,
    sampling: Sampling::Both,
    effort: Effort::None,
    forced_tools: true,
    schemas: false,
    anthropic: true,
};

const CLAUDE_3_7: Rules = Rules {
    effort: Effort::Budget,
    ..CLAUDE_3
};

const CLAUDE_4: Rules = Rules {
    sampling: Sampling::Either,
    ..CLAUDE_3_7
};

const CLAUDE_4_5: Rules = Rules {
    schemas: true,
    ..CLAUDE_4
};

const CLAUDE_4_6: Rules = Rules {
    prefill: false,
    effort: Effort::Adaptive { xhigh: false },
    ..CLAUDE_4_5
};

const CLAUDE_4_7: Rules = Rules {
    sampling: Sampling::Neither,
    effort: Effort::Adaptive { xhigh: true },
    ..CLAUDE_4_6
};

const CLAUDE_5_1: Rules = Rules {
    forced_tools: false,
    ..CLAUDE_4_7
};

/// From which version on, newest first.
const CLAUDE: [((u8, u8), Rules); 7] = [
    ((5, 1), CLAUDE_5_1),
    ((4, 7), CLAUDE_4_7),
    ((4, 6), CLAUDE_4_6),
    ((4, 5), CLAUDE_4_5),
    ((4, 0), CLAUDE_4),
    ((3, 7), CLAUDE_3_7),
    ((0, 0), CLAUDE_3),
];

const OTHER: Rules = Rules {
    prefill: false,
    sampling: Sampling::Both,
    effort: Effort::None,
    forced_tools: true,
    schemas: true,
    anthropic: false,
};

/// By a part of the id, the first that fits.
const FAMILIES: [(&str, Rules); 7] = [
    (
        "amazon.nova-2",
        Rules {
            effort: Effort::Nova,
            schemas: false,
            ..OTHER
        },
    ),
    (
        "amazon.nova",
        Rules {
            schemas: false,
            ..OTHER
        },
    ),
    (
        "openai.gpt-oss",
        Rules {
            effort: Effort::OpenAi,
            ..OTHER
        },
    ),
    ("amazon.titan", UNSTEERED),
    ("meta.llama", UNSTEERED),
    ("cohere.", UNSTEERED),
    ("ai21.", UNSTEERED),
];

const UNSTEERED: Rules = Rules {
    forced_tools: false,
    schemas: false,
    ..OTHER
};

/// The rules of the model that `id` names: a model id, an inference profile or an ARN.
pub(crate) fn rules(id: &str) -> Rules {
    let claude = id.split_once("anthropic.claude-").map(|(_, name)| name);
    if let Some(name) = claude.or_else(|| id.strip_prefix("claude-")) {
        let version = claude_version(name);
        return CLAUDE
            .iter()
            .find(|(from, _)| version >= *from)
            .map_or(CLAUDE_3, |(_, rules)| *rules);
    }
    FAMILIES
        .iter()
        .find(|(part, _)| id.contains(part))
        .map_or(OTHER, |(_, rules)| *rules)
}

/// `sonnet-4-5-20250929-v1:0`, `3-7-sonnet-20250219-v1:0`, `opus-4-6-v1`, `v2:1`; the simulator adds `+fault`. A name
/// without a version is taken for a recent one.
fn claude_version(name: &str) -> (u8, u8) {
    let name = name.split([':', '@', '+']).next().unwrap_or(name);
    if name.starts_with('v') || name.starts_with("instant") {
        return (2, 0);
    }
    // A date is no version: it has eight digits.
    let number = |token: &str| (token.len() <= 2).then(|| token.parse().ok()).flatten();
    let mut tokens = name.split('-').skip_while(|token| number(token).is_none());
    match tokens.next().and_then(number) {
        Some(major) => (major, tokens.next().and_then(number).unwrap_or(0)),
        None => (5, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claude_by_version() {
        for (id, version) in [
            ("v2:1", (2, 0)),
            ("instant-v1", (2, 0)),
            ("3-haiku-20240307-v1:0", (3, 0)),
            ("3-5-sonnet-20241022-v2:0", (3, 5)),
            ("3-7-sonnet-20250219-v1:0", (3, 7)),
            ("sonnet-4-20250514-v1:0", (4, 0)),
            ("opus-4-1-20250805-v1:0", (4, 1)),
            ("haiku-4-5-20251001-v1:0", (4, 5)),
            ("opus-4-6-v1", (4, 6)),
            ("sonnet-4-6", (4, 6)),
            ("opus-4-7", (4, 7)),
            ("opus-4-7+429=2", (4, 7)),
            ("opus-4-7@20260416", (4, 7)),
            ("sonnet-5", (5, 0)),
            ("mythos-preview", (5, 0)),
        ] {
            assert_eq!(claude_version(id), version, "{id}");
        }
    }

    /// The models of which a public price list (LiteLLM 1.109's) says whether they take prefill, by any profile.
    #[test]
    fn claude_takes_prefill_up_to_4_5() {
        let taken = [
            "anthropic.claude-3-5-haiku-20241022-v1:0",
            "anthropic.claude-3-5-sonnet-20241022-v2:0",
            "anthropic.claude-3-7-sonnet-20240620-v1:0",
            "anthropic.claude-3-7-sonnet-20250219-v1:0",
            "anthropic.claude-haiku-4-5-20251001-v1:0",
            "anthropic.claude-haiku-4-5@20251001",
            "anthropic.claude-opus-4-1-20250805-v1:0",
            "anthropic.claude-opus-4-20250514-v1:0",
            "anthropic.claude-opus-4-5-20251101-v1:0",
            "anthropic.claude-sonnet-4-20250514-v1:0",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
        ];
        let refused = [
            "anthropic.claude-fable-5",
            "anthropic.claude-fable-5-1",
            "anthropic.claude-haiku-5-5",
            "anthropic.claude-mythos-5",
            "anthropic.claude-mythos-5-1",
            "anthropic.claude-opus-4-6-v1",
            "anthropic.claude-opus-4-7",
            "anthropic.claude-opus-4-8",
            "anthropic.claude-opus-5",
            "anthropic.claude-opus-5-5",
            "anthropic.claude-sonnet-4-6",
            "anthropic.claude-sonnet-5",
            "anthropic.claude-sonnet-5-5",
            "anthropic.claude-mythos-preview",
        ];
        for profile in [
            "", "us.", "eu.", "apac.", "au.", "jp.", "in.", "global.", "us-gov.",
        ] {
            for model in taken {
                assert!(
                    rules(&format!("{profile}{model}")).prefill,
                    "{profile}{model}"
                );
            }
            for model in refused {
                assert!(
                    !rules(&format!("{profile}{model}")).prefill,
                    "{profile}{model}"
                );
            }
        }
        for other in [
            "amazon.nova-pro-v1:0",
            "us.meta.llama4-scout-17b-instruct-v1:0",
            "openai.gpt-oss-120b-1:0",
        ] {
            assert!(!rules(other).prefill, "{other}");
        }
        assert!(
            rules("claude-sonnet-4-5-20250929-v1:0").prefill,
            "a bare name"
        );
    }

    #[test]
    fn rules_by_any_spelling_of_the_id() {
        for id in [
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ] {
            assert!(rules(id).prefill && rules(id).schemas, "{id}");
        }
        assert!(!rules("global.anthropic.claude-sonnet-4-6").prefill);
        assert_eq!(
            rules("anthropic.claude-opus-4-7").sampling,
            Sampling::Neither
        );
        assert!(!rules("us.meta.llama4-scout-17b-instruct-v1:0").forced_tools);
        assert_eq!(rules("us.amazon.nova-2-lite-v1:0").effort, Effort::Nova);
        let opaque = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123";
        assert_eq!(rules(opaque), OTHER);
    }
}
