//! The task that has the connection: it sends together what has queued up.

mod question;
mod restore;
mod step;

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use backstop_budget::{Amounts, Denied, Lease, Reason, Reservation, ReservationId, Unavailable};
use backstop_core::{Observe, wall};
use redis::Script;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};

pub(super) use self::question::Question;
use self::restore::Restore;
use super::allotments::Allotments;
use super::call::{Counts, counts};
use super::hold::{Held, Open, Stake};
use super::known::Known;
use super::link::{Connection, Link};
use super::{ConnectError, Event, Options, Shared};

/// How many steps of a kind are sent together at the most.
const BATCH: usize = 64;
/// How long to wait before it is tried again to connect.
const RETRY: Duration = Duration::from_millis(100);

/// What the task is asked to do.
pub(super) enum Command {
    Reserve(Box<Reserve>),
    Settle {
        stake: Stake,
        spent: Amounts,
    },
    Balances(Question),
    /// Tell when all before it is in Redis.
    Flush(oneshot::Sender<()>),
    /// The same, and end.
    Close(oneshot::Sender<()>),
}

pub(super) struct Reserve {
    pub(super) ledger: Arc<Shared>,
    pub(super) reservation: Reservation,
    pub(super) instead_of: Option<Box<Held>>,
    /// It was refused once, and allotments were given back since.
    pub(super) is_repeated: bool,
    pub(super) reply: oneshot::Sender<Result<Lease, Denied>>,
}

/// What is not in Redis yet. It stays until it is.
enum Ending {
    Settle {
        open: Arc<Open>,
        spent: Counts,
        over: Counts,
    },
    /// Whether it was booked is not known. It is not to be, and what it was to replace is to hold what it held.
    Undo {
        id: ReservationId,
        old: Option<Arc<Open>>,
    },
}

type Observer = Box<dyn for<'a> Observe<Event<'a>> + Send>;
type Connecting = Pin<Box<dyn Future<Output = Result<Connection, String>> + Send>>;
type Ready = oneshot::Sender<Result<(), ConnectError>>;

pub(super) struct Driver {
    link: Link,
    connection: Option<Connection>,
    /// Where there is no connection.
    connecting: Option<Connecting>,
    script: Script,
    /// The key that says which slot it is.
    key: String,
    process: String,
    /// How many batches were sent.
    sent: u64,
    incarnation: String,
    options: Options,
    observer: Observer,
    /// Whoever waits for the first answer.
    ready: Option<Ready>,
    is_unreachable: bool,
    restore: Option<Restore>,
    /// Until when nothing is admitted.
    frozen: Option<Instant>,
    beat: Instant,

    reserves: VecDeque<Reserve>,
    questions: VecDeque<Question>,
    unsettled: VecDeque<Ending>,
    /// What is held in Redis.
    open: HashMap<ReservationId, Arc<Open>>,
    known: Known,
    allotments: Allotments,
    /// Who waits for everything to be settled.
    flushes: Vec<oneshot::Sender<()>>,
    close: Option<oneshot::Sender<()>>,
    /// Nobody is left who could ask.
    is_alone: bool,
}

impl Driver {
    pub(super) fn new(link: Link, options: Options, observer: Observer, ready: Ready) -> Self {
        let connecting = Box::pin(link.connect());
        Self {
            link,
            connection: None,
            connecting: Some(connecting),
            script: Script::new(include_str!("batch.lua")),
            key: format!("{{{}}}:meta", options.prefix),
            process: ReservationId::fresh().to_string(),
            sent: 0,
            incarnation: String::new(),
            observer,
            ready: Some(ready),
            is_unreachable: false,
            restore: Some(Restore::First),
            frozen: None,
            beat: Instant::now(),
            reserves: VecDeque::new(),
            questions: VecDeque::new(),
            unsettled: VecDeque::new(),
            open: HashMap::new(),
            known: Known::new(),
            allotments: Allotments::new(options.allotment),
            flushes: Vec::new(),
            close: None,
            is_alone: false,
            options,
        }
    }

