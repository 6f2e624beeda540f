use std::fmt;
use std::sync::Arc;

use backstop_core::{
    BoxError, Failure, FailureKind, Frame, NanoUsd, Reach, RowId, Settle, Trail, Usage,
    UsageSource, Watch, failure_of,
};

use crate::layer::Shared;
use crate::quote::Quote;
use crate::spend::Spend;
use crate::{Amounts, Currency, Event, Lease, Price, Unknown};

/// Finds out what one call took, and pays for it: once, at its end, however it ends.
///
/// First the response future holds it, then the body.
pub struct Meter<P> {
    shared: Arc<Shared<P>>,
    /// `Price::cost`, for whatever request this is: what is dropped need not know its type.
    cost: fn(&P, &Usage) -> Option<NanoUsd>,
    trail: Option<Trail>,
    row: Option<RowId>,
    held: Option<Held>,
    likely_input: u64,
    /// What the provider has said.
    usage: Option<Usage>,
    /// Frames of content: as good as any estimate of their tokens.
    frames: u64,
    /// There is an answer, or a part of one.
    is_answered: bool,
    /// The answer is complete.
    is_proven: bool,
    is_settled: bool,
}

struct Held {
    lease: Lease,
    spend: Option<Spend>,
    requests: u64,
    /// The tokens that it is for.
    usage: Usage,
    /// The most that it takes. More may be held: where one currency is short, the answer is bounded in all.
    most: Amounts,
}

impl<P> Meter<P> {
    /// For a call that no budget holds for: its cost is noted.
    pub(crate) fn free<Req>(shared: Arc<Shared<P>>, trail: Trail, likely_input: u64) -> Self
    where
        P: Price<Req>,
    {
        Self::new(shared, P::cost, Some(trail), likely_input, None)
    }

    /// For a call that `lease` is for.
    pub(crate) fn held<Req>(
        shared: Arc<Shared<P>>,
        trail: Option<Trail>,
        likely_input: u64,
        lease: Lease,
        spend: Option<Spend>,
        requests: u64,
        quote: &Quote,
    ) -> Self
    where
        P: Price<Req>,
    {
        let bound = quote.amounts(&shared.price, &shared.options, quote.output, requests);
        let held = Held {
            most: bound.min(lease.granted()),
            lease,
            spend,
            requests,
            usage: quote.usage(),
        };
        Self::new(shared, P::cost, trail, likely_input, Some(held))
    }

    fn new(
        shared: Arc<Shared<P>>,
        cost: fn(&P, &Usage) -> Option<NanoUsd>,
        trail: Option<Trail>,
        likely_input: u64,
        held: Option<Held>,
    ) -> Self {
        Self {
            row: trail.as_ref().and_then(Trail::last_row),
            shared,
            cost,
            trail,
            held,
            likely_input,
            usage: None,
            frames: 0,
            is_answered: false,
            is_proven: false,
            is_settled: false,
        }
    }

    /// The call has an answer, which is yet to end; `whole` is what it took if all of it is there.
    pub(crate) fn answered(mut self, whole: Option<&Usage>) -> Self {
        self.is_answered = true;
        self.is_proven = whole.is_some();
        self.usage = whole.copied();
        self
    }

    /// The call has none, and never will.
    pub(crate) fn failed(mut self, error: &BoxError) {
        self.is_settled = true;
        if failure_of(&**error).is_some_and(is_free) {
            self.pay_nothing();
        } else {
            self.pay_for_unknown();
        }
    }

