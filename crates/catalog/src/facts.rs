use crate::{Capability, Family, Price};

/// What is known of one model. Whatever is not known is `None`: unknown is neither zero nor "no".
///
/// ```
/// use backstop_catalog::{Capability, Facts};
///
/// let facts = Facts::new().with_window(128_000).with_support(Capability::Vision, false);
/// assert_eq!(facts.supports(Capability::Vision), Some(false));
/// assert_eq!(facts.supports(Capability::Tools), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub(crate) window: Option<u64>,
    pub(crate) output_apart: bool,
    pub(crate) max_output: Option<u64>,
    pub(crate) price: Option<Price>,
    pub(crate) family: Family,
    pub(crate) supports: u32,
    pub(crate) lacks: u32,
}

impl Facts {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the most tokens that a prompt may have.
    #[must_use]
    pub const fn with_window(mut self, tokens: u64) -> Self {
        self.window = Some(tokens);
        self
    }

    /// Sets whether an answer has room of its own, instead of sharing the window with its prompt.
    #[must_use]
    pub const fn with_output_apart(mut self, apart: bool) -> Self {
        self.output_apart = apart;
        self
    }

    /// Sets the most tokens that an answer may have.
    #[must_use]
    pub const fn with_max_output(mut self, tokens: u64) -> Self {
        self.max_output = Some(tokens);
        self
    }

    /// Sets the price.
    #[must_use]
    pub fn with_price(mut self, price: Price) -> Self {
        self.price = Some(price);
        self
    }

    /// Sets how its tokens are estimated.
    #[must_use]
    pub const fn with_family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// Sets whether it can do this.
    #[must_use]
    pub const fn with_support(mut self, capability: Capability, able: bool) -> Self {
        let bit = capability.bit();
        self.supports &= !bit;
        self.lacks &= !bit;
        if able {
            self.supports |= bit;
        } else {
            self.lacks |= bit;
        }
        self
    }

    /// The most tokens that a prompt may have.
    #[must_use]
    pub const fn window(&self) -> Option<u64> {
        self.window
    }

    /// Whether an answer has room of its own, instead of sharing the window with its prompt.
    #[must_use]
    pub const fn output_apart(&self) -> bool {
        self.output_apart
    }

    /// The most tokens that an answer may have.
    #[must_use]
    pub const fn max_output(&self) -> Option<u64> {
        self.max_output
    }

    /// The price.
    #[must_use]
    pub const fn price(&self) -> Option<&Price> {
        self.price.as_ref()
    }

    /// How its tokens are estimated.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Whether it can do this.
    #[must_use]
    pub const fn supports(&self, capability: Capability) -> Option<bool> {
        let bit = capability.bit();
        if self.supports & bit != 0 {
            Some(true)
        } else if self.lacks & bit != 0 {
            Some(false)
        } else {
            None
        }
    }

    /// These facts, and those of `below` where these say nothing.
    pub(crate) fn over(self, below: &Self) -> Self {
        Self {
            window: self.window.or(below.window),
            max_output: self.max_output.or(below.max_output),
            price: self.price.or_else(|| below.price.clone()),
            supports: self.supports | below.supports & !self.lacks,
            lacks: self.lacks | below.lacks & !self.supports,
            ..self
        }
    }
}
