//! The thread that has the file: it commits together what has queued up.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, SystemTime};

use backstop_budget::{
    Amounts, Balance, Budget, Denied, Granted, Lease, Reason, Refused, Reservation, Unavailable,
};
use backstop_core::{Observe, wall};
use tokio::sync::oneshot;

use super::batch::{self, Batch};
use super::file::{self, File};
use super::hold::{Held, Open};
use super::{Event, Shared};

/// How many steps are committed together at the most.
const BATCH: usize = 64;
/// How long to wait before what could not be written is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// How often rows that have not counted for long are taken out.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the thread is asked to do.
pub(super) enum Command {
    Reserve(Box<Reserve>),
    Settle {
        open: Open,
        spent: Amounts,
    },
    Balances {
        budgets: Vec<Arc<Budget>>,
        now: SystemTime,
        reply: oneshot::Sender<Result<Vec<Balance>, Unavailable>>,
    },
    /// Tell when all before it is on disk.
    Flush(oneshot::Sender<()>),
    /// The same, and end.
    Close(oneshot::Sender<()>),
}

pub(super) struct Reserve {
    pub(super) ledger: Arc<Shared>,
    pub(super) reservation: Reservation,
    pub(super) instead_of: Option<Box<Held>>,
    pub(super) reply: oneshot::Sender<Result<Lease, Denied>>,
}

type Observer = Box<dyn for<'a> Observe<Event<'a>> + Send>;

pub(super) struct Writer {
    file: File,
    observer: Observer,
    /// What is settled, and not on disk yet. It stays until it is.
    unsettled: VecDeque<(Open, Amounts)>,
    failing: bool,
    /// Who waits for all of it to be on disk.
    flushes: Vec<oneshot::Sender<()>>,
    close: Option<oneshot::Sender<()>>,
    forgotten: SystemTime,
}

impl Writer {
    pub(super) fn new(file: File, observer: Observer) -> Self {
        Self {
            file,
            observer,
            unsettled: VecDeque::new(),
            failing: false,
            flushes: Vec::new(),
            close: None,
            forgotten: wall::now(),
        }
    }

    pub(super) fn start(self, commands: Receiver<Command>) -> io::Result<()> {
        thread::Builder::new()
            .name("backstop-ledger".into())
            .spawn(move || self.run(&commands))?;
        Ok(())
    }

    fn run(mut self, commands: &Receiver<Command>) {
        let reservations = self.file.recovered;
        if reservations > 0 {
            self.observer.observe(&Event::Recovered { reservations });
        }
        loop {
            let first = if self.unsettled.is_empty() {
                commands.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                commands.recv_timeout(RETRY)
            };
            let mut batch = match first {
                Ok(first) => vec![first],
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) if self.unsettled.is_empty() => return,
                // Nobody is left to ask for anything, but what was spent must still be written.
                Err(RecvTimeoutError::Disconnected) => {
                    thread::park_timeout(RETRY);
                    Vec::new()
                }
            };
            batch.extend(commands.try_iter().take(BATCH - 1));
            self.step(batch);
            if self.unsettled.is_empty() {
                for reply in self.flushes.drain(..) {
                    let _ = reply.send(());
                }
                if let Some(reply) = self.close.take() {
                    // The file is let go of before anybody is told so.
                    drop(self);
                    let _ = reply.send(());
                    return;
                }
            }
        }
    }

    fn step(&mut self, batch: Vec<Command>) {
        let mut reserves = Vec::new();
        let mut questions = Vec::new();
        for command in batch {
            match command {
                // Whoever gave up waiting must not get what others could use. A lease that was to be swapped is
                // voided with it.
                Command::Reserve(reserve) if reserve.reply.is_closed() => {
                    drop(reserve.instead_of.map(Held::into_lease));
                }
                Command::Reserve(reserve) => reserves.push(*reserve),
                Command::Settle { open, spent } => self.unsettled.push_back((open, spent)),
                Command::Balances {
                    budgets,
                    now,
                    reply,
                } => questions.push((budgets, now, reply)),
                Command::Flush(reply) => self.flushes.push(reply),
                Command::Close(reply) => self.close = Some(reply),
            }
        }
        if !(reserves.is_empty() && self.unsettled.is_empty()) {
            let decisions = self.write(&reserves);
            self.told(&decisions);
            match decisions {
                Ok(decisions) => {
                    for (reserve, decision) in reserves.into_iter().zip(decisions) {
                        self.unsettled.extend(reserve.answer(decision));
                    }
                }
                Err(error) => {
                    let unavailable = unavailable(&error);
                    for reserve in reserves {
                        reserve.refuse(Reason::Unavailable(unavailable.clone()));
                    }
                }
            }
        }
        // Of those who gave up in the meantime nothing is to be seen.
        if !(questions.is_empty() || self.unsettled.is_empty()) {
            let written = self.write(&[]);
            self.told(&written);
        }
        for (budgets, now, reply) in questions {
            let balances = batch::balances(&self.file.db, &budgets, now);
            let _ = reply.send(balances.map_err(|error| unavailable(&error)));
        }
    }

    /// Settles first: room that has become free is there for those who ask.
    fn write(&mut self, reserves: &[Reserve]) -> rusqlite::Result<Vec<Result<Granted, Refused>>> {
        let now = wall::now();
        if now
            .duration_since(self.forgotten)
            .is_ok_and(|since| since > DAY)
        {
            self.forgotten = now;
            file::forget(&self.file.db, now)?;
        }
        let mut batch = Batch::begin(&mut self.file.db)?;
        for (open, spent) in &self.unsettled {
            batch.settle(open, *spent)?;
        }
        let decisions = reserves
            .iter()
            .map(|reserve| {
                let old = reserve.instead_of.as_ref().map(|held| held.open());
                batch.reserve(&reserve.reservation, old)
            })
            .collect::<rusqlite::Result<_>>()?;
        batch.commit()?;
        self.unsettled.clear();
        Ok(decisions)
    }

    fn told<T>(&mut self, written: &rusqlite::Result<T>) {
        match written {
            Ok(_) if self.failing => {
                self.failing = false;
                self.observer.observe(&Event::Writing);
            }
            Err(error) if !self.failing => {
                self.failing = true;
                let (error, waiting) = (&*error.to_string(), self.unsettled.len());
                self.observer.observe(&Event::Failing { error, waiting });
            }
            _ => {}
        }
    }
}

impl Reserve {
    /// What is to be voided, if nobody takes it any more.
    fn answer(self, decision: Result<Granted, Refused>) -> Option<(Open, Amounts)> {
        let (granted, exceeded) = match decision {
            Ok(granted) => granted,
            Err(refused) => {
                self.refuse(Reason::Refused(Box::new(refused)));
                return None;
            }
        };
        let (id, if_lost) = (self.reservation.id(), self.reservation.when_lost());
        let open = Open {
            id,
            legs: self.reservation.into_legs(),
            granted,
        };
        let lease = Box::new(Held::new(self.ledger, open, if_lost)).into_lease();
        let unwanted = self
            .reply
            .send(Ok(lease.with_exceeded(exceeded)))
            .err()?
            .ok()?;
        let held = unwanted.into_hold::<Held>().ok()?;
        Some((held.into_open(), Amounts::ZERO))
    }

    fn refuse(self, reason: Reason) {
        let lease = self.instead_of.map(Held::into_lease);
        let _ = self.reply.send(Err(Denied { reason, lease }));
    }
}

fn unavailable(error: &rusqlite::Error) -> Unavailable {
    Unavailable::new(format!("its file cannot be written: {error}")).with_retry_after(RETRY)
}
