use std::fmt;
use std::marker::PhantomData;

use backstop_core::{BoxError, Classify, Frame, Settle, Watch};

use crate::keys::Tickets;

/// Holds a call's tickets until its outcome is known: the future's at first, then the body's.
///
/// A probe is judged at the first content, an ordinary call at its end: otherwise one long stream is one long
/// probe, and a stream that breaks half-way was a success. Dropped before, it is neutral.
pub struct Judge<C, Res> {
    tickets: Tickets,
    classify: C,
    _res: PhantomData<fn(&Res)>,
}

impl<C, Res> Judge<C, Res> {
    pub(crate) const fn new(tickets: Tickets, classify: C) -> Self {
        Self {
            tickets,
            classify,
            _res: PhantomData,
        }
    }

    /// Judges `outcome` if it is a failure; otherwise the answer may still become one.
    pub(crate) fn unless_failed(self, outcome: Result<&Res, &BoxError>) -> Option<Self>
    where
        C: Classify<Res, BoxError>,
    {
        let Some(failure) = self.classify.classify(outcome) else {
            return Some(self);
        };
        self.tickets.fail(&failure);
        None
    }
}

impl<C, Res> Settle for Judge<C, Res>
where
    C: Classify<Res, BoxError>,
{
    fn settle(self, outcome: Result<(), &BoxError>) {
        let judge = match outcome {
            Ok(()) => Some(self),
            Err(error) => self.unless_failed(Err(error)),
        };
        if let Some(judge) = judge {
            judge.tickets.succeed();
        }
    }
}

impl<C, Res, D> Watch<D> for Judge<C, Res>
where
    C: Classify<Res, BoxError>,
    D: Frame,
{
    fn data(&mut self, data: &D) {
        if data.is_content() {
            self.tickets.answered();
        }
    }
}

impl<C, Res> fmt::Debug for Judge<C, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge")
            .field("tickets", &self.tickets)
            .finish_non_exhaustive()
    }
}
