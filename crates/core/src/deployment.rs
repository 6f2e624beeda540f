use std::sync::Arc;

/// One place where a model can be asked: its name for operators, and the facts that ordering and records need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    id: Arc<str>,
    provider: Arc<str>,
    model: Arc<str>,
    region: Option<Arc<str>>,
    window: Option<u64>,
    weight: u32,
    prefill: bool,
}

impl Deployment {
    /// A deployment with this id; provider and model are unknown, its weight is 1.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        let unknown: Arc<str> = Arc::from("");
        Self {
            id: id.into(),
            provider: Arc::clone(&unknown),
            model: unknown,
            region: None,
            window: None,
            weight: 1,
            prefill: false,
        }
    }

    /// Sets the provider's name, such as `openai`.
    #[must_use]
    pub fn with_provider(mut self, provider: impl Into<Arc<str>>) -> Self {
        self.provider = provider.into();
        self
    }

    /// Sets the provider's name of the model.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<Arc<str>>) -> Self {
        self.model = model.into();
        self
    }

    /// Sets the region that it runs in.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<Arc<str>>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets the context window, in input tokens.
    #[must_use]
    pub fn with_window(mut self, tokens: u64) -> Self {
        self.window = Some(tokens);
        self
    }

    /// Sets the share of traffic under a weighted strategy, relative to its siblings; 0 means only as a fallback.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets whether it goes on exactly with an assistant's message that is not finished.
    #[must_use]
    pub fn with_prefill(mut self, prefill: bool) -> Self {
        self.prefill = prefill;
        self
    }

    /// Its name for operators, unique in a configuration.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The provider's name; empty if unknown.
    #[must_use]
    pub fn provider(&self) -> &Arc<str> {
        &self.provider
    }

    /// The provider's name of the model; empty if unknown.
    #[must_use]
    pub fn model(&self) -> &Arc<str> {
        &self.model
    }

    /// The region that it runs in.
    #[must_use]
    pub fn region(&self) -> Option<&Arc<str>> {
        self.region.as_ref()
    }

    /// The context window, in input tokens.
    #[must_use]
    pub const fn window(&self) -> Option<u64> {
        self.window
    }

    /// Whether it goes on exactly with an assistant's message that is not finished.
    #[must_use]
    pub const fn prefill(&self) -> bool {
        self.prefill
    }

    /// The share of traffic under a weighted strategy.
    #[must_use]
    pub const fn weight(&self) -> u32 {
        self.weight
    }
}
