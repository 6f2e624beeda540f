//! `backstop serve`.

use std::sync::Arc;
use std::time::Duration;

use backstop_core::BoxError;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::cli::Serve;
use crate::gateway::{Exposure, Gateway};
use crate::listener::{self, Listener};
use crate::shutdown::Signals;
use crate::source::Source;
use crate::{announce, logging, watch};

/// How long the records of requests that were cut off may take.
const LAST_RECORDS: Duration = Duration::from_secs(1);
/// How long the ledger may take to write the last of what was spent.
const LAST_SETTLEMENTS: Duration = Duration::from_secs(5);

pub(crate) async fn run(options: Serve) -> Result<(), BoxError> {
    let (source, config) = Source::open(options.config)?;
    let addresses = listener::resolve(&options.listen).await?;
    let exposure = Exposure {
        public: addresses
            .iter()
            .copied()
            .find(|address| !address.ip().to_canonical().is_loopback()),
        insecure: options.insecure_no_auth,
    };
    logging::init(options.log_format);
    let gateway = Arc::new(Gateway::start(&config, exposure).await?);
    let mut signals = Signals::listen()?;
    let watching = watch::start(Arc::clone(&gateway), source, config.files().to_vec())?;
    let tcp = TcpListener::bind(&*addresses)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    announce(format_args!("listening on http://{}", tcp.local_addr()?));

    let connections = Listener::new(tcp, Arc::clone(&gateway), &config.general)
        .run(signals.next())
        .await;
    tracing::info!("stopping: requests that are under way may end");
    watching.abort();
    let grace = Duration::from_secs(options.shutdown_grace.into());
    connections.finish(grace, signals.next()).await;
    if let Some(records) = gateway.records() {
        records.shutdown(LAST_RECORDS).await?;
    }
    // What could not be written by then is settled at the next start, as what a dead process leaves.
    if timeout(LAST_SETTLEMENTS, gateway.live().close())
        .await
        .is_err()
    {
        tracing::warn!("the ledger could not be written to the end");
    }
    Ok(())
}
