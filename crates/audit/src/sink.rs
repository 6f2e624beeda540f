use std::fmt;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::{AuditUnavailable, Record};

/// Where records go.
///
/// A request takes a [`Slot`] before anything is done for it, and gives its record to that slot when it is over.
/// So a record always has a place: handing it over can neither fail nor wait, not even from a `Drop`.
pub trait Sink {
    /// A place for one record.
    type Slot: Slot;
    /// The future of [`reserve`](Self::reserve).
    type Reserve: Future<Output = Result<Self::Slot, AuditUnavailable>>;

    /// Takes a place, and waits for one while all are taken.
    ///
    /// An error means that the request must not be served, because it could not be recorded.
    fn reserve(&self) -> Self::Reserve;
}

/// A place for one record. Dropped unused, it goes back to its sink.
pub trait Slot {
    /// Resolves when the record is as safe as the sink makes it before an answer may end. Records are written
    /// whether it is awaited or not.
    type Written: Future<Output = ()>;

    /// Hands over the record, without failing or blocking.
    fn write(self, record: Record) -> Self::Written;
}

/// A sink that hands records to a bounded channel, for programs that do something of their own with them.
///
/// While the channel is full, new requests wait. When its receiver is gone, they are refused, and the records of
/// those that are under way are lost.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use backstop_audit::{AuditLayer, ChannelSink};
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Full};
/// use tower::{Layer, ServiceExt};
///
/// // Any HTTP service.
/// let hello = tower::service_fn(async |_: Request<()>| {
///     Ok::<_, std::io::Error>(Response::new(Full::new(Bytes::from("hello"))))
/// });
///
/// let (sink, mut records) = ChannelSink::new(64);
/// let response = AuditLayer::new(sink).layer(hello).oneshot(Request::new(())).await?;
/// assert!(records.try_recv().is_err(), "a request is over when its answer is read");
///
/// response.into_body().collect().await?;
/// let record = records.recv().await.expect("one record");
/// assert_eq!(record.outcome.as_str(), "ok");
/// assert_eq!(record.http_status, Some(http::StatusCode::OK));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ChannelSink {
    records: mpsc::Sender<Record>,
}

impl ChannelSink {
    /// A sink with room for `capacity` records (at least 1), those of running requests included, and its other end.
    #[must_use]
    pub fn new(capacity: usize) -> (Self, mpsc::Receiver<Record>) {
        let (records, receiver) = mpsc::channel(capacity.max(1));
        (Self { records }, receiver)
    }
}

impl Sink for ChannelSink {
    type Slot = ChannelSlot;
    type Reserve = Reserve<ChannelSlot>;

    fn reserve(&self) -> Self::Reserve {
        match self.records.clone().try_reserve_owned() {
            Ok(permit) => Reserve::ready(Ok(ChannelSlot(permit))),
            Err(TrySendError::Closed(_)) => Reserve::ready(Err(AuditUnavailable::new())),
            Err(TrySendError::Full(records)) => Reserve::waiting(async {
                match records.reserve_owned().await {
                    Ok(permit) => Ok(ChannelSlot(permit)),
                    Err(_) => Err(AuditUnavailable::new()),
                }
            }),
        }
    }
}

/// A place in a [`ChannelSink`].
#[derive(Debug)]
pub struct ChannelSlot(mpsc::OwnedPermit<Record>);

impl Slot for ChannelSlot {
    type Written = Ready<()>;

    fn write(self, record: Record) -> Self::Written {
        self.0.send(record);
        ready(())
    }
}

/// A place for a record that is there at once, as a rule, or has to be waited for.
#[must_use = "futures do nothing unless polled"]
pub struct Reserve<T>(State<T>);

enum State<T> {
    Ready(Ready<Result<T, AuditUnavailable>>),
    Waiting(Pin<Box<dyn Future<Output = Result<T, AuditUnavailable>> + Send>>),
}

impl<T> Reserve<T> {
    /// The answer is known.
    pub fn ready(slot: Result<T, AuditUnavailable>) -> Self {
        Self(State::Ready(ready(slot)))
    }

    /// The answer is up to `slot`.
    pub fn waiting<F>(slot: F) -> Self
    where
        F: Future<Output = Result<T, AuditUnavailable>> + Send + 'static,
    {
        Self(State::Waiting(Box::pin(slot)))
    }
}

impl<T> Future for Reserve<T> {
    type Output = Result<T, AuditUnavailable>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            State::Ready(slot) => Pin::new(slot).poll(cx),
            State::Waiting(slot) => slot.as_mut().poll(cx),
        }
    }
}

impl<T> fmt::Debug for Reserve<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = matches!(self.0, State::Waiting(_));
        f.debug_struct("Reserve")
            .field("waiting", &waiting)
            .finish()
    }
}
