//! Where accounts are kept: `store`, and the ledger that it means.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backstop::budget::{Ledger, MemoryLedger};
use backstop::{BoxError, Budget};
use backstop_store::{RedisLedger, SqliteLedger, redis, sqlite};
use secrecy::{ExposeSecret, SecretString};

use crate::document::Value;
use crate::error::{ConfigError, Place};
use crate::read::{Section, text};

/// `store`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Store {
    Sqlite(PathBuf),
    Redis(RedisStore),
    /// For as long as the process lives.
    Memory,
}

/// A server that several processes share.
#[derive(Clone, Debug)]
pub(crate) struct RedisStore {
    /// They may hold a password.
    urls: Vec<SecretString>,
    settings: RedisSettings,
}

/// What is not said is as [`redis::Options`] has it.
#[derive(Clone, Debug, PartialEq)]
struct RedisSettings {
    prefix: Option<String>,
    cluster: bool,
    timeout: Option<Duration>,
    lease: Option<Duration>,
    allotment: Option<u32>,
}

impl RedisSettings {
    fn options(&self) -> redis::Options {
        let usual = redis::Options::default();
        redis::Options {
            prefix: self.prefix.clone().unwrap_or(usual.prefix),
            cluster: self.cluster,
            timeout: self.timeout.unwrap_or(usual.timeout),
            lease: self.lease.unwrap_or(usual.lease),
            allotment: self.allotment.unwrap_or(usual.allotment),
        }
    }
}

impl PartialEq for RedisStore {
    fn eq(&self, other: &Self) -> bool {
        fn urls(store: &RedisStore) -> impl Iterator<Item = &str> {
            store.urls.iter().map(ExposeSecret::expose_secret)
        }
        urls(self).eq(urls(other)) && self.settings == other.settings
    }
}

impl Store {
    /// Refuses a budget that it cannot keep.
    pub(crate) fn check(&self, budget: &Budget) -> Result<(), String> {
        match self {
            Self::Redis(_) => redis::check(budget).map_err(|error| error.to_string()),
            Self::Sqlite(_) | Self::Memory => Ok(()),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::Sqlite(PathBuf::from("./backstop.db"))
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Redis(_) => f.write_str("Redis"),
            Self::Memory => f.write_str("memory, forgotten at every start"),
        }
    }
}

pub(crate) fn read(top: &mut Section<'_>) -> Result<Store, ConfigError> {
    const KEY: &str = "store";
    const ONE_OF: &str = "`store` is one of `{sqlite: PATH}`, `{redis: URL}` and `memory`";
    let environment = top.environment();
    let Some(node) = top.take(KEY) else {
        return Ok(Store::default());
    };
    if !matches!(node.value, Value::Map(_)) {
        return match text(node, KEY, environment)? {
            (word, _) if word == "memory" => Ok(Store::Memory),
            (_, place) => Err(ConfigError::at(place, ONE_OF)),
        };
    }
    let mut section = Section::of(node, KEY, environment)?;
    let place = section.place();
    let sqlite = section.text("sqlite")?;
    let store = match (sqlite, section.words("redis")?) {
        (Some((path, place)), None) => {
            if path.is_empty() {
                return Err(ConfigError::at(place, "`sqlite` is empty: it names a file"));
            }
            Store::Sqlite(path.into())
        }
        (None, Some(urls)) if urls.is_empty() => {
            return Err(ConfigError::at(
                place,
                "`redis` is empty: it names a server",
            ));
        }
        (None, Some(urls)) => Store::Redis(RedisStore {
            urls: urls
                .into_iter()
                .map(|(url, place)| redis_url(url, place))
                .collect::<Result<_, _>>()?,
            settings: RedisSettings {
                prefix: section.text("prefix")?.map(|(prefix, _)| prefix),
                cluster: section.flag("cluster")?.unwrap_or(false),
                timeout: section.positive_seconds("timeout")?,
                lease: section.positive_seconds("lease")?,
                allotment: section.count("allotment")?,
            },
        }),
        (Some(_), Some(_)) => return Err(ConfigError::at(place, ONE_OF)),
        (None, None) => {
            // Perhaps it is misspelt.
            section.finish()?;
            return Err(ConfigError::at(place, ONE_OF));
        }
    };
    section.finish()?;
    Ok(store)
}

