//! A ledger in Redis or Valkey, which several processes share: one ceiling for all of them.
//!
//! # How it works
//!
//! One task has the connection. It takes what has queued up while it waited for the last answer, up to 64 steps, and sends
//! it as one call of one script: one round trip, in which Redis does nothing else. Redis 6.2 or newer is needed, or Valkey.
//!
//! # When Redis cannot be reached
//!
//! A reservation that is not answered within [`Options::timeout`] is refused as unavailable, and taken back as soon as
//! Redis answers, whether it had arrived or not. What is to be settled waits in memory, however long that takes.
//!
//! Calls go on for a while all the same: for accounts in use the ledger holds an *allotment*, a few requests' worth
//! ([`Options::allotment`]) that are reserved ahead as any other reservation, and at most a twentieth of the headroom.
//! While Redis is away, calls are granted parts of it. That can never break a ceiling. When it is spent, they are refused.
//!
//! # When a process dies
//!
//! Each process renews a claim for [`Options::lease`] with whatever it sends. Once that has passed, the others settle
//! what it held, each reservation as its [`IfLost`](backstop_budget::IfLost) says, and charge its allotments in full.
//!
//! # When Redis loses its data
//!
//! It carries a mark. If that is gone, or a row holds less than it did, every process writes back what it knows of each
//! account and what it holds, and for [`Options::lease`] nothing is admitted but from allotments, so that all have done so
//! before anything is decided. What only a process knew that died before it could say so is lost. Redis with
//! `appendonly yes` loses a second at most, and nobody waits.
//!
//! # What is in Redis
//!
//! Everything begins with the prefix in braces, so that a Cluster keeps it in one slot: a ledger is as large and as fast
//! as one of its nodes. Nothing has a time to live; Redis must not evict (`maxmemory-policy noeviction`).
//!
//! | key | type | what |
//! |---|---|---|
//! | `{p}:meta` | hash | version, the mark, until when nothing is admitted |
//! | `{p}:a:…` | hash | an account: for each bucket `spent`, `reserved`, `overrun`, `until` |
//! | `{p}:b:…` | sorted set | its buckets |
//! | `{p}:n:…` | set | a budget's accounts |
//! | `{p}:due` | sorted set | accounts with rows to take out, 90 days after their window |
//! | `{p}:live`, `{p}:batches` | sorted set, hash | processes: until when they are taken to be alive, what they sent last |
//! | `{p}:r:…` | hash | what a process holds |

mod allotments;
mod call;
mod driver;
mod hold;
mod known;
mod link;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backstop_budget::{Balances, Budget, Lease, Ledger, Reservation, Reserving};
use backstop_core::{BoxError, Observe};
use tokio::sync::{mpsc, oneshot};

use self::driver::{Command, Driver, Question, Reserve};
use self::hold::Held;
use self::link::Link;
use crate::shared;

/// The largest amount of anything on Redis, whose scripts count with floating point: nine million dollars.
///
/// Amounts and limits above it are taken for it. [`check`] says so before.
pub const LARGEST: u64 = 9_000_000_000_000_000;

/// A ledger in Redis. Clones share it. See the [module's page](self).
///
/// ```no_run
/// use backstop_budget::{Amounts, Budget, Ledger, Leg, Limit, Reservation, Scope, Window};
/// use backstop_store::{RedisLedger, redis::Options};
/// use std::sync::Arc;
/// use std::time::SystemTime;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let budget = Arc::new(Budget::new(Scope::Key, Limit::Tokens(1000), Window::total()));
/// let leg = Leg::new(budget, "web".into(), SystemTime::now());
///
/// let ledger = RedisLedger::connect(["redis://127.0.0.1/"], Options::default()).await?;
/// let reservation = Reservation::new(vec![leg], Amounts::new(0, 800, 0));
/// let lease = ledger.reserve(reservation, None).await.expect("there is room");
/// lease.commit(Amounts::new(0, 650, 0));
/// ledger.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisLedger(Arc<Shared>);

/// What the ledger and its leases share: the way to the task that has the connection.
struct Shared {
    queue: mpsc::UnboundedSender<Command>,
    prefix: String,
}

/// How to use it. All processes that share a ledger must agree on `prefix`, and should on `lease`.
#[derive(Clone, Debug)]
pub struct Options {
    /// What all keys begin with; `backstop` unless it is set. Must not hold braces.
    pub prefix: String,
    /// Whether it is a Cluster though only one URL names it.
    pub cluster: bool,
    /// How long to wait for an answer; 50 ms.
    pub timeout: Duration,
    /// After how long a process of which nothing is heard is dead; 10 s.
    pub lease: Duration,
    /// How many requests' worth is held ahead for accounts in use; 4. With 0, nothing is admitted while Redis is away.
    pub allotment: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            prefix: "backstop".to_owned(),
            cluster: false,
            timeout: Duration::from_millis(50),
            lease: Duration::from_secs(10),
            allotment: 4,
        }
    }
}

