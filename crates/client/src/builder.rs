use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::gathered::{Connector, Gathered};
use crate::{Client, NoRoots};

/// How long a connection may take to stand, TLS excluded.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept: shorter than most load balancers keep theirs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// Room for the head of any answer.
const MIN_BUFFER: usize = 8 * 1024;
/// How many HTTP/2 streams can stand still before their connection does: more than servers allow at a time.
const STREAMS: u32 = 128;
/// The largest window that HTTP/2 has (RFC 9113, §6.9.1).
const MAX_WINDOW: u32 = (1 << 31) - 1;

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
    pub(crate) const fn new() -> Self {
        Self {
            connection_buffer: 32 * 1024,
            http2_window: 64 * 1024,
        }
    }

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

    fn over(self, connector: HttpsConnector<Connector>) -> Client {
        let (stream, connection) = self.windows();
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .timer(TokioTimer::new())
            // One half is read while the other waits to be taken.
            .http1_read_buf_exact_size((self.connection_buffer / 2).max(MIN_BUFFER))
            .http2_initial_stream_window_size(stream)
            .http2_initial_connection_window_size(connection)
            .http2_max_send_buf_size(stream as usize)
            .build(connector);
        Client::over(inner)
    }

    /// The windows of one HTTP/2 stream and of its connection.
    fn windows(self) -> (u32, u32) {
        let stream = self.http2_window.min(MAX_WINDOW);
        (stream, stream.saturating_mul(STREAMS).min(MAX_WINDOW))
    }
}

fn rustls_provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::ring::default_provider()
}

fn connector() -> Connector {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    Connector::new(http, Gathered::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_no_larger_than_the_protocol_knows() {
        let windows = |bytes| Builder::new().http2_window(bytes).windows();
        assert_eq!(windows(64 * 1024), (64 * 1024, 8 * 1024 * 1024));
        assert_eq!(windows(16 * 1024 * 1024), (16 * 1024 * 1024, MAX_WINDOW));
        assert_eq!(windows(u32::MAX), (MAX_WINDOW, MAX_WINDOW));
    }
}
