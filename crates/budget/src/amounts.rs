use std::fmt;

/// The largest amount of anything: about 1.15 billion dollars.
///
/// Several of them still add up in a signed 64-bit integer, which is what databases count with. Amounts and limits
/// above it are taken for it.
pub const MAX_AMOUNT: u64 = 1 << 60;

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Currency {
    /// Billionths of a US dollar.
    NanoUsd,
    /// Tokens, in and out.
    Tokens,
    /// Requests. A request that several deployments were asked for is one.
    Requests,
}

impl Currency {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NanoUsd, Self::Tokens, Self::Requests];

    /// The name that budgets, records and metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NanoUsd => "usd",
            Self::Tokens => "tokens",
            Self::Requests => "requests",
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// So much of each [`Currency`]. Each is at most [`MAX_AMOUNT`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    nano_usd: u64,
    tokens: u64,
    requests: u64,
}

impl Amounts {
    /// Nothing.
    pub const ZERO: Self = Self::new(0, 0, 0);

    /// These amounts.
    #[must_use]
    pub const fn new(nano_usd: u64, tokens: u64, requests: u64) -> Self {
        Self {
            nano_usd: capped(nano_usd),
            tokens: capped(tokens),
            requests: capped(requests),
        }
    }

    /// The amount of `currency`.
    #[must_use]
    pub const fn of(&self, currency: Currency) -> u64 {
        match currency {
            Currency::NanoUsd => self.nano_usd,
            Currency::Tokens => self.tokens,
            Currency::Requests => self.requests,
        }
    }

    /// The same, but so much of `currency`.
    #[must_use]
    pub const fn with(mut self, currency: Currency, amount: u64) -> Self {
        let amount = capped(amount);
        match currency {
            Currency::NanoUsd => self.nano_usd = amount,
            Currency::Tokens => self.tokens = amount,
            Currency::Requests => self.requests = amount,
        }
        self
    }

    /// Of each currency the lesser amount.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            nano_usd: self.nano_usd.min(other.nano_usd),
            tokens: self.tokens.min(other.tokens),
            requests: self.requests.min(other.requests),
        }
    }
}

pub(crate) const fn capped(amount: u64) -> u64 {
    if amount > MAX_AMOUNT {
        MAX_AMOUNT
    } else {
        amount
    }
}