/// What is told of a ledger's doings.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Redis does not answer, or with an error: nothing is admitted but from allotments. Told once.
    Unreachable {
        /// What it says.
        error: &'a str,
        /// How many settlements wait.
        waiting: usize,
    },
    /// It is reached for the first time, and there is nothing in it. Nothing is admitted before others could write
    /// back what they know.
    Empty {
        /// How long that takes.
        wait: Duration,
    },
    /// It answers again, and nothing was lost.
    Reachable,
    /// Redis had lost data. What this process knew of it is there again.
    Restored,
    /// What processes that died have left behind was settled.
    Recovered {
        /// How many reservations.
        reservations: usize,
    },
    /// Redis is set up to drop data when it is full. Set its `maxmemory-policy` to `noeviction`.
    Evicting {
        /// What it is set to.
        policy: &'a str,
    },
}

/// Whether a ledger in Redis can hold this budget.
///
/// # Errors
///
/// [`TooLarge`] if its limit is above [`LARGEST`].
pub fn check(budget: &Budget) -> Result<(), TooLarge> {
    if budget.limit() > LARGEST {
        return Err(TooLarge {
            budget: budget.name().into(),
        });
    }
    Ok(())
}

impl RedisLedger {
    /// Connects to the server at this URL, or to the Cluster of which these are nodes. `rediss:` is with TLS.
    ///
    /// It comes back when the ledger can admit. If Redis is empty, that takes [`Options::lease`]: there may be others
    /// who know what was in it.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: a URL cannot be read, nobody answers, or what is there was written by a newer version.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn connect(
        urls: impl IntoIterator<Item = impl Into<String>>,
        options: Options,
    ) -> Result<Self, ConnectError> {
        Self::connect_observed(urls, options, |_: &Event<'_>| {}).await
    }

    /// The same, with somebody who is told what happens to it, on the task that has the connection.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Panics
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_observed(
        urls: impl IntoIterator<Item = impl Into<String>>,
        options: Options,
        observer: impl for<'a> Observe<Event<'a>> + Send + 'static,
    ) -> Result<Self, ConnectError> {
        let urls: Vec<String> = urls.into_iter().map(Into::into).collect();
        if options.prefix.is_empty() || options.prefix.contains(['{', '}']) {
            return Err(ConnectError::new(
                "the prefix must be a name without braces",
            ));
        }
        let link = Link::to(&urls, options.cluster)
            .map_err(|error| ConnectError::with("its URL cannot be used", error))?;
        let (queue, commands) = mpsc::unbounded_channel();
        let prefix = options.prefix.clone();
        let (ready, connected) = oneshot::channel();
        let driver = Driver::new(link, options, Box::new(observer), ready);
        tokio::spawn(driver.run(commands));
        connected
            .await
            .unwrap_or_else(|_| Err(ConnectError::new("its task has ended")))?;
        Ok(Self(Arc::new(Shared { queue, prefix })))
    }

    /// Waits until all that was settled before is in Redis.
    ///
    /// While Redis cannot be reached, this waits for that.
    pub async fn flush(&self) {
        let (reply, done) = oneshot::channel();
        self.0.send(Command::Flush(reply));
        // A ledger that is closed has nothing to write.
        let _ = done.await;
    }

    /// Settles what is to be settled, gives back what it has drawn, and ends. Leases that are still out are lost.
    ///
    /// While Redis cannot be reached, this waits for that.
    pub async fn close(self) {
        let (reply, done) = oneshot::channel();
        self.0.send(Command::Close(reply));
        let _ = done.await;
    }

    /// What its keys begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0.prefix
    }
}

impl Shared {
    /// Never blocks. Once the ledger is closed, it does nothing.
    fn send(&self, command: Command) {
        let _ = self.queue.send(command);
    }
}

impl Ledger for RedisLedger {
    fn reserve(&self, reservation: Reservation, instead_of: Option<Lease>) -> Reserving {
        let (instead_of, foreign) = match instead_of.map(Lease::into_hold::<Held>) {
            None => (None, None),
            Some(Ok(held)) if held.is_of(&self.0) => (Some(held), None),
            Some(Ok(held)) => (None, Some(held.into_lease())),
            Some(Err(lease)) => (None, Some(lease)),
        };
        let (reply, answer) = oneshot::channel();
        self.0.send(Command::Reserve(Box::new(Reserve {
            ledger: Arc::clone(&self.0),
            reservation,
            instead_of,
            is_repeated: false,
            reply,
        })));
        shared::reserving(answer, foreign)
    }

    fn balances(&self, budgets: &[Arc<Budget>], now: SystemTime) -> Balances {
        let (reply, answer) = oneshot::channel();
        let question = Question::new(budgets.to_vec(), now, reply);
        self.0.send(Command::Balances(question));
        shared::balances(answer)
    }
}

impl fmt::Debug for RedisLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLedger")
            .field("prefix", &self.0.prefix)
            .finish_non_exhaustive()
    }
}

/// A budget whose limit is more than a ledger in Redis can count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLarge {
    budget: Box<str>,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the limit of budget `{}` is too large for Redis: it counts exactly up to 9 million dollars, or 9e15 tokens \
             or requests",
            self.budget
        )
    }
}

impl Error for TooLarge {}

/// A Redis that cannot be used, and why.
#[derive(Debug)]
pub struct ConnectError {
    what: String,
    source: Option<BoxError>,
}

impl ConnectError {
    fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            source: None,
        }
    }

    fn with(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self {
            what: what.into(),
            source: Some(source.into()),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ledger in Redis: {}", self.what)?;
        match &self.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}

impl Error for ConnectError {
    /// What is behind the cause, which is printed.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref()?.source()
    }
}
