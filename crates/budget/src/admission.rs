use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use backstop_core::{Ask, BoxError, Continuing, Failure, HasExtensions, Ineligible, Trail};

use crate::budgets::legs;
use crate::error::OverBudget;
use crate::layer::Shared;
use crate::quote::{Hard, Quote};
use crate::spend::Spend;
use crate::{
    Amounts, Currency, Denied, Event, IfLost, Lease, Leg, Meter, Mode, Price, Reason, Refused,
    Reservation, Reserving, Unavailable, Unknown, Unpriced,
};

/// A request on its way through the ledger.
pub(crate) struct Admission<P, Req> {
    shared: Arc<Shared<P>>,
    /// There until it is admitted.
    request: Option<Req>,
    trail: Option<Trail>,
    spend: Option<Spend>,
    hard: Hard,
    quote: Quote,
    /// How often it counts as a request: not again if it has been counted already.
    requests: u64,
    wanted: Amounts,
    /// Whether a closer bound on its prompt has been asked for.
    is_close: bool,
    /// Whether it takes all that it wants or nothing: its answer cannot be bounded.
    is_whole: bool,
    /// There until the ledger has answered.
    reserving: Option<Reserving>,
}

/// A request that may be sent, and who measures its answer.
pub(crate) type Admitted<P, Req> = (Req, Option<Meter<P>>);

/// What a request that arrives comes to.
pub(crate) enum Arrival<P, Req> {
    /// No budget holds for it.
    Free(Admitted<P, Req>),
    /// The ledger has been asked.
    Asking(Admission<P, Req>),
    Refused(BoxError),
}

