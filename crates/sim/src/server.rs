//! The listener, its connections, and the switch that cuts one of them.

use crate::{Faults, Journal, exchange};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream, ToSocketAddrs},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};

/// A running simulator. Dropping it closes its port and every connection.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use backstop_sim::{Outage, Provider, Sim};
///
/// let sim = Sim::bind("127.0.0.1:0").await?;
/// sim.faults().begin(Outage::new(Provider::Anthropic, "529")?);
/// assert!(sim.openai().starts_with("http://127.0.0.1:"));
/// sim.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sim {
    addr: SocketAddr,
    world: Arc<World>,
    serving: JoinHandle<()>,
    /// Dropped or sent on, it ends the serving.
    stop: oneshot::Sender<()>,
}

/// What every request of one simulator shares.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) faults: Faults,
    pub(crate) journal: Arc<Journal>,
}

impl Sim {
    /// Listens on `addr` (port 0 picks a free one) and begins to serve, on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let world = Arc::new(World {
            faults: Faults::default(),
            journal: Arc::new(Journal::new()),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(accept(listener, Arc::clone(&world), stopped));
        Ok(Self {
            addr,
            world,
            serving,
            stop,
        })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://ADDR`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The base URL for OpenAI's format: `/chat/completions` follows.
    #[must_use]
    pub fn openai(&self) -> String {
        format!("http://{}/openai/v1", self.addr)
    }

    /// The base URL for Anthropic's format: `/v1/messages` follows.
    #[must_use]
    pub fn anthropic(&self) -> String {
        format!("http://{}/anthropic", self.addr)
    }

    /// The endpoint for Bedrock's format: `/model/{id}/converse` follows.
    #[must_use]
    pub fn bedrock(&self) -> String {
        format!("http://{}/bedrock", self.addr)
    }

    /// The outages that can be begun and ended.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.world.faults
    }

    /// What has arrived.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.world.journal
    }

    /// Closes the port and every connection, and waits until they are closed.
    pub async fn shutdown(self) {
        drop(self.stop);
        self.serving.await.expect("serving does not panic");
    }
}

async fn accept(listener: TcpListener, world: Arc<World>, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&world)));
                }
                // A client that left the backlog, or no file descriptor until a connection ends.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = &mut stopped => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, world: Arc<World>) {
    // Without it the end of a short answer waits for an acknowledgement; a socket that refuses works all the same.
    let _ = stream.set_nodelay(true);
    let line = Arc::new(Line::default());
    let io = Cuttable {
        io: TokioIo::new(stream),
        line: Arc::clone(&line),
    };
    let service = service_fn(|request| exchange::answer(&world, &line, request));
    // An error is a client that left or a fault that was asked for: the journal knows which.
    let _ = http1::Builder::new().serve_connection(io, service).await;
}

/// The switch of one connection, which its answers can throw.
#[derive(Debug, Default)]
pub(crate) struct Line(AtomicU8);

const CLOSE: u8 = 1;
const RESET: u8 = 2;

impl Line {
    pub(crate) fn close(&self) {
        self.0.store(CLOSE, Ordering::Release);
    }

    pub(crate) fn reset(&self) {
        self.0.store(RESET, Ordering::Release);
    }

    #[cfg(test)]
    pub(crate) fn is_reset(&self) -> bool {
        self.0.load(Ordering::Acquire) == RESET
    }
}

/// A socket that fails its flush once the switch is thrown.
///
/// hyper flushes the socket after everything that it had to write was written, so the client has all of it
/// before the connection ends.
#[derive(Debug)]
struct Cuttable {
    io: TokioIo<TcpStream>,
    line: Arc<Line>,
}

impl hyper::rt::Read for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl hyper::rt::Write for Cuttable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        match self.line.0.load(Ordering::Acquire) {
            CLOSE => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            RESET => {
                self.io.inner().set_zero_linger()?;
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}
