//! The steps of a batch, as `batch.lua` reads them.

use std::fmt;

use backstop_budget::{Budget, IfLost, Leg, Mode, Reservation, ReservationId, Span};

use super::{Counts, Row, account, counts, place};
use crate::redis::LARGEST;
use crate::redis::hold::Open;
use crate::shared::seconds;

fn until(span: Span) -> Option<i64> {
    span.frees(span.bucket()).map(seconds)
}

/// The arguments of one batch.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    args: Vec<String>,
}

impl Steps {
    pub(crate) fn into_args(self) -> Vec<String> {
        self.args
    }

    fn push(&mut self, arg: impl fmt::Display) {
        self.args.push(format!("{arg}"));
    }

    fn push_all(&mut self, args: impl IntoIterator<Item = impl fmt::Display>) {
        for arg in args {
            self.push(arg);
        }
    }

    /// `times` is how much headroom an allotment leaves; 0 for what somebody waits for.
    pub(crate) fn reserve(
        &mut self,
        reservation: &Reservation,
        old: Option<ReservationId>,
        times: u64,
    ) {
        self.push("reserve");
        self.push(reservation.id());
        self.push(old.map(|id| id.to_string()).unwrap_or_default());
        self.push(u8::from(reservation.when_lost() == IfLost::Charge));
        self.push(times);
        self.push_all(counts(reservation.wanted()));
        self.push_all(counts(reservation.least()));
        self.push(reservation.legs().len());
        for leg in reservation.legs() {
            let span = leg.span();
            self.leg(leg);
            self.push(span.since());
            self.push(match until(span) {
                Some(until) => (until - span.bucket()).to_string(),
                None => String::new(),
            });
            self.push(u8::from(leg.budget().mode() == Mode::Hard));
            self.push(limit(leg.budget()));
        }
    }

    fn leg(&mut self, leg: &Leg) {
        self.push(account(leg));
        self.push(leg.span().bucket());
        self.push(
            until(leg.span())
                .map(|until| until.to_string())
                .unwrap_or_default(),
        );
        self.push(place(leg.budget().currency()) + 1);
    }

    fn record(&mut self, open: &Open) {
        self.push(u8::from(open.charge));
        self.push_all(counts(open.granted));
        self.push("");
        self.push(open.legs.len());
        for leg in &open.legs {
            self.leg(leg);
        }
    }

    pub(crate) fn settle(&mut self, id: ReservationId, spent: Counts, over: Counts) {
        self.push("settle");
        self.push(id);
        self.push_all(spent);
        self.push_all(over);
    }

    pub(crate) fn undo(&mut self, id: ReservationId, old: Option<&Open>) {
        self.push("undo");
        self.push(id);
        match old {
            None => self.push(""),
            Some(old) => {
                self.push(old.id);
                self.record(old);
            }
        }
    }

    pub(crate) fn room(&mut self, open: &Open) {
        let hard = || {
            open.legs
                .iter()
                .filter(|leg| leg.budget().mode() == Mode::Hard)
        };
        self.push("room");
        self.push(hard().count());
        for leg in hard() {
            self.push(account(leg));
            self.push(place(leg.budget().currency()) + 1);
            self.push(leg.span().since());
            self.push(limit(leg.budget()));
        }
    }

    /// Of its one member, or a page of all, from a cursor.
    pub(crate) fn balances(&mut self, budget: &Budget, span: Span, cursor: &str) {
        self.push(if budget.id().is_some() {
            "balance"
        } else {
            "balances"
        });
        self.push(budget.account());
        self.push(span.since());
        self.push(budget.id().map_or(cursor, |id| id));
    }

    pub(crate) fn known(&mut self, row: &Row) {
        self.push("known");
        self.push(&row.account);
        self.push(row.bucket);
        self.push(row.until.map(|until| until.to_string()).unwrap_or_default());
        self.push(row.spent);
        self.push(row.overrun);
    }

    pub(crate) fn open(&mut self, open: &Open) {
        self.push("open");
        self.push(open.id);
        self.record(open);
    }

    pub(crate) fn only<'a>(&mut self, ids: impl ExactSizeIterator<Item = &'a ReservationId>) {
        self.push("only");
        self.push(ids.len());
        self.push_all(ids);
    }

    pub(crate) fn leave(&mut self) {
        self.push("leave");
    }
}

/// Redis counts no further.
fn limit(budget: &Budget) -> u64 {
    budget.limit().min(LARGEST)
}
