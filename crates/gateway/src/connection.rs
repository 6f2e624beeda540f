//! One client connection: HTTP/1.1, or HTTP/2 by prior knowledge.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use backstop_client::Gathered;
use backstop_config::General;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::gateway::Gateway;

/// What an HTTP/2 client sends first.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a new connection may take to show which version it speaks.
const FIRST_BYTES: Duration = Duration::from_secs(10);

/// How long a connection may take for the head of its next request. hyper counts from the last answer, so it is
/// also how long a client's pool may keep an idle connection: longer than load balancers do (60 s as a rule).
const HEAD: Duration = Duration::from_secs(75);

/// How many HTTP/2 streams' uploads may wait on one connection.
const UPLOADS: u32 = 16;

/// hyper's least.
const MIN_BUFFER: usize = 8 * 1024;

/// The largest head of a request, in bytes. Over HTTP/1.1 it has to fit into half of the connection's buffer, too.
const HEAD_BYTES: usize = 16 * 1024;

/// How much of an answer the system may hold unsent for a client that does not read: it would take megabytes, and
/// the provider would not notice.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 32 * 1024;

/// After how long without a sign of life a peer is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// How connections are served.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    gateway: Arc<Gateway>,
}

impl Server {
    /// Connections hold what `general` allows, whatever the speed of their clients.
    pub(crate) fn new(gateway: Arc<Gateway>, general: &General) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            // Half of it, for events are written in batches: one more may stand behind what waits.
            .max_buf_size((general.connection_buffer / 2).max(MIN_BUFFER))
            .max_header_size(HEAD_BYTES);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .initial_stream_window_size(general.http2_window)
            .initial_connection_window_size(general.http2_window.saturating_mul(UPLOADS))
            .max_send_buf_size(general.http2_window as usize)
            .max_header_list_size(HEAD_BYTES as u32)
            .keep_alive_interval(KEEP_ALIVE);
        Self {
            http1,
            http2,
            gateway,
        }
    }

    /// Serves a connection to its end, or, once `stopping` changes, to the end of what is under way on it.
    pub(crate) async fn serve(self, stream: TcpStream, mut stopping: watch::Receiver<()>) {
        // A socket that refuses these works all the same.
        let _ = stream.set_nodelay(true);
        let _ =
            SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE));
        #[cfg(target_os = "linux")]
        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
        let version = tokio::select! {
            version = timeout(FIRST_BYTES, version(&stream)) => version,
            _ = stopping.changed() => return,
        };
        let Ok(Ok(Some(version))) = version else {
            return;
        };
        let io = Gathered::new(TokioIo::new(stream));
        let gateway = self.gateway;
        let service = service_fn(move |request| {
            let gateway = Arc::clone(&gateway);
            async move { Ok::<_, Infallible>(gateway.answer(request).await) }
        });
        // How a connection ends concerns its client alone; each request's record says how that ended.
        match version {
            Version::Http1 => to_the_end(self.http1.serve_connection(io, service), stopping).await,
            Version::Http2 => to_the_end(self.http2.serve_connection(io, service), stopping).await,
        }
    }
}

async fn to_the_end<C: GracefulConnection>(connection: C, mut stopping: watch::Receiver<()>) {
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopping.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

enum Version {
    Http1,
    Http2,
}

/// The version that the client begins to speak; none if it leaves instead.
async fn version(stream: &TcpStream) -> io::Result<Option<Version>> {
    let mut first = [0; PREFACE.len()];
    loop {
        let seen = stream.peek(&mut first).await?;
        if seen == 0 {
            return Ok(None);
        }
        if !PREFACE.starts_with(&first[..seen]) {
            return Ok(Some(Version::Http1));
        }
        if seen == PREFACE.len() {
            return Ok(Some(Version::Http2));
        }
        // The socket is readable, so nothing tells when the rest has come. Clients send it in one piece.
        sleep(Duration::from_millis(5)).await;
    }
}
