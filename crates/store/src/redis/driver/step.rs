use std::mem;
use std::sync::Arc;
use std::time::Duration;

use backstop_budget::{Reason, Reservation};
use backstop_core::wall;
use redis::Value;
use tokio::time::Instant;

use super::restore::Restore;
use super::{BATCH, Driver, Ending, Question, Reserve, opened};
use crate::redis::Event;
use crate::redis::allotments::Allotments;
use crate::redis::call::{self, Decision, Done, Reply, Steps, Unreadable};
use crate::redis::hold::{Open, Stake};

/// What is sent together.
struct Batch {
    settling: usize,
    reserves: Vec<Reserve>,
    draws: Vec<Reservation>,
    checks: Vec<Arc<Open>>,
    questions: Vec<Question>,
}

impl Driver {
    /// Sends one batch and hears what becomes of it.
    pub(super) async fn step(&mut self) {
        if let Some(restore) = self.restore {
            self.restore(restore).await;
            return;
        }
        let batch = self.batch();
        let mut steps = Steps::default();
        // Settles first: room that has become free is there for those who ask.
        for ending in self.unsettled.iter().take(batch.settling) {
            match ending {
                Ending::Settle { open, spent, over } => steps.settle(open.id, *spent, *over),
                Ending::Undo { id, old } => steps.undo(*id, old.as_deref()),
            }
        }
        for reserve in &batch.reserves {
            let old = reserve.old().map(|open| open.id);
            steps.reserve(&reserve.reservation, old, 0);
        }
        for draw in &batch.draws {
            steps.reserve(draw, None, Allotments::share());
        }
        for open in &batch.checks {
            steps.room(open);
        }
        for question in &batch.questions {
            question.ask(&mut steps);
        }
        match self.send(steps, None).await {
            Ok(Reply::Done(mut done)) => {
                let rows = mem::take(&mut done.rows);
                if self.known.learn(rows, wall::now()) {
                    self.done(batch, done);
                } else {
                    // It decided on less than was spent.
                    self.settled_on_less(batch.settling);
                    self.restore = Some(Restore::Anew);
                    self.unknown(batch);
                }
            }
            Ok(Reply::Lost) => {
                self.restore = Some(Restore::Lost);
                self.not_done(batch);
            }
            Ok(Reply::Frozen(left)) => {
                self.freeze(left);
                self.not_done(batch);
            }
            Ok(Reply::Stale) => {
                self.failed("it has seen a later batch");
                self.unknown(batch);
            }
            Ok(Reply::Newer(version)) => {
                self.failed(&newer(&version));
                self.not_done(batch);
            }
            Err(error) => {
                self.failed(&error);
                self.unknown(batch);
            }
        }
    }

    fn batch(&mut self) -> Batch {
        let reserves = self.reserves.len().min(BATCH);
        let settling = self.unsettled.len().min(BATCH);
        let is_beat = self.beat <= Instant::now();
        // What was settled before somebody asks is in the answer.
        let questions = if settling == self.unsettled.len() {
            self.questions.len().min(BATCH)
        } else {
            0
        };
        Batch {
            settling,
            reserves: self.reserves.drain(..reserves).collect(),
            draws: self.allotments.draws(),
            checks: if is_beat {
                self.allotments.unchecked()
            } else {
                Vec::new()
            },
            questions: self.questions.drain(..questions).collect(),
        }
    }

    /// One round trip. `restoring` is the mark to set if there is none, and whether to replace the one that is known.
    pub(super) async fn send(
        &mut self,
        steps: Steps,
        restoring: Option<(&str, bool)>,
    ) -> Result<Reply, String> {
        self.sent += 1;
        let (mark, anew) = restoring.unwrap_or_default();
        let mut args = vec![
            self.incarnation.clone(),
            self.process.clone(),
            self.sent.to_string(),
            self.options.lease.as_millis().to_string(),
            mark.to_owned(),
            u8::from(anew).to_string(),
        ];
        args.append(&mut steps.into_args());
        let connection = self.connection.as_mut().expect("it is asked only with one");
        let timeout = self.options.timeout;
        let value = connection
            .run(&self.script, &self.key, args, timeout)
            .await?;
        let reply = Reply::read(value).map_err(|Unreadable| UNREADABLE)?;
        self.beat = Instant::now() + self.options.lease / 3;
        Ok(reply)
    }

    pub(super) fn freeze(&mut self, left: Duration) {
        self.frozen = (!left.is_zero()).then(|| Instant::now() + left);
    }

