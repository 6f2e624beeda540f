//! Simulated deployments that share nothing: neither an id nor a key nor a model.

use backstop_sim::Sim;

use crate::support::{Deployment, Response, deployment};

/// The providers, in the order of the chain.
pub(crate) const PROVIDERS: [&str; 3] = ["openai", "anthropic", "bedrock"];

/// One deployment of a group.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) provider: &'static str,
    pub(crate) model: String,
    /// How many tokens its answer has: that alone tells who has answered.
    pub(crate) tokens: u64,
    wrong_key: bool,
}

impl Member {
    /// With these faults: in the simulator's words, or none.
    pub(crate) fn new(group: &str, provider: &'static str, faults: &str) -> Self {
        let (base, tokens) = match provider {
            "openai" => ("gpt-4o", 7),
            "anthropic" => ("claude-sonnet-4-6", 8),
            _ => ("anthropic.claude-sonnet-4-6", 9),
        };
        let mut model = format!("{base}-{group}+tokens={tokens}");
        if !faults.is_empty() {
            model += &format!("+{faults}");
        }
        Self {
            id: format!("{group}-{provider}"),
            group: group.to_owned(),
            provider,
            model,
            tokens,
            wrong_key: false,
        }
    }

    /// With a key that its provider rejects.
    pub(crate) fn wrong_key(self) -> Self {
        Self {
            wrong_key: true,
            ..self
        }
    }

    pub(crate) fn deployment(&self) -> Deployment {
        let Self {
            id,
            group,
            provider,
            model,
            ..
        } = self;
        let key = match (*provider, self.wrong_key) {
            ("bedrock", false) => format!("aws_secret_access_key: {id}"),
            ("bedrock", true) => "aws_access_key_id: AKIABAD".to_owned(),
            (_, false) => format!("api_key: sk-{id}"),
            (_, true) => format!("api_key: sk-bad-{id}"),
        };
        deployment(group, &format!("{provider}/{model}"))
            .id(id)
            .param(&key)
    }

    /// What it answers with.
    pub(crate) fn text(&self) -> String {
        backstop_sim::text(&self.model)
    }

    /// The model that its provider names in its answer. Converse names none: there it is the one that was asked for.
    pub(crate) fn reported_model(&self) -> &str {
        match self.provider {
            "bedrock" => &self.model,
            _ => self.model.split('+').next().unwrap_or_default(),
        }
    }

    pub(crate) fn region(&self) -> Option<&'static str> {
        (self.provider == "bedrock").then_some("us-east-1")
    }

    /// How often it was called, by the simulator's own account.
    pub(crate) fn calls(&self, sim: &Sim) -> usize {
        let entries = sim.journal().entries();
        entries
            .iter()
            .filter(|entry| entry.model == self.model)
            .count()
    }

    /// Asserts that the response is its whole answer, and names it.
    pub(crate) fn assert_answered(&self, response: &Response, what: &str) {
        let answer = response.answer();
        assert_eq!(answer.error, None, "{what}");
        assert_eq!(answer.text, self.text(), "{what}");
        assert_eq!(answer.finish, ["stop"], "{what}");
        let models: Vec<_> = answer.models.iter().map(String::as_str).collect();
        assert_eq!(models, [self.reported_model()], "{what}");
        for (name, value) in [
            ("x-backstop-deployment", &*self.id),
            ("x-backstop-provider", self.provider),
            ("x-backstop-model", &self.model),
            ("x-backstop-region", self.region().unwrap_or_default()),
            ("x-litellm-model-id", &self.id),
        ] {
            assert_eq!(response.header(name), value, "{name} of {what}");
        }
    }
}
