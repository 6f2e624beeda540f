//! The load: so many connections, each of which sends its next request when it has the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::Result;

/// No run takes that long.
const LIMIT: Duration = Duration::from_secs(120);

/// What is sent, how often, over how many connections.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) address: String,
    pub(crate) path: &'static str,
    pub(crate) body: Bytes,
    pub(crate) connections: usize,
    pub(crate) requests: usize,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) took: Duration,
    /// Of each request, from its first byte to the last one of its answer; sorted.
    pub(crate) latencies: Vec<Duration>,
}

impl Load {
    /// Opens the connections, uses each once, and then measures.
    pub(crate) async fn run(&self) -> Result<Run> {
        timeout(LIMIT, self.measure())
            .await
            .map_err(|_| format!("{} is too slow", self.address))?
    }

    async fn measure(&self) -> Result<Run> {
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            let mut connection = self.connect().await?;
            self.ask(&mut connection).await?;
            connections.push(connection);
        }
        let left = Arc::new(AtomicUsize::new(self.requests));
        let mut tasks = JoinSet::new();
        let begun = Instant::now();
        for connection in connections {
            tasks.spawn(self.clone().work(connection, Arc::clone(&left)));
        }
        let mut latencies = Vec::with_capacity(self.requests);
        while let Some(done) = tasks.join_next().await {
            latencies.extend(done??);
        }
        let took = Instant::now() - begun;
        latencies.sort_unstable();
        Ok(Run { took, latencies })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn work(
        self,
        mut connection: SendRequest<Full<Bytes>>,
        left: Arc<AtomicUsize>,
    ) -> Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        let one = |left: usize| left.checked_sub(1);
        while left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one)
            .is_ok()
        {
            let begun = Instant::now();
            self.ask(&mut connection).await?;
            latencies.push(Instant::now() - begun);
        }
        Ok(latencies)
    }

    /// One request, answered to its end.
    async fn ask(&self, connection: &mut SendRequest<Full<Bytes>>) -> Result<()> {
        connection.ready().await?;
        let request = Request::post(self.path)
            .header(HOST, &self.address)
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, "Bearer sk-bench")
            .body(Full::new(self.body.clone()))?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        let mut body = response.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame?.data_ref().map_or(0, Buf::remaining);
        }
        if status != StatusCode::OK || length == 0 {
            return Err(format!("{} answered {status} with {length} bytes", self.address).into());
        }
        Ok(())
    }
}

impl Run {
    /// Requests in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    /// The latency that this part of all requests stayed within, in microseconds.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let last = self.latencies.len() - 1;
        let index = (last as f64 * part).round() as usize;
        self.latencies[index].as_secs_f64() * 1e6
    }
}
