//! A gateway in this process, as `serve` runs it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backstop_config::{Config, Live};
use backstop_core::BoxError;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::gateway::{Exposure, Gateway};
use crate::listener::Listener;

/// How long requests and records may take to end.
const GRACE: Duration = Duration::from_secs(1);

pub(super) struct Host {
    gateway: Arc<Gateway>,
    url: String,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Host {
    pub(super) async fn start(config: &Config, listen: SocketAddr) -> Result<Self, BoxError> {
        let exposure = Exposure {
            public: None,
            insecure: false,
        };
        let gateway = Arc::new(Gateway::start(config, exposure).await?);
        let tcp = TcpListener::bind(listen).await?;
        let url = format!("http://{}", tcp.local_addr()?);
        let listener = Listener::new(tcp, Arc::clone(&gateway), &config.general);
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            let connections = listener.run(stopped).await;
            connections.finish(GRACE, std::future::pending()).await;
        });
        Ok(Self {
            gateway,
            url,
            stop,
            serving,
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn live(&self) -> Live {
        self.gateway.live()
    }

    /// Ends as `serve` does: what is under way may end, and every record is written.
    pub(super) async fn shutdown(self) -> Result<(), BoxError> {
        let _ = self.stop.send(());
        self.serving.await?;
        if let Some(records) = self.gateway.records() {
            records.shutdown(GRACE).await?;
        }
        Ok(())
    }
}