    pub(super) async fn run(mut self, mut commands: UnboundedReceiver<Command>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            self.wait(&mut commands, &mut batch).await;
            while batch.len() < BATCH
                && let Ok(command) = commands.try_recv()
            {
                batch.push(command);
            }
            for command in batch.drain(..) {
                self.take(command);
            }
            self.drop_cancelled();
            let now = Instant::now();
            if self.frozen.is_some_and(|until| until <= now) {
                self.frozen = None;
            }
            if self.is_ending() {
                self.allotments.retire_all();
            } else if self.beat <= now {
                self.allotments.retire_idle(now, wall::now());
            }
            self.collect();
            if self.is_resting() {
                self.answer_alone();
            } else if self.is_busy() || self.beat <= now {
                self.step().await;
            }
            if self.has_ended().await {
                return;
            }
        }
    }

    /// Until there is something to do.
    async fn wait(&mut self, commands: &mut UnboundedReceiver<Command>, batch: &mut Vec<Command>) {
        if !self.is_resting() && self.is_busy() {
            return;
        }
        let until = self.frozen.unwrap_or(self.beat);
        let connecting = self.connecting.as_mut();
        let is_connecting = connecting.is_some();
        let connected = tokio::select! {
            biased;
            received = commands.recv_many(batch, BATCH), if !self.is_alone => {
                self.is_alone = received == 0;
                return;
            }
            connected = async { connecting.expect("it is asked").await }, if is_connecting => connected,
            () = sleep_until(until), if !is_connecting => return,
        };
        self.connecting = None;
        match connected {
            Ok(connection) => self.connection = Some(connection),
            Err(error) => self.failed(&error),
        }
    }

    /// Whether Redis is not to be asked now.
    const fn is_resting(&self) -> bool {
        self.connection.is_none() || self.frozen.is_some()
    }

    fn is_busy(&self) -> bool {
        self.restore.is_some()
            || !(self.reserves.is_empty() && self.questions.is_empty() && self.unsettled.is_empty())
            || self.allotments.wants_any()
    }

    const fn is_ending(&self) -> bool {
        self.is_alone || self.close.is_some()
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Reserve(reserve) => self.reserves.push_back(*reserve),
            Command::Settle { stake, spent } => self.settle(stake, spent),
            Command::Balances(question) => self.questions.push_back(question),
            Command::Flush(reply) => self.flushes.push(reply),
            Command::Close(reply) => self.close = Some(reply),
        }
    }

    fn settle(&mut self, stake: Stake, spent: Amounts) {
        match stake {
            Stake::Part(part) => self.allotments.settle(part, spent),
            Stake::Booked(open) => {
                let (held, spent) = (counts(open.granted), counts(spent));
                let over = [0, 1, 2].map(|place| spent[place].saturating_sub(held[place]));
                self.unsettled
                    .push_back(Ending::Settle { open, spent, over });
            }
        }
    }

    /// Whoever gave up waiting must not get what others could use. A lease that was to be swapped is voided with it.
    fn drop_cancelled(&mut self) {
        let mut waiting = mem::take(&mut self.reserves);
        waiting.retain_mut(|reserve| {
            let is_cancelled = reserve.reply.is_closed();
            if is_cancelled && let Some(held) = reserve.instead_of.take() {
                self.settle(held.into_stake(), Amounts::ZERO);
            }
            !is_cancelled
        });
        self.reserves = waiting;
    }

    /// What has ended of the allotments is to be settled.
    fn collect(&mut self) {
        let ended = self.allotments.ended.drain(..);
        self.unsettled.extend(ended.map(|ended| Ending::Settle {
            open: ended.open,
            spent: ended.spent,
            over: ended.over,
        }));
    }

    /// Answers those who wait without asking Redis.
    fn answer_alone(&mut self) {
        let unavailable = self.unavailable();
        for reserve in mem::take(&mut self.reserves) {
            self.answer_from_allotments(reserve, &unavailable);
        }
        for question in self.questions.drain(..) {
            question.refuse(unavailable.clone());
        }
    }

    fn unavailable(&self) -> Unavailable {
        match self.frozen {
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                Unavailable::new("Redis had lost its data, which is being restored")
                    .with_retry_after(left)
            }
            None => Unavailable::new("Redis cannot be reached").with_retry_after(RETRY),
        }
    }

    fn answer_from_allotments(&mut self, reserve: Reserve, unavailable: &Unavailable) {
        match self.allotments.part(&reserve.reservation) {
            None => reserve.refuse(Reason::Unavailable(unavailable.clone())),
            Some(part) => self.grant(reserve, Stake::Part(part), Vec::new()),
        }
    }

    /// Gives it to whoever asked. What it replaces, if that is not done in Redis, is settled.
    fn grant(&mut self, reserve: Reserve, stake: Stake, exceeded: Vec<usize>) {
        let is_swapped_in_redis = matches!(stake, Stake::Booked(_));
        match reserve.instead_of.map(|held| held.into_stake()) {
            Some(Stake::Booked(_)) if is_swapped_in_redis => {}
            Some(old) => self.settle(old, Amounts::ZERO),
            None => {}
        }
        let if_lost = reserve.reservation.when_lost();
        let lease = Box::new(Held::new(reserve.ledger, stake, if_lost)).into_lease();
        if let Err(Ok(unwanted)) = reserve.reply.send(Ok(lease.with_exceeded(exceeded)))
            && let Ok(held) = unwanted.into_hold::<Held>()
        {
            self.settle(held.into_stake(), Amounts::ZERO);
        }
    }

    /// Redis does not answer, or not what it should.
    fn failed(&mut self, error: &str) {
        self.connection = None;
        // What a connection that broke needs is another one, at once.
        let delay = if self.is_unreachable {
            RETRY
        } else {
            Duration::ZERO
        };
        let connecting = self.link.connect();
        self.connecting = Some(Box::pin(async move {
            sleep(delay).await;
            connecting.await
        }));
        if let Some(ready) = self.ready.take() {
            let error = ConnectError::with("it cannot be reached", error);
            let _ = ready.send(Err(error));
            return;
        }
        if !self.is_unreachable {
            self.is_unreachable = true;
            let waiting = self.unsettled.len();
            self.observer
                .observe(&Event::Unreachable { error, waiting });
        }
    }

    /// Redis has done what it was asked.
    fn answered(&mut self) {
        if mem::take(&mut self.is_unreachable) {
            self.observer.observe(&Event::Reachable);
        }
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(Ok(()));
        }
    }

    /// Whether there is nothing left to do for anybody, and Redis knows.
    async fn has_ended(&mut self) -> bool {
        if self.unsettled.is_empty() && self.allotments.ended.is_empty() {
            for reply in self.flushes.drain(..) {
                let _ = reply.send(());
            }
            let is_idle = self.reserves.is_empty() && self.questions.is_empty();
            if self.is_ending() && is_idle && !self.is_resting() && self.restore.is_none() {
                self.leave().await;
                if let Some(reply) = self.close.take() {
                    let _ = reply.send(());
                }
                return true;
            }
        }
        // Nobody has got it.
        self.ready.is_none() && self.incarnation.is_empty()
    }
}

impl Reserve {
    fn refuse(self, reason: Reason) {
        let lease = self.instead_of.map(Held::into_lease);
        let _ = self.reply.send(Err(Denied { reason, lease }));
    }

    /// What it is to replace, if that is held in Redis.
    fn old(&self) -> Option<&Arc<Open>> {
        self.instead_of.as_ref()?.booked()
    }
}

/// A reservation that is booked now.
fn opened(reservation: &Reservation, granted: Amounts) -> Arc<Open> {
    Arc::new(Open {
        id: reservation.id(),
        legs: reservation.legs().to_vec(),
        granted,
        charge: reservation.when_lost() == backstop_budget::IfLost::Charge,
    })
}
