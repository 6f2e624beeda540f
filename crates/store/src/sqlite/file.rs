//! The file: who may have it open, what must be in it, and what a dead process has left there.

use std::error::Error;
use std::fmt;
use std::fs::TryLockError;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use backstop_core::{BoxError, wall};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::batch::Batch;

/// Marks a file as a ledger: "bslg".
const APPLICATION: i32 = 0x6273_6c67;
/// Of the tables below.
const VERSION: i32 = 1;
/// How long to wait for somebody's tool that writes.
const BUSY: Duration = Duration::from_secs(2);
/// For how long rows are kept when their window has passed.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

const TABLES: &str = "
CREATE TABLE account (
    budget   TEXT NOT NULL,
    id       TEXT NOT NULL,
    bucket   INTEGER NOT NULL,  -- the second since 1970 in which the window, or its part, begins
    until    INTEGER,           -- until when it counts; null for ever
    spent    INTEGER NOT NULL CHECK (spent >= 0),
    reserved INTEGER NOT NULL CHECK (reserved >= 0),
    overrun  INTEGER NOT NULL CHECK (overrun BETWEEN 0 AND spent),
    PRIMARY KEY (budget, id, bucket)
) STRICT, WITHOUT ROWID;
CREATE TABLE reservation (
    id       TEXT NOT NULL PRIMARY KEY,
    nano_usd INTEGER NOT NULL,
    tokens   INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    charge   INTEGER NOT NULL,  -- if it is lost: 1 spends all of it, 0 nothing
    legs     TEXT NOT NULL      -- [[budget, id, bucket, currency], …]
) STRICT, WITHOUT ROWID;
";

/// An open ledger file, and the right to it.
pub(super) struct File {
    pub(super) db: Connection,
    /// How many reservations were found that nobody held any more.
    pub(super) recovered: usize,
    /// Held as long as the connection.
    _lock: std::fs::File,
}

impl File {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let lock = lock(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let told = |error| OpenError::of(path, error);
        let mut db = Connection::open_with_flags(path, flags).map_err(told)?;
        db.busy_timeout(BUSY).map_err(told)?;
        prepare(&db, path)?;
        let recovered = recover(&mut db).map_err(told)?;
        forget(&db, wall::now()).map_err(told)?;
        Ok(Self {
            db,
            recovered,
            _lock: lock,
        })
    }
}

/// A file of its own: SQLite's locks come and go with each transaction. It stands beside what a link leads to, as
/// others may come to that by another way.
fn lock(path: &Path) -> Result<std::fs::File, OpenError> {
    let real = std::fs::canonicalize(path);
    let mut name = real.as_deref().unwrap_or(path).as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(|error| {
            OpenError::new(
                path,
                format!(
                    "its lock {} cannot be made; the folder must exist and be writable",
                    name.display()
                ),
                error,
            )
        })?;
    match file.try_lock() {
        Ok(()) => {
            // Only for people to read: that nobody can is no reason to stop.
            let _ = file
                .set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| writeln!(file, "{}", std::process::id()));
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let owner = std::fs::read_to_string(&name).unwrap_or_default();
            Err(OpenError::plain(
                path,
                format!(
                    "process {} has it open; stop that one, give each its own file, or use Redis where several share \
                     one ceiling",
                    owner.trim()
                ),
            ))
        }
        Err(TryLockError::Error(error)) => Err(OpenError::new(path, "it cannot be locked", error)),
    }
}

fn prepare(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let told = |error| OpenError::of(path, error);
    let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version) = (
        number("application_id").map_err(told)?,
        number("user_version").map_err(told)?,
    );
    let tables: i64 = db
        .query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))
        .map_err(told)?;
    let is_new = application == 0 && version == 0 && tables == 0;
    if !is_new && application != APPLICATION {
        return Err(OpenError::plain(
            path,
            "it is a database of something else; name another file",
        ));
    }
    if version > VERSION {
        return Err(OpenError::plain(
            path,
            format!(
                "a newer version wrote it (format {version}, this one knows {VERSION}); run that version, or name \
                 another file"
            ),
        ));
    }
    if db.is_readonly("main").map_err(told)? {
        return Err(OpenError::plain(
            path,
            "it is read-only; a ledger must be writable, or nothing can be admitted",
        ));
    }
    let damage: String = db
        .query_row("PRAGMA quick_check(1)", (), |row| row.get(0))
        .map_err(told)?;
    if damage != "ok" {
        return Err(OpenError::damaged(path, damage));
    }
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
        .map_err(told)?;
    if is_new {
        let creation = format!(
            "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
        );
        db.execute_batch(&creation).map_err(told)?;
    }
    Ok(())
}

/// Nobody else can have the file open, so whatever is reserved is nobody's.
fn recover(db: &mut Connection) -> rusqlite::Result<usize> {
    let mut batch = Batch::begin(db)?;
    let lost = batch.settle_lost()?;
    batch.commit()?;
    Ok(lost)
}

/// Takes out what has not counted for long.
pub(super) fn forget(db: &Connection, now: SystemTime) -> rusqlite::Result<()> {
    let before = now
        .checked_sub(KEPT)
        .and_then(|moment| moment.duration_since(SystemTime::UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_secs());
    db.execute(
        "DELETE FROM account WHERE until < ?1 AND reserved = 0",
        [i64::try_from(before).unwrap_or(i64::MAX)],
    )?;
    Ok(())
}

/// A ledger file that cannot be used, and why.
#[derive(Debug)]
pub struct OpenError {
    path: PathBuf,
    what: String,
    source: Option<BoxError>,
}

impl OpenError {
    pub(super) fn new(path: &Path, what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self {
            path: path.to_owned(),
            what: what.into(),
            source: Some(source.into()),
        }
    }

    fn plain(path: &Path, what: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            what: what.into(),
            source: None,
        }
    }

    fn damaged(path: &Path, source: impl Into<BoxError>) -> Self {
        let what =
            "it is damaged; restore it from a backup, or move it away to begin with empty accounts";
        Self::new(path, what, source)
    }

    fn of(path: &Path, error: rusqlite::Error) -> Self {
        let what = match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => {
                return Self::new(path, "it is no SQLite database; name another file", error);
            }
            Some(ErrorCode::DatabaseCorrupt) => return Self::damaged(path, error),
            Some(ErrorCode::CannotOpen) => {
                "it cannot be opened; it must be a file in a folder that exists"
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => "it is not writable",
            Some(ErrorCode::DiskFull) => "the disk is full",
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "another program is writing to it"
            }
            _ => "it cannot be used",
        };
        Self::new(path, what, error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ledger {}: {}", self.path.display(), self.what)?;
        match &self.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}

impl Error for OpenError {
    /// What is behind the cause, which is printed.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref()?.source()
    }
}