    fn done(&mut self, batch: Batch, mut done: Done) {
        self.allotments.retire_begun();
        self.answered();
        if done.recovered > 0 {
            let reservations = done.recovered;
            self.observer.observe(&Event::Recovered { reservations });
            // There may be more.
            self.beat = Instant::now();
        }
        if self.hear(batch, &mut done.answers).is_err() {
            self.failed(UNREADABLE);
        }
    }

    fn hear(
        &mut self,
        batch: Batch,
        answers: &mut impl Iterator<Item = Value>,
    ) -> Result<(), Unreadable> {
        for ending in self.unsettled.drain(..batch.settling) {
            answers.next().ok_or(Unreadable)?;
            match ending {
                Ending::Settle { open, .. } => self.open.remove(&open.id),
                Ending::Undo { id, .. } => self.open.remove(&id),
            };
        }
        let mut again = Vec::new();
        for reserve in batch.reserves {
            let value = answers.next().ok_or(Unreadable)?;
            let decision = Decision::read(value, &reserve.reservation)?;
            again.extend(self.decided(reserve, decision));
        }
        for reserve in again.into_iter().rev() {
            self.reserves.push_front(reserve);
        }
        let now = Instant::now();
        for draw in batch.draws {
            let value = answers.next().ok_or(Unreadable)?;
            if let Decision::Held { granted, .. } = Decision::read(value, &draw)? {
                let open = opened(&draw, granted);
                self.open.insert(open.id, Arc::clone(&open));
                self.allotments.drew(open, now);
            }
        }
        for open in batch.checks {
            let rest = call::room(answers.next().ok_or(Unreadable)?)?;
            self.allotments.checked(open.id, rest);
        }
        for mut question in batch.questions {
            if question.hear(answers)? {
                question.answer();
            } else {
                self.questions.push_back(question);
            }
        }
        Ok(())
    }

    /// Answers, unless it is worth asking again.
    fn decided(&mut self, mut reserve: Reserve, decision: Decision) -> Option<Reserve> {
        match decision {
            Decision::Refused(refused) => {
                if !reserve.is_repeated && self.allotments.retire_shared(&reserve.reservation) {
                    reserve.is_repeated = true;
                    return Some(reserve);
                }
                reserve.refuse(Reason::Refused(Box::new(refused)));
            }
            Decision::Held {
                granted,
                exceeded,
                rest,
            } => {
                let open = opened(&reserve.reservation, granted);
                if let Some(old) = reserve.old() {
                    let old = old.id;
                    self.open.remove(&old);
                }
                self.open.insert(open.id, Arc::clone(&open));
                self.allotments
                    .granted(&open.legs, granted, rest, Instant::now());
                self.grant(reserve, Stake::Booked(open), exceeded);
            }
        }
        None
    }

    /// The batch was refused as a whole.
    fn not_done(&mut self, batch: Batch) {
        let unavailable = self.unavailable();
        for reserve in batch.reserves {
            self.answer_from_allotments(reserve, &unavailable);
        }
        for question in batch.questions {
            question.refuse(unavailable.clone());
        }
    }

    /// Nobody knows whether the batch has arrived, or it must not be relied upon.
    fn unknown(&mut self, batch: Batch) {
        for reserve in &batch.reserves {
            let (id, old) = (reserve.reservation.id(), reserve.old().map(Arc::clone));
            self.unsettled.push_back(Ending::Undo { id, old });
        }
        for draw in &batch.draws {
            self.unsettled.push_back(Ending::Undo {
                id: draw.id(),
                old: None,
            });
        }
        self.not_done(batch);
    }

    /// What was just settled is not in the rows that will be restored.
    fn settled_on_less(&mut self, settling: usize) {
        for ending in self.unsettled.drain(..settling) {
            match ending {
                Ending::Settle { open, spent, over } => {
                    self.open.remove(&open.id);
                    self.known.add(&open.legs, spent, over);
                }
                Ending::Undo { id, .. } => {
                    self.open.remove(&id);
                }
            }
        }
    }

    /// Takes its leave: what is still out is lost.
    pub(super) async fn leave(&mut self) {
        let mut steps = Steps::default();
        steps.leave();
        // If it does not arrive, the others will notice in time.
        let _ = self.send(steps, None).await;
    }
}

const UNREADABLE: &str = "its answer cannot be read";

pub(super) fn newer(version: &str) -> String {
    format!("what is there has format {version}, which is newer than this version")
}