    fn close(&mut self, is_complete: bool) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        match self.usage {
            Some(usage) if is_complete => self.pay_for(usage),
            None if is_complete || !self.is_answered => self.pay_for_unknown(),
            _ if self.shared.options.bills_when_cut => self.pay_for_unknown(),
            _ => self.pay_for(self.seen()),
        }
    }

    /// What is known of an answer that broke off.
    fn seen(&self) -> Usage {
        if let Some(mut usage) = self.usage {
            usage.output = usage.output.max(self.frames);
            if usage.source == UsageSource::Provider {
                usage.source = UsageSource::Partial;
            }
            return usage;
        }
        let mut usage = Usage::reported(self.likely_input, self.frames);
        usage.source = UsageSource::Estimate;
        usage
    }

    fn pay_for_unknown(&mut self) {
        match self.shared.options.unknown {
            Unknown::Estimate => self.pay_for(self.seen()),
            Unknown::Zero => self.pay_nothing(),
            Unknown::HoldFull => {
                if let Some(held) = &self.held {
                    let (usage, most) = (held.usage, held.most);
                    let is_known = self.cost(&usage).is_some();
                    let nano = NanoUsd::from_nano(most.of(Currency::NanoUsd));
                    self.pay(usage, is_known.then_some(nano), most);
                }
            }
        }
    }

    fn pay_for(&mut self, usage: Usage) {
        let cost = self.cost(&usage);
        let spent = Amounts::new(
            cost.map_or(0, NanoUsd::as_nano),
            usage.input.saturating_add(usage.output),
            self.held.as_ref().map_or(0, |held| held.requests),
        );
        self.pay(usage, cost, spent);
    }

    fn pay(&mut self, usage: Usage, cost: Option<NanoUsd>, spent: Amounts) {
        let Shared {
            budgets,
            deployment,
            ..
        } = &*self.shared;
        if let Some(Held { lease, spend, .. }) = self.held.take() {
            let held = lease.granted();
            lease.commit(spent);
            if let Some(spend) = spend {
                spend.count();
            }
            if held.min(spent) != spent {
                budgets.tell(&Event::Overrun {
                    deployment,
                    held,
                    spent,
                });
            }
        }
        if let (Some(trail), Some(cost)) = (&self.trail, cost) {
            trail.spent(self.row, usage, cost);
        }
        budgets.tell(&Event::Spent {
            deployment,
            usage: &usage,
            cost,
        });
    }

    fn pay_nothing(&mut self) {
        if let Some(Held {
            mut lease, spend, ..
        }) = self.held.take()
        {
            lease.unsent();
            match spend {
                Some(spend) => spend.park(lease),
                None => lease.void(),
            }
        }
    }

    fn cost(&self, usage: &Usage) -> Option<NanoUsd> {
        self.shared
            .options
            .cost((self.cost)(&self.shared.price, usage))
    }
}

/// Whether a call that failed like this, without an answer, is never billed.
fn is_free(failure: &Failure) -> bool {
    if failure.reach() != Reach::Sent {
        return true;
    }
    let is_refused = failure
        .status()
        .is_some_and(|status| status.is_client_error() || status.is_server_error());
    let may_have_worked = matches!(
        failure.kind(),
        FailureKind::Network
            | FailureKind::Timeout
            | FailureKind::ServerError
            | FailureKind::ContentFilter
            | FailureKind::Cancelled
            | FailureKind::Deadline
    );
    is_refused || !may_have_worked
}

impl<D: Frame, P> Watch<D> for Meter<P> {
    fn data(&mut self, data: &D) {
        self.is_proven |= data.is_terminal();
        self.frames += u64::from(data.is_content());
        if let Some(usage) = data.usage() {
            self.usage = Some(*usage);
        }
    }
}

impl<P> Settle for Meter<P> {
    fn settle(mut self, outcome: Result<(), &BoxError>) {
        self.close(self.is_proven || outcome.is_ok());
    }
}

impl<P> Drop for Meter<P> {
    fn drop(&mut self) {
        // Whoever lets go of an answer that is complete may not have waited for what it took.
        self.close(self.is_proven && self.usage.is_some());
    }
}

impl<P> fmt::Debug for Meter<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("deployment", self.shared.deployment.id())
            .field("lease", &self.held.as_ref().map(|held| &held.lease))
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}
