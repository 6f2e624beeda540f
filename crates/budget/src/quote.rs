use backstop_core::{Ask, NanoUsd, Usage, UsageSource};

use crate::layer::Options;
use crate::{Amounts, Currency, Leg, Mode, Price};

/// What a call may take: the bounds that a reservation is made of.
pub(crate) struct Quote {
    /// The most tokens in; `None` if nobody can tell.
    input: Option<u64>,
    /// The most tokens out, of each choice.
    pub(crate) output: u64,
    choices: u64,
    /// Neither the request nor the model bounds the answer: somebody has to.
    pub(crate) is_open: bool,
    pub(crate) is_priced: bool,
}

/// In which currencies hard limits hold.
#[derive(Clone, Copy, Default)]
pub(crate) struct Hard {
    pub(crate) usd: bool,
    pub(crate) tokens: bool,
}

impl Hard {
    pub(crate) fn of(legs: &[Leg]) -> Self {
        let any = |currency| {
            legs.iter().any(|leg| {
                let budget = leg.budget();
                budget.mode() == Mode::Hard && budget.currency() == currency
            })
        };
        Self {
            usd: any(Currency::NanoUsd),
            tokens: any(Currency::Tokens),
        }
    }
}

impl Quote {
    pub(crate) fn new<Req, P>(
        request: &Req,
        price: &P,
        options: &Options,
        input: Option<u64>,
    ) -> Self
    where
        Req: Ask,
        P: Price<Req>,
    {
        let asked = request.max_output();
        let able = price.max_output();
        let output = match (asked, able) {
            (Some(asked), Some(able)) => asked.min(able),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => options.output_cap,
        };
        Self {
            input,
            output,
            choices: request.choices().max(1),
            is_open: asked.is_none() && able.is_none(),
            is_priced: options.cost(price.most(0, 0)).is_some(),
        }
    }

    /// Takes a closer bound on the prompt. Whether it is one.
    pub(crate) fn shrink(&mut self, input: u64) -> bool {
        let is_closer = self.input.is_none_or(|before| input < before);
        if is_closer {
            self.input = Some(input);
        }
        is_closer
    }

    /// What the prompt has in all likelihood, which is no more than it can have: the guess is a quick one, the bound
    /// may be a closer one.
    pub(crate) fn within(&self, likely_input: u64) -> u64 {
        self.input
            .map_or(likely_input, |most| likely_input.min(most))
    }

    /// The answer has been bounded.
    pub(crate) fn bound(&mut self, output: u64) {
        self.output = output;
        self.is_open = false;
    }

    /// The tokens that are held.
    pub(crate) fn usage(&self) -> Usage {
        let output = self.output.saturating_mul(self.choices);
        let mut usage = Usage::reported(self.input.unwrap_or(0), output);
        usage.source = UsageSource::Estimate;
        usage
    }

    /// The least that is of use, of each choice.
    pub(crate) fn least_output(&self, options: &Options) -> u64 {
        self.output.min(options.min_output)
    }

    pub(crate) fn tokens(&self, output: u64) -> u64 {
        let output = output.saturating_mul(self.choices);
        self.input.unwrap_or(0).saturating_add(output)
    }

    /// The most that it takes, if each choice has at most so many tokens.
    pub(crate) fn amounts<Req, P: Price<Req>>(
        &self,
        price: &P,
        options: &Options,
        output: u64,
        requests: u64,
    ) -> Amounts {
        let all = output.saturating_mul(self.choices);
        let cost = options.cost(price.most(self.input.unwrap_or(0), all));
        Amounts::new(
            cost.map_or(0, NanoUsd::as_nano),
            self.tokens(output),
            requests,
        )
    }

    /// The most tokens that each choice may have so that all of it fits into `granted`, which fits the least.
    pub(crate) fn fit<Req, P: Price<Req>>(
        &self,
        price: &P,
        options: &Options,
        granted: Amounts,
    ) -> u64 {
        let fits = |output| {
            let amounts = self.amounts(price, options, output, 0);
            amounts.of(Currency::NanoUsd) <= granted.of(Currency::NanoUsd)
                && amounts.of(Currency::Tokens) <= granted.of(Currency::Tokens)
        };
        // `low` fits, whatever is above `high` does not.
        let (mut low, mut high) = (self.least_output(options), self.output);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if fits(middle) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }
}
