//! The default HTTP client under a provider: hyper with a connection pool, rustls, and HTTP/2 where offered.
//!
//! It is a `tower::Service<http::Request<Full<Bytes>>>`, so tower-http's layers go around it, and any other
//! service of that form can take its place. It never follows redirects, reads no proxy from the environment, and
//! sets no timeout but for connecting: when an answer takes too long is for Backstop's timeout layer to say.
//!
//! ```no_run
//! use backstop_client::Client;
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use tower_service::Service;
//!
//! # async fn get() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = Client::new()?;
//! let request = http::Request::get("https://example.com/").body(Full::<Bytes>::default())?;
//! let response = client.call(request).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! [`Error`] carries a [`Failure`]: `Network`, and whether a byte of the request can have left.
//!
//! # Cancel safety
//!
//! Dropping the future or the body closes the connection, or resets the HTTP/2 stream: the server sees it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use backstop_core::{Failure, FailureKind, Reach};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

/// How long a connection may take to stand, TLS excluded.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept: shorter than most load balancers keep theirs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// Room for the head of any answer.
const MIN_BUFFER: usize = 8 * 1024;
/// How many HTTP/2 streams can stand still before their connection does: more than servers allow at a time.
const STREAMS: u32 = 128;

/// A pooled HTTP client. Clones share the pool.
#[derive(Clone)]
pub struct Client {
    // Every layer above clones its service for each request, and hyper's is half a kilobyte with eight counts.
    inner: Arc<legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>>,
}

impl Client {
    /// A client that trusts the system's certificate authorities.
    ///
    /// # Errors
    ///
    /// [`NoRoots`] if the system has none, as in a bare container.
    pub fn new() -> Result<Self, NoRoots> {
        Self::builder().build()
    }

    /// A client that trusts nobody: for plain HTTP, to servers on the same machine or behind a mesh.
    #[must_use]
    pub fn plain_http() -> Self {
        Self::builder().plain_http()
    }

    /// Another client: how much its connections may hold.
    pub const fn builder() -> Builder {
        Builder {
            connection_buffer: 32 * 1024,
            http2_window: 64 * 1024,
        }
    }
}

/// How much a client's connections hold of answers that are not read as fast as they come.
///
/// A server that sends faster is made to wait: what is in memory for one answer is bounded by these.
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder makes nothing until `build`"]
pub struct Builder {
    connection_buffer: usize,
    http2_window: u32,
}

impl Builder {
    /// Sets how much of one HTTP/1 connection is buffered, in bytes: 32 KiB if it is not said, 16 KiB at least. The
    /// head of an answer has to fit into half of it.
    pub const fn connection_buffer(mut self, bytes: usize) -> Self {
        self.connection_buffer = bytes;
        self
    }

    /// Sets how much of one HTTP/2 stream is buffered, in bytes: 64 KiB if it is not said.
    pub const fn http2_window(mut self, bytes: u32) -> Self {
        self.http2_window = bytes;
        self
    }

    /// As [`Client::new`].
    ///
    /// # Errors
    ///
    /// [`NoRoots`] if the system has no certificate authorities.
    pub fn build(self) -> Result<Client, NoRoots> {
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls_provider())
            .map_err(NoRoots)?;
        Ok(self.over(
            tls.https_or_http()
                .enable_all_versions()
                .wrap_connector(connector()),
        ))
    }

    /// As [`Client::plain_http`].
    #[must_use]
    pub fn plain_http(self) -> Client {
        let tls = rustls::ClientConfig::builder_with_provider(rustls_provider().into())
            .with_safe_default_protocol_versions()
            .expect("the provider's own versions")
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls);
        self.over(
            tls.https_or_http()
                .enable_http1()
                .wrap_connector(connector()),
        )
    }

    fn over(self, connector: HttpsConnector<HttpConnector>) -> Client {
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .timer(TokioTimer::new())
            // One half is read while the other waits to be taken.
            .http1_read_buf_exact_size((self.connection_buffer / 2).max(MIN_BUFFER))
            .http2_initial_stream_window_size(self.http2_window)
            .http2_initial_connection_window_size(self.http2_window.saturating_mul(STREAMS))
            .http2_max_send_buf_size(self.http2_window as usize)
            .build(connector);
        Client {
            inner: Arc::new(inner),
        }
    }
}

fn rustls_provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::ring::default_provider()
}

fn connector() -> HttpConnector {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http
}

impl Service<Request<Full<Bytes>>> for Client {
    type Response = Response<Incoming>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> ResponseFuture {
        ResponseFuture {
            inner: self.inner.request(request),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// The future of [`Client`].
pub struct ResponseFuture {
    inner: legacy::ResponseFuture,
}

impl Future for ResponseFuture {
    type Output = Result<Response<Incoming>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(Pin::new(&mut self.inner).poll(cx)).map_err(Error::new))
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// No answer came.
#[derive(Debug)]
pub struct Error {
    inner: legacy::Error,
    failure: Failure,
}

impl Error {
    fn new(inner: legacy::Error) -> Self {
        let failure = Failure::new(FailureKind::Network);
        let failure = if inner.is_connect() {
            failure
                .with_reach(Reach::Unsent)
                .with_detail("no connection")
        } else {
            failure.with_detail("the connection broke")
        };
        Self { inner, failure }
    }

    /// What the HTTP client itself says; it may name hosts.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn std::error::Error + 'static) {
        &self.inner
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.failure)
    }
}

/// The system has no certificate authorities that a client could trust.
#[derive(Debug)]
pub struct NoRoots(std::io::Error);

impl fmt::Display for NoRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no certificate authorities were found ({}): install the system's `ca-certificates`, or name a bundle in SSL_CERT_FILE",
            self.0
        )
    }
}

impl std::error::Error for NoRoots {}

#[cfg(test)]
mod tests {
    use super::*;
    use backstop_core::failure_of;

    #[tokio::test]
    async fn a_refused_connection_sent_nothing() {
        // Bound and closed again: nobody listens there.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let request = Request::get(format!("http://{address}/"))
            .body(Full::default())
            .expect("valid");
        let error = Client::plain_http()
            .call(request)
            .await
            .expect_err("nobody listens");
        let failure = failure_of(&error).expect("classified");
        assert_eq!(
            (failure.kind(), failure.reach()),
            (FailureKind::Network, Reach::Unsent)
        );
    }

    #[tokio::test]
    async fn a_connection_that_breaks_may_have_sent_everything() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = async {
            let (socket, _) = listener.accept().await.expect("a client");
            socket.readable().await.expect("a request");
            drop(socket);
        };
        let request = Request::get(format!("http://{address}/"))
            .body(Full::default())
            .expect("valid");
        let mut client = Client::plain_http();
        let (answer, ()) = tokio::join!(client.call(request), server);
        let error = answer.expect_err("no answer");
        assert_eq!(failure_of(&error).map(Failure::reach), Some(Reach::Sent));
    }
}
