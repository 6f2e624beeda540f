//! The connection: to one server, or to the one of a Cluster that has our slot.

use std::future::Future;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisFuture, Script, Value};

/// For how long a connection may take: longer than an answer, for a handshake.
const CONNECT: Duration = Duration::from_secs(2);

/// How to connect.
#[derive(Clone)]
pub(super) enum Link {
    Server(Box<Client>),
    Cluster(Box<ClusterClient>),
}

pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    /// Several URLs name nodes of a Cluster.
    pub(super) fn to(urls: &[String], is_cluster: bool) -> Result<Self, RedisError> {
        match urls {
            [url] if !is_cluster => Ok(Self::Server(Box::new(Client::open(&**url)?))),
            urls => {
                let client = ClusterClient::builder(urls.iter().map(|url| &**url))
                    .retries(3)
                    .max_retry_wait(10)
                    .build()?;
                Ok(Self::Cluster(Box::new(client)))
            }
        }
    }

    pub(super) fn connect(
        &self,
    ) -> impl Future<Output = Result<Connection, String>> + Send + use<> {
        let link = self.clone();
        async move {
            let connecting = async {
                // Whoever calls has a timeout of its own.
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(None)
                    .set_response_timeout(None);
                match link {
                    Self::Server(client) => client
                        .get_multiplexed_async_connection_with_config(&config)
                        .await
                        .map(Connection::Server),
                    Self::Cluster(client) => {
                        client.get_async_connection().await.map(Connection::Cluster)
                    }
                }
            };
            match tokio::time::timeout(CONNECT, connecting).await {
                Ok(connected) => connected.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no connection within {CONNECT:?}")),
            }
        }
    }
}

impl Connection {
    pub(super) async fn run(
        &mut self,
        script: &Script,
        key: &str,
        args: Vec<String>,
        timeout: Duration,
    ) -> Result<Value, String> {
        let mut invocation = script.prepare_invoke();
        invocation.key(key).arg(args);
        match tokio::time::timeout(timeout, invocation.invoke_async(self)).await {
            Ok(answered) => answered.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {timeout:?}")),
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a redis::Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a redis::Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}