impl<P, Req> Admission<P, Req>
where
    Req: Ask + HasExtensions,
    P: Price<Req>,
{
    pub(crate) fn begin(shared: Arc<Shared<P>>, request: Req) -> Arrival<P, Req> {
        let trail = Trail::of(request.extensions()).cloned();
        let legs = legs(&shared.rules, &shared.deployment, &request);
        if legs.is_empty() {
            let meter = trail.map(|trail| {
                let likely = shared.price.likely_input(&request).unwrap_or(0);
                Meter::free::<Req>(shared, trail, likely)
            });
            return Arrival::Free((request, meter));
        }
        let hard = Hard::of(&legs);
        let price = &shared.price;
        let quick = price.most_input(&request);
        let input = quick.or_else(|| price.closer_input(&request));
        let quote = Quote::new(&request, price, &shared.options, input);
        let cannot = if (hard.usd || hard.tokens) && input.is_none() {
            Some("nobody can tell how large the prompt is")
        } else if hard.usd && !quote.is_priced && shared.options.unpriced == Unpriced::Deny {
            Some("no price is known")
        } else {
            None
        };
        if let Some(why) = cannot {
            return Arrival::Refused(over_budget(why));
        }
        let extensions = request.extensions();
        let spend = extensions.get::<Spend>().cloned();
        let is_counted = extensions.get::<Continuing>().is_some()
            || spend.as_ref().is_some_and(Spend::is_counted);
        let old = spend.as_ref().and_then(Spend::take);
        let mut admission = Self {
            trail,
            spend,
            hard,
            quote,
            requests: u64::from(!is_counted),
            wanted: Amounts::ZERO,
            is_close: quick.is_none(),
            is_whole: false,
            reserving: None,
            request: Some(request),
            shared,
        };
        admission.reserve(legs, old);
        Arrival::Asking(admission)
    }

    /// Whether the ledger has answered at once.
    pub(crate) fn is_ready(&self) -> bool {
        self.reserving.as_ref().is_some_and(Reserving::is_ready)
    }

    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Admitted<P, Req>, BoxError>> {
        loop {
            let reserving = self.reserving.as_mut().expect("polled after completion");
            let answer = ready!(Pin::new(reserving).poll(cx));
            self.reserving = None;
            let is_short = match &answer {
                Ok(lease) => self.is_short(lease),
                Err(denied) => matches!(denied.reason, Reason::Refused(_)),
            };
            if is_short && self.look_closer() {
                let old = match answer {
                    Ok(lease) => Some(lease),
                    Err(denied) => denied.lease,
                };
                self.reserve(self.legs(), old);
                continue;
            }
            let lease = match answer {
                Ok(lease) => lease,
                Err(denied) => return Poll::Ready(Err(self.deny(denied))),
            };
            if is_short && !self.clamp(lease.granted()) {
                self.is_whole = true;
                self.reserve(self.legs(), Some(lease));
                continue;
            }
            return Poll::Ready(self.admit(lease));
        }
    }

    fn reserve(&mut self, legs: Vec<Leg>, instead_of: Option<Lease>) {
        let Shared {
            price,
            options,
            budgets,
            ..
        } = &*self.shared;
        let amounts = |output| self.quote.amounts(price, options, output, self.requests);
        let wanted = amounts(self.quote.output);
        let least = if self.is_whole {
            wanted
        } else {
            amounts(self.quote.least_output(options))
        };
        let if_lost = match options.unknown {
            Unknown::HoldFull | Unknown::Estimate => IfLost::Charge,
            Unknown::Zero => IfLost::Void,
        };
        let reservation = Reservation::new(legs, wanted)
            .at_least(least)
            .if_lost(if_lost);
        self.wanted = wanted;
        self.reserving = Some(budgets.ledger().reserve(reservation, instead_of));
    }

    /// Whether there is less room than was wanted.
    fn is_short(&self, lease: &Lease) -> bool {
        let less = |currency| lease.granted().of(currency) < self.wanted.of(currency);
        less(Currency::NanoUsd) || less(Currency::Tokens)
    }

    /// Whether it turns out smaller when it is looked at closely.
    fn look_closer(&mut self) -> bool {
        if std::mem::replace(&mut self.is_close, true) {
            return false;
        }
        let closer = self.shared.price.closer_input(self.request());
        closer.is_some_and(|closer| self.quote.shrink(closer))
    }

    /// Bounds the answer to what fits into `granted`. Whether the request lets that be done.
    fn clamp(&mut self, granted: Amounts) -> bool {
        let Shared {
            price,
            options,
            budgets,
            deployment,
            ..
        } = &*self.shared;
        let output = self.quote.fit(price, options, granted);
        let request = self.request.as_mut().expect("polled after completion");
        let is_clamped = request.clamp_output(output);
        if is_clamped {
            self.quote.bound(output);
            budgets.tell(&Event::Clamped { deployment, output });
            if let Some(trail) = &self.trail {
                trail.note(format!("answer bounded to {output} tokens by a budget"));
            }
        }
        is_clamped
    }

    fn admit(&mut self, mut lease: Lease) -> Result<Admitted<P, Req>, BoxError> {
        if !lease.exceeded().is_empty() {
            self.exceeded(lease.exceeded());
        }
        let mut request = self.request.take().expect("polled after completion");
        let must_be_bounded = self.quote.is_open && (self.hard.usd || self.hard.tokens);
        if must_be_bounded && !request.clamp_output(self.quote.output) {
            lease.void();
            return Err(over_budget("its answer cannot be bounded"));
        }
        lease.sent();
        let likely = self.shared.price.likely_input(&request);
        let likely = self.quote.within(likely.unwrap_or(0));
        let shared = Arc::clone(&self.shared);
        let (trail, spend) = (self.trail.take(), self.spend.take());
        let meter = Meter::held::<Req>(
            shared,
            trail,
            likely,
            lease,
            spend,
            self.requests,
            &self.quote,
        );
        Ok((request, Some(meter)))
    }

    fn exceeded(&self, places: &[usize]) {
        // Sorted as the ledger has seen them.
        let reservation = Reservation::new(self.legs(), Amounts::ZERO);
        let deployment = &*self.shared.deployment;
        for leg in places
            .iter()
            .filter_map(|&place| reservation.legs().get(place))
        {
            self.shared
                .budgets
                .tell(&Event::Exceeded { deployment, leg });
            self.note(leg, leg.budget().mode());
        }
    }

    fn deny(&self, Denied { reason, lease }: Denied) -> BoxError {
        if let Some(lease) = lease {
            match &self.spend {
                Some(spend) => spend.park(lease),
                None => lease.void(),
            }
        }
        match reason {
            Reason::Refused(refused) => self.refused(refused),
            Reason::Unavailable(unavailable) => self.unavailable(&unavailable),
        }
    }

    fn refused(&self, refused: Box<Refused>) -> BoxError {
        self.shared.budgets.tell(&Event::Refused {
            deployment: &self.shared.deployment,
            refused: &refused,
        });
        self.note(refused.leg(), Mode::Hard);
        OverBudget::new(refused).into()
    }

    fn unavailable(&self, unavailable: &Unavailable) -> BoxError {
        self.shared.budgets.tell(&Event::Unavailable {
            deployment: &self.shared.deployment,
            unavailable,
        });
        let mut failure =
            Failure::ineligible(Ineligible::Ledger).with_detail(unavailable.to_string());
        if let Some(after) = unavailable.retry_after() {
            failure = failure.with_retry_after(after);
        }
        failure.into()
    }

    fn note(&self, leg: &Leg, mode: Mode) {
        let effect = match mode {
            Mode::Hard => "refused",
            Mode::Soft | Mode::Shadow => mode.as_str(),
        };
        if let Some(trail) = &self.trail {
            trail.ceiling(leg.budget().shared_name(), Arc::clone(leg.id()), effect);
        }
    }

    fn legs(&self) -> Vec<Leg> {
        legs(&self.shared.rules, &self.shared.deployment, self.request())
    }

    fn request(&self) -> &Req {
        self.request.as_ref().expect("polled after completion")
    }
}

fn over_budget(why: &'static str) -> BoxError {
    Failure::ineligible(Ineligible::Budget)
        .with_detail(why)
        .into()
}
