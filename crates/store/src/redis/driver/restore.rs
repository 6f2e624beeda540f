use backstop_budget::ReservationId;
use backstop_core::wall;
use tokio::time::Instant;

use super::Driver;
use super::step::newer;
use crate::redis::Event;
use crate::redis::call::{Reply, Steps};

/// How many rows or reservations are written back with one call.
const AT_ONCE: usize = 256;

/// Why Redis has to be told what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restore {
    /// Nothing is known yet.
    First,
    /// It has lost all, or others restore it.
    Lost,
    /// It has lost something, which nobody else may have seen.
    Anew,
}

impl Driver {
    /// Writes back what is known. Nothing of it changes anything that is there already, so it may be done again.
    ///
    /// What was settled and not answered yet comes after it: it is settled on what was held before.
    pub(super) async fn restore(&mut self, restore: Restore) {
        let mark = ReservationId::fresh().to_string();
        let mut is_first = true;
        for steps in self.calls() {
            let anew = is_first && restore == Restore::Anew;
            let done = match self.send(steps, Some((&mark, anew))).await {
                Ok(Reply::Done(done)) => done,
                Ok(Reply::Newer(version)) => return self.failed(&newer(&version)),
                Ok(_) => return self.failed("it has seen a later batch"),
                Err(error) => return self.failed(&error),
            };
            if !is_first && done.incarnation != self.incarnation {
                // It has lost them again.
                self.restore = Some(Restore::Lost);
                return;
            }
            is_first = false;
            self.incarnation = done.incarnation;
            self.freeze(done.frozen);
            self.known.learn(done.rows, wall::now());
            if restore == Restore::Anew {
                // From here on that would set others back.
                self.restore = Some(Restore::Lost);
            }
            if !matches!(&*done.policy, "" | "noeviction") {
                let policy = &*done.policy;
                self.observer.observe(&Event::Evicting { policy });
            }
        }
        self.restore = None;
        self.beat = Instant::now();
        if restore != Restore::First {
            self.observer.observe(&Event::Restored);
        } else if let Some(until) = self.frozen {
            let wait = until.saturating_duration_since(Instant::now());
            self.observer.observe(&Event::Empty { wait });
        }
    }

    /// In parts: the rows, then what is held.
    fn calls(&self) -> Vec<Steps> {
        let mut calls = Vec::new();
        for rows in self.known.rows().chunks(AT_ONCE) {
            let mut steps = Steps::default();
            for row in rows {
                steps.known(row);
            }
            calls.push(steps);
        }
        let open: Vec<_> = self.open.values().collect();
        for open in open.chunks(AT_ONCE) {
            let mut steps = Steps::default();
            for open in open {
                steps.open(open);
            }
            calls.push(steps);
        }
        let mut steps = Steps::default();
        steps.only(self.open.keys());
        calls.push(steps);
        calls
    }
}
