//! A ledger in one SQLite file, which survives the process being killed at any point.
//!
//! # How it works
//!
//! One thread writes. It takes what has queued up while it was busy, up to 64 steps, and commits them together, so
//! one `fsync` serves them all: the write-ahead log with `synchronous=FULL`. An answer is given when its step is on
//! disk, never before. What is to be settled waits in memory until it is written, through a full disk too; meanwhile nothing is
//! admitted.
//!
//! # When the process dies
//!
//! Reservations are rows. One process at a time may have the file open (a lock beside it, `NAME.lock`, says who), so
//! whatever is still reserved when it is opened belonged to a process that is dead: it is settled at once, each as
//! its [`IfLost`](backstop_budget::IfLost) says. Several processes on one account need the Redis ledger.
//!
//! # What is in the file
//!
//! `account` has one row per account and window with `spent`, `reserved` and `overrun`, for 90 days after the window;
//! `reservation` has what is under way. Read it with any SQLite tool while the gateway runs.

mod batch;
mod file;
mod hold;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::SystemTime;

use backstop_budget::{Balances, Budget, Lease, Ledger, Reservation, Reserving};
use backstop_core::Observe;
use tokio::sync::oneshot;

pub use self::file::OpenError;
use self::hold::Held;
use self::writer::{Command, Reserve, Writer};
use crate::shared;

/// A ledger in one SQLite file. Clones share it. See the [module's page](self).
///
/// ```
/// use backstop_budget::{Amounts, Budget, Ledger, Leg, Limit, Reservation, Scope, Window};
/// use backstop_store::SqliteLedger;
/// use std::sync::Arc;
/// use std::time::SystemTime;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("ledger.db");
/// let budget = Arc::new(Budget::new(Scope::Key, Limit::Tokens(1000), Window::total()));
/// let reservation = |tokens| {
///     let leg = Leg::new(Arc::clone(&budget), "web".into(), SystemTime::now());
///     Reservation::new(vec![leg], Amounts::new(0, tokens, 0))
/// };
///
/// let ledger = SqliteLedger::open(&path)?;
/// let lease = ledger.reserve(reservation(800), None).await.expect("there is room");
/// lease.commit(Amounts::new(0, 650, 0));
/// ledger.close().await;
///
/// let ledger = SqliteLedger::open(&path)?;
/// ledger.reserve(reservation(400), None).await.expect_err("it remembers");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteLedger(Arc<Shared>);

/// What the ledger and its leases share: the way to the thread that writes.
struct Shared {
    queue: mpsc::Sender<Command>,
    path: PathBuf,
}

/// What is told of a ledger's doings.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// What processes that died have left behind was settled.
    Recovered {
        /// How many reservations.
        reservations: usize,
    },
    /// The file cannot be written: nothing is admitted until it can. Told once.
    Failing {
        /// In SQLite's words.
        error: &'a str,
        /// How many settlements wait.
        waiting: usize,
    },
    /// It can be written again, and nothing was lost.
    Writing,
}

impl SqliteLedger {
    /// Opens the file, or makes it; settles what dead processes have left. This reads and writes: it blocks.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what, where and what to do: the folder is missing, the file is not writable, corrupt, not a
    /// ledger, of a newer version, or in use by another process.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_observed(path, |_: &Event<'_>| {})
    }

    /// The same, with somebody who is told what happens to it, on the thread that writes.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_observed(
        path: impl AsRef<Path>,
        observer: impl for<'a> Observe<Event<'a>> + Send + 'static,
    ) -> Result<Self, OpenError> {
        let path = path.as_ref();
        Self::over(file::File::open(path)?, path, observer)
    }

    fn over(
        file: file::File,
        path: &Path,
        observer: impl for<'a> Observe<Event<'a>> + Send + 'static,
    ) -> Result<Self, OpenError> {
        let (queue, commands) = mpsc::channel();
        Writer::new(file, Box::new(observer))
            .start(commands)
            .map_err(|error| OpenError::new(path, "its thread cannot be started", error))?;
        Ok(Self(Arc::new(Shared {
            queue,
            path: path.to_owned(),
        })))
    }

    /// Waits until all that was settled before is on disk.
    pub async fn flush(&self) {
        let (reply, done) = oneshot::channel();
        self.0.send(Command::Flush(reply));
        // A ledger that is closed has nothing to write.
        let _ = done.await;
    }

    /// Writes what is to be written, and lets go of the file. Leases that are still out are lost, which is what the
    /// next one to open it finds.
    ///
    /// While the file cannot be written, this waits for that.
    pub async fn close(self) {
        let (reply, done) = oneshot::channel();
        self.0.send(Command::Close(reply));
        let _ = done.await;
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

impl Shared {
    /// Never blocks. Once the ledger is closed, it does nothing.
    fn send(&self, command: Command) {
        let _ = self.queue.send(command);
    }
}

impl Ledger for SqliteLedger {
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
            reply,
        })));
        shared::reserving(answer, foreign)
    }

    fn balances(&self, budgets: &[Arc<Budget>], now: SystemTime) -> Balances {
        let (reply, answer) = oneshot::channel();
        self.0.send(Command::Balances {
            budgets: budgets.to_vec(),
            now,
            reply,
        });
        shared::balances(answer)
    }
}

impl fmt::Debug for SqliteLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLedger")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