fn redis_url(url: String, place: Place) -> Result<SecretString, ConfigError> {
    if ["redis://", "rediss://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        return Ok(url.into());
    }
    // The value is not shown: it may hold a password.
    Err(
        ConfigError::at(place, "`redis` must be a URL such as redis://host:6379")
            .help("a list of them is a Cluster; `rediss:` is with TLS"),
    )
}

/// The ledger of a process: opened when the first budget is there, and kept whatever is reloaded.
#[derive(Default)]
pub(crate) struct Ledgers {
    open: Mutex<Option<Open>>,
    /// Whether nothing is to be opened that outlives the process.
    is_rehearsal: bool,
}

struct Open {
    store: Store,
    ledger: Arc<dyn Ledger>,
    closes: Closes,
}

/// What has something to write before the process ends.
#[derive(Clone)]
enum Closes {
    Nothing,
    Sqlite(SqliteLedger),
    Redis(RedisLedger),
}

impl Ledgers {
    pub(crate) fn rehearsal() -> Self {
        Self {
            is_rehearsal: true,
            ..Self::default()
        }
    }

    /// The ledger, which is opened if none is. A file is opened at once, which blocks.
    pub(crate) async fn ledger(&self, store: &Store) -> Result<Arc<dyn Ledger>, BoxError> {
        if let Some(ledger) = self.opened(store) {
            return Ok(ledger);
        }
        let (ledger, closes): (Arc<dyn Ledger>, _) = match store {
            _ if self.is_rehearsal => (Arc::new(MemoryLedger::new()), Closes::Nothing),
            Store::Memory => (Arc::new(MemoryLedger::new()), Closes::Nothing),
            Store::Sqlite(path) => {
                let ledger = SqliteLedger::open_observed(path, log_sqlite)?;
                (Arc::new(ledger.clone()), Closes::Sqlite(ledger))
            }
            Store::Redis(store) => {
                let options = store.settings.options();
                let urls = store.urls.iter().map(ExposeSecret::expose_secret);
                let ledger = RedisLedger::connect_observed(urls, options, log_redis).await?;
                (Arc::new(ledger.clone()), Closes::Redis(ledger))
            }
        };
        *self.open() = Some(Open {
            store: store.clone(),
            ledger: Arc::clone(&ledger),
            closes,
        });
        Ok(ledger)
    }

    fn opened(&self, store: &Store) -> Option<Arc<dyn Ledger>> {
        let open = self.open();
        let open = open.as_ref()?;
        if open.store != *store {
            tracing::warn!(
                "the `store` section has changed: it takes effect when the gateway is restarted"
            );
        }
        Some(Arc::clone(&open.ledger))
    }

    /// Waits until what was settled is written, and lets go of what it is written to.
    pub(crate) async fn close(&self) {
        let closes = self.open().as_ref().map(|open| open.closes.clone());
        match closes {
            Some(Closes::Sqlite(ledger)) => ledger.close().await,
            Some(Closes::Redis(ledger)) => ledger.close().await,
            Some(Closes::Nothing) | None => {}
        }
    }

    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_redis(event: &redis::Event<'_>) {
    match event {
        redis::Event::Unreachable { error, waiting } => tracing::warn!(
            error,
            waiting,
            "ledger: Redis does not answer; under a budget only what was drawn ahead is admitted until it does"
        ),
        redis::Event::Empty { wait } => tracing::info!(
            ?wait,
            "ledger: Redis is empty; before anything is admitted, others may write back what they know"
        ),
        redis::Event::Reachable => tracing::warn!("ledger: Redis answers again, nothing is lost"),
        redis::Event::Restored => tracing::warn!(
            "ledger: Redis had lost data; what this process knew of it is there again"
        ),
        redis::Event::Recovered { reservations } => tracing::warn!(
            reservations,
            "ledger: what a process left behind that died has been settled"
        ),
        redis::Event::Evicting { policy } => tracing::warn!(
            policy,
            "ledger: Redis is set up to drop data when it is full; set maxmemory-policy to noeviction"
        ),
        _ => {}
    }
}

/// One line for whatever an operator should know of the file.
fn log_sqlite(event: &sqlite::Event<'_>) {
    match event {
        sqlite::Event::Recovered { reservations } => tracing::warn!(
            reservations,
            "ledger: what a process left behind that died has been settled"
        ),
        sqlite::Event::Failing { error, waiting } => tracing::warn!(
            error,
            waiting,
            "ledger: the file cannot be written; nothing is admitted under a budget until it can"
        ),
        sqlite::Event::Writing => {
            tracing::warn!("ledger: it can be written again, nothing is lost")
        }
        _ => {}
    }
}
