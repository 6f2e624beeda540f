use backstop_chat::Prefill;

/// Whose server is asked. They all speak OpenAI's format, and each has its own exceptions.
///
/// A server that is not listed is [`Compatible`](Server::Compatible); its records can bear a name of their own
/// through [`OpenAi::named`](crate::OpenAi::named).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Server {
    /// OpenAI itself.
    #[default]
    OpenAi,
    /// Azure OpenAI, at `https://{resource}.openai.azure.com/openai/v1`; the model is a deployment's name.
    Azure,
    /// Gemini's OpenAI-compatible endpoint.
    Gemini,
    /// OpenRouter.
    OpenRouter,
    /// Mistral.
    Mistral,
    /// DeepSeek. Asked at `https://api.deepseek.com/beta`, it goes on with an answer that broke off by prefill.
    DeepSeek,
    /// Ollama.
    Ollama,
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
    /// Any other.
    Compatible,
}

/// What sets one server apart from the others.
pub(crate) struct Profile {
    pub(crate) server: Server,
    /// Its name in errors, records and configurations.
    pub(crate) name: &'static str,
    pub(crate) base: Option<&'static str>,
    /// The header that takes the key bare, where it is not `authorization: Bearer`.
    pub(crate) key_header: Option<&'static str>,
    /// Whether its streams report usage only if `stream_options` asks for it, and it takes that member.
    pub(crate) ask_usage: bool,
    /// Whether it knows the bound on the answer by its older name alone.
    pub(crate) older_bound: bool,
    /// Whether OpenAI's rules for its own models hold.
    pub(crate) model_rules: bool,
    /// Whether it answers with several choices when asked to.
    pub(crate) several: bool,
    /// Whether it fetches images from the web.
    pub(crate) image_urls: bool,
    /// How it goes on with an assistant's message.
    pub(crate) prefill: Option<Prefill>,
    /// What the base URL must end with for that.
    pub(crate) prefill_at: &'static str,
}

/// The message is marked. Sources: Mistral's and DeepSeek's guides; Mistral repeats the prefix, DeepSeek does not.
const PREFIX: Prefill = Prefill {
    echoes: false,
    marks: r#","prefix":true"#,
    members: &[],
};

/// The request says it. Sources: vLLM's and SGLang's `ChatCompletionRequest`; vLLM refuses both members as true, and
/// SGLang passes over those that it does not know.
const CONTINUE: Prefill = Prefill {
    echoes: false,
    marks: "",
    members: &[
        ("continue_final_message", "true"),
        ("add_generation_prompt", "false"),
        ("echo", "false"),
    ],
};

const USUAL: Profile = Profile {
    server: Server::Compatible,
    name: "openai_compatible",
    base: None,
    key_header: None,
    ask_usage: true,
    older_bound: false,
    model_rules: false,
    several: true,
    image_urls: true,
    prefill: None,
    prefill_at: "",
};

const PROFILES: &[Profile] = &[
    Profile {
        server: Server::OpenAi,
        name: "openai",
        base: Some("https://api.openai.com/v1"),
        model_rules: true,
        ..USUAL
    },
    Profile {
        server: Server::Azure,
        name: "azure",
        key_header: Some("api-key"),
        model_rules: true,
        ..USUAL
    },
    Profile {
        server: Server::Gemini,
        name: "gemini",
        base: Some("https://generativelanguage.googleapis.com/v1beta/openai"),
        ..USUAL
    },
    Profile {
        server: Server::OpenRouter,
        name: "openrouter",
        base: Some("https://openrouter.ai/api/v1"),
        ..USUAL
    },
    // Mistral always reports usage, and answers 422 to members that it does not know.
    Profile {
        server: Server::Mistral,
        name: "mistral",
        base: Some("https://api.mistral.ai/v1"),
        ask_usage: false,
        older_bound: true,
        prefill: Some(Prefill {
            echoes: true,
            ..PREFIX
        }),
        ..USUAL
    },
    Profile {
        server: Server::DeepSeek,
        name: "deepseek",
        base: Some("https://api.deepseek.com"),
        older_bound: true,
        prefill: Some(PREFIX),
        prefill_at: "/beta",
        ..USUAL
    },
    // Ollama's `openai/openai.go`: only `max_tokens`, one choice, images only inline.
    Profile {
        server: Server::Ollama,
        name: "ollama",
        base: Some("http://localhost:11434/v1"),
        older_bound: true,
        several: false,
        image_urls: false,
        ..USUAL
    },
    Profile {
        server: Server::Vllm,
        name: "vllm",
        base: Some("http://localhost:8000/v1"),
        prefill: Some(CONTINUE),
        ..USUAL
    },
    Profile {
        server: Server::Sglang,
        name: "sglang",
        base: Some("http://localhost:30000/v1"),
        prefill: Some(CONTINUE),
        ..USUAL
    },
    USUAL,
];

impl Server {
    /// The server of this name, as configurations write it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        PROFILES
            .iter()
            .find(|profile| profile.name == name)
            .map(|profile| profile.server)
    }

    /// Its name, as errors, records and configurations write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.profile().name
    }

    /// Where it answers, if that is the same for everyone.
    #[must_use]
    pub fn base_url(self) -> Option<&'static str> {
        self.profile().base
    }

    pub(crate) fn profile(self) -> &'static Profile {
        PROFILES
            .iter()
            .find(|profile| profile.server == self)
            .unwrap_or(&USUAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_is_found_by_its_name() {
        for profile in PROFILES {
            assert_eq!(Server::from_name(profile.name), Some(profile.server));
            assert_eq!(profile.server.name(), profile.name);
            if let Some(base) = profile.base {
                let base = base.parse().expect("a URI");
                backstop_chat::endpoint(&base, "x").expect("a base URL");
            }
        }
        assert_eq!(Server::from_name("nobody"), None);
    }
}
