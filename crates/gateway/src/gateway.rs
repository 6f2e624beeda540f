//! What a running gateway consists of, and how a part of it is exchanged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use arc_swap::{ArcSwap, Guard};
use backstop_audit::{JsonLines, OnFailure};
use backstop_config::{AuditConfig, Config, Live};
use backstop_core::{BoxError, wall};

use crate::auth::ClientKeys;
use crate::client::EntitleLayer;
use crate::stack::ChatRoute;
use crate::troubles::Troubles;

/// A running gateway, shared by its connections.
#[derive(Debug)]
pub(crate) struct Gateway {
    front: ArcSwap<Front>,
    audit: Option<Records>,
    exposure: Exposure,
    troubles: Troubles,
    started: u64,
}

/// What one configuration amounts to, exchanged as a whole: no request meets the rules of one and the keys of another.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) chat: ChatRoute,
    pub(crate) keys: ClientKeys,
    pub(crate) live: Live,
}

#[derive(Debug)]
struct Records {
    sink: JsonLines,
    config: AuditConfig,
}

/// Who can reach the gateway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exposure {
    /// An address that other machines can reach, if there is one.
    pub(crate) public: Option<SocketAddr>,
    /// Whether strangers are welcome.
    pub(crate) insecure: bool,
}

impl Exposure {
    /// Refuses to serve other machines without a key.
    fn allows(self, config: &Config) -> Result<(), BoxError> {
        match self.public {
            Some(public)
                if !self.insecure
                    && config.general.master_key.is_none()
                    && config.keys().is_empty() =>
            {
                Err(format!(
                    "{public} can be reached by other machines, and no client needs a key: set \
                 general_settings.master_key, listen on 127.0.0.1, or say --insecure-no-auth"
                )
                .into())
            }
            _ => Ok(()),
        }
    }
}

impl Gateway {
    /// Builds everything but the listener.
    pub(crate) async fn start(config: &Config, exposure: Exposure) -> Result<Self, BoxError> {
        exposure.allows(config)?;
        let audit = config.audit.clone().map(Records::open).transpose()?;
        let live = Live::start(config).await?;
        let front = Front::new(config, live, audit.as_ref());
        Ok(Self {
            front: ArcSwap::from_pointee(front),
            audit,
            exposure,
            troubles: Troubles::default(),
            started: wall::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |age| age.as_secs()),
        })
    }

    /// Goes on with another configuration. On an error everything stays as it was.
    pub(crate) async fn reload(&self, config: &Config) -> Result<(), BoxError> {
        self.exposure.allows(config)?;
        let live = self.live().reloaded(config).await?;
        let front = Front::new(config, live, self.audit.as_ref());
        self.front.store(Arc::new(front));
        if config.audit.as_ref() != self.audit.as_ref().map(|records| &records.config) {
            tracing::warn!(
                "the `audit` section has changed: it takes effect when the gateway is restarted"
            );
        }
        Ok(())
    }

    pub(crate) fn front(&self) -> Guard<Arc<Front>> {
        self.front.load()
    }

    pub(crate) fn live(&self) -> Live {
        self.front().live.clone()
    }

    pub(crate) fn records(&self) -> Option<&JsonLines> {
        self.audit.as_ref().map(|records| &records.sink)
    }

    pub(crate) fn troubles(&self) -> &Troubles {
        &self.troubles
    }

    /// When it was started, in seconds of the Unix clock.
    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    /// Whether a request would be served now; if not, why.
    pub(crate) fn readiness(&self) -> Result<(), &'static str> {
        if self.audit.as_ref().is_some_and(Records::refuse) {
            return Err("audit records cannot be written");
        }
        if !self.front().live.is_ready() {
            return Err("every deployment of every model is resting after failures");
        }
        Ok(())
    }
}

impl Front {
    fn new(config: &Config, live: Live, audit: Option<&Records>) -> Self {
        let keys = ClientKeys::new(config.general.master_key.clone(), config.keys());
        let entitle = EntitleLayer {
            has_budgets: config.has_budgets(),
            has_rules: config.has_residency_rules(),
        };
        let sink = audit.map(|records| records.sink.clone());
        Self {
            chat: ChatRoute::new(&config.general, &keys, entitle, live.clone(), sink),
            keys,
            live,
        }
    }
}

impl Records {
    fn open(config: AuditConfig) -> Result<Self, BoxError> {
        let sink = JsonLines::builder()
            .mode(config.mode)
            .on_failure(config.on_failure)
            .open(&config.dir)?;
        Ok(Self { sink, config })
    }

    /// Whether requests are refused for want of a record.
    fn refuse(&self) -> bool {
        self.config.on_failure == OnFailure::Reject && !self.sink.healthy()
    }
}
