//! Accepts connections until it is told to stop, and lets them end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backstop_config::General;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::connection::Server;
use crate::gateway::Gateway;

/// How long to wait for file descriptors when there are none left.
const BACK_OFF: Duration = Duration::from_millis(100);

pub(crate) struct Listener {
    tcp: TcpListener,
    server: Server,
}

/// The connections that a listener leaves behind.
pub(crate) struct Connections {
    tasks: JoinSet<()>,
    stopping: watch::Sender<()>,
}

impl Listener {
    pub(crate) fn new(tcp: TcpListener, gateway: Arc<Gateway>, general: &General) -> Self {
        Self {
            tcp,
            server: Server::new(gateway, general),
        }
    }

    /// Accepts connections until `stop`; then the port is closed, and the connections that are left are told.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) -> Connections {
        let mut connections = Connections {
            tasks: JoinSet::new(),
            stopping: watch::Sender::new(()),
        };
        let mut stop = std::pin::pin!(stop);
        let mut exhausted = false;
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = self.tcp.accept() => match accepted {
                    Ok((stream, _)) => {
                        exhausted = false;
                        let stopping = connections.stopping.subscribe();
                        connections.tasks.spawn(self.server.clone().serve(stream, stopping));
                    }
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        if !exhausted {
                            tracing::error!(%error, "no connection can be accepted: trying again");
                        }
                        exhausted = true;
                        sleep(BACK_OFF).await;
                    }
                },
                // Lets go of what connections that have ended leave.
                Some(_) = connections.tasks.join_next() => {}
            }
        }
        connections.stopping.send_replace(());
        connections
    }
}

/// Whether the client was gone before its connection was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

impl Connections {
    /// Waits until what is under way has ended; after `grace`, or at `hurry`, it is cut off.
    pub(crate) async fn finish(mut self, grace: Duration, hurry: impl Future<Output = ()>) {
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        let all = tokio::select! {
            all = timeout(grace, ended) => all.is_ok(),
            () = hurry => false,
        };
        if !all {
            tracing::warn!(
                connections = self.tasks.len(),
                "requests that are still under way are cut off"
            );
            self.tasks.shutdown().await;
        }
    }
}

/// The addresses that `text` stands for: an IP address and a port, or a host and a port.
pub(crate) async fn resolve(text: &str) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::net::lookup_host(text).await;
    let addresses: Vec<_> = found
        .map_err(|error| {
            format!("cannot listen on {text}: {error}; an address is such as 127.0.0.1:4000")
        })?
        .collect();
    if addresses.is_empty() {
        return Err(format!("cannot listen on {text}: it stands for no address"));
    }
    Ok(addresses)
}
