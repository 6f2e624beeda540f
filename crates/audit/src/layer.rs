use http::Response;
use tower_layer::Layer;

use crate::{AsError, Asks, Audit, AuditUnavailable, Respond};

/// Writes one [`Record`](crate::Record) for each request to a [`Sink`](crate::Sink).
///
/// It opens the request's [`Trail`](backstop_core::Trail) (or takes the one in its extensions), in which the
/// layers below write what they do, and closes it when the response has truly ended: with its last byte, an error,
/// or the caller's leaving, whatever comes first and exactly once. Place it outermost, so that refusals are
/// recorded too; [`AttemptLayer`](crate::AttemptLayer) belongs around each provider for the rows of its calls.
///
/// Before the service within is called, a slot for the record is taken from the sink. While the sink is full the
/// request waits; when the sink has failed and says so, the request is refused, with [`AuditUnavailable`] as error
/// or, after [`respond`](Self::respond), with a response.
///
/// A caller who leaves while waiting for that slot leaves no record: nothing has been done for the request. The
/// service within is cloned for each request, as the ready one is called once there is a slot.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use backstop_audit::{AuditLayer, JsonLines};
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Full};
/// use std::time::Duration;
/// use tower::{ServiceBuilder, ServiceExt};
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let records = JsonLines::open(directory)?;
/// let service = ServiceBuilder::new()
///     .layer(AuditLayer::new(records.clone()))
///     .service_fn(async |_: Request<()>| {
///         Ok::<_, std::io::Error>(Response::new(Full::new(Bytes::from("hello"))))
///     });
///
/// let response = service.oneshot(Request::new(())).await?;
/// response.into_body().collect().await?;
///
/// records.shutdown(Duration::from_secs(5)).await?;
/// let segment = std::fs::read_dir(directory)?.next().expect("one segment")?;
/// assert!(std::fs::read_to_string(segment.path())?.contains(r#""outcome":"ok""#));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AuditLayer<K, R = AsError, A = ()> {
    sink: K,
    refuse: R,
    describe: A,
}

impl<K> AuditLayer<K> {
    /// Records to `sink`. A request that cannot be recorded gets [`AuditUnavailable`].
    #[must_use]
    pub const fn new(sink: K) -> Self {
        Self {
            sink,
            refuse: AsError,
            describe: (),
        }
    }
}

impl<K, R, A> AuditLayer<K, R, A> {
    /// Answers a request that cannot be recorded with the response that `respond` makes, and keeps the error type
    /// of the service within: for HTTP servers, whose routes have no errors.
    ///
    /// ```
    /// use backstop_audit::{AuditLayer, AuditUnavailable, ChannelSink};
    /// use bytes::Bytes;
    /// use http::Response;
    /// use http_body_util::Full;
    ///
    /// fn unavailable(_: AuditUnavailable) -> Response<Full<Bytes>> {
    ///     let mut response = Response::new(Full::from("no record, no service"));
    ///     *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    ///     response
    /// }
    ///
    /// let (sink, _records) = ChannelSink::new(64);
    /// let layer = AuditLayer::new(sink).respond(unavailable);
    /// ```
    #[must_use]
    pub fn respond<F, B>(self, respond: F) -> AuditLayer<K, Respond<F>, A>
    where
        F: Fn(AuditUnavailable) -> Response<B>,
    {
        AuditLayer {
            sink: self.sink,
            refuse: Respond(respond),
            describe: self.describe,
        }
    }

    /// Records the model that is asked for, and whether a stream is, of requests that are
    /// [`Ask`](backstop_core::Ask): for stacks in process. An HTTP edge tells it for its own requests.
    #[must_use]
    pub fn asks(self) -> AuditLayer<K, R, Asks> {
        AuditLayer {
            sink: self.sink,
            refuse: self.refuse,
            describe: Asks,
        }
    }
}

impl<S, K: Clone, R: Clone, A: Clone> Layer<S> for AuditLayer<K, R, A> {
    type Service = Audit<S, K, R, A>;

    fn layer(&self, inner: S) -> Self::Service {
        Audit {
            inner,
            sink: self.sink.clone(),
            refuse: self.refuse.clone(),
            describe: self.describe.clone(),
        }
    }
}
