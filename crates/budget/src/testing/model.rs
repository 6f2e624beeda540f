use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::{
    Amounts, Balance, Budget, Currency, Leg, Mode, Reservation, ReservationId, Settlement, Span,
};

/// A ledger that keeps nothing but its entries, and adds them all up for each answer.
#[derive(Debug, Default)]
pub struct Model {
    entries: Vec<Entry>,
    open: HashMap<ReservationId, (Vec<Leg>, Amounts)>,
}

#[derive(Debug)]
struct Entry {
    budget: String,
    id: String,
    bucket: i64,
    reserved: i128,
    spent: i128,
    overrun: i128,
}

/// What the [`Model`] says to a reservation.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// So much is held; these legs had no room for it.
    Granted(Amounts, Vec<usize>),
    /// No leg is booked; the first to have room again does at that time.
    Refused(Option<SystemTime>),
}

impl Model {
    /// Holds what `reservation` asks for, if there is room once `instead_of` is void.
    pub fn reserve(
        &mut self,
        reservation: &Reservation,
        instead_of: Option<ReservationId>,
    ) -> Verdict {
        let old = instead_of.and_then(|id| self.open.remove_entry(&id));
        if let Some((_, (legs, held))) = &old {
            self.book(legs, |currency| (-i128::from(held.of(currency)), 0, 0));
        }
        let hard = || {
            let legs = reservation.legs().iter();
            legs.filter(|leg| leg.budget().mode() == Mode::Hard)
        };
        let mut granted = reservation.wanted();
        for leg in hard() {
            let currency = leg.budget().currency();
            granted = granted.with(currency, granted.of(currency).min(self.headroom(leg)));
        }
        let refusing = hard().filter(|leg| {
            let currency = leg.budget().currency();
            self.headroom(leg) < reservation.least().of(currency)
        });
        // `None` is never: later than any time.
        let until = refusing
            .map(|leg| leg.span().frees(self.oldest(leg)))
            .max_by_key(|until| (until.is_none(), *until));
        if let Some(until) = until {
            if let Some((id, (legs, held))) = old {
                self.book(&legs, |currency| (i128::from(held.of(currency)), 0, 0));
                self.open.insert(id, (legs, held));
            }
            return Verdict::Refused(until);
        }
        let legs = reservation.legs().iter().enumerate();
        let exceeded = legs
            .filter(|(_, leg)| {
                leg.budget().mode() != Mode::Hard
                    && self.headroom(leg) < granted.of(leg.budget().currency())
            })
            .map(|(index, _)| index)
            .collect();
        self.book(reservation.legs(), |currency| {
            (i128::from(granted.of(currency)), 0, 0)
        });
        self.open
            .insert(reservation.id(), (reservation.legs().to_vec(), granted));
        Verdict::Granted(granted, exceeded)
    }

    /// Ends a reservation. The first end stands.
    pub fn settle(&mut self, id: ReservationId, settlement: Settlement) {
        let Some((legs, held)) = self.open.remove(&id) else {
            return;
        };
        let spent = match settlement {
            Settlement::Commit(spent) => spent,
            Settlement::Void => Amounts::ZERO,
        };
        self.book(&legs, |currency| {
            let (held, spent) = (held.of(currency), spent.of(currency));
            let overrun = spent.saturating_sub(held);
            (-i128::from(held), i128::from(spent), i128::from(overrun))
        });
    }

    /// How an account stands.
    #[must_use]
    pub fn balance(&self, budget: &Arc<Budget>, id: &Arc<str>, now: SystemTime) -> Balance {
        let span = budget.window().at(now);
        let sum = |part: fn(&Entry) -> i128| {
            let sum: i128 = self.counting(budget.account(), id, span).map(part).sum();
            u64::try_from(sum).expect("no more is given back than was held")
        };
        Balance {
            budget: Arc::clone(budget),
            id: Arc::clone(id),
            span,
            spent: sum(|entry| entry.spent),
            reserved: sum(|entry| entry.reserved),
            overrun: sum(|entry| entry.overrun),
        }
    }

    fn headroom(&self, leg: &Leg) -> u64 {
        let (name, id) = leg.account();
        let booked: i128 = self
            .counting(name, id, leg.span())
            .map(|entry| entry.reserved + entry.spent)
            .sum();
        let left = i128::from(leg.budget().limit()) - booked;
        u64::try_from(left.max(0)).expect("no more than the limit")
    }

    /// The oldest bucket that takes room.
    fn oldest(&self, leg: &Leg) -> i64 {
        let (name, id) = leg.account();
        let mut buckets: HashMap<i64, i128> = HashMap::new();
        for entry in self.counting(name, id, leg.span()) {
            *buckets.entry(entry.bucket).or_default() += entry.reserved + entry.spent;
        }
        let taking = buckets.into_iter().filter(|(_, booked)| *booked > 0);
        taking
            .map(|(bucket, _)| bucket)
            .min()
            .unwrap_or(leg.span().bucket())
    }

    fn counting<'a>(
        &'a self,
        name: &'a str,
        id: &'a str,
        span: Span,
    ) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| {
            entry.budget == name && entry.id == id && entry.bucket >= span.since()
        })
    }

    fn book(&mut self, legs: &[Leg], of: impl Fn(Currency) -> (i128, i128, i128)) {
        for leg in legs {
            let (reserved, spent, overrun) = of(leg.budget().currency());
            self.entries.push(Entry {
                budget: leg.budget().account().to_string(),
                id: leg.id().to_string(),
                bucket: leg.span().bucket(),
                reserved,
                spent,
                overrun,
            });
        }
    }
}
