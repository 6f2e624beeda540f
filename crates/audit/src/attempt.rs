use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use backstop_core::{
    AttemptHandle, BoxError, Classify, Deployment, Failure, Failures, Frame, HasExtensions, Reach,
    Settle, Tracked, Trail, UpstreamId, Usage, UsageSource, Watch,
};
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// Writes a row into the request's [`Trail`] for each call of the service within: who was asked, when, what came of
/// it, how many tokens it took.
///
/// Place it around each deployment's service, inside of retry (each attempt has its own row) and outside of
/// cooldown: a call that a layer below refuses ([`Reach::Refused`]) was no attempt and leaves no row. A request
/// without a trail passes untouched.
///
/// A row is open until the answer has ended. An answer that holds a [`Failure`] in its extensions or in a frame
/// (a content filter's verdict in a 200) settles as that failure, even if it is dropped; one that is dropped after
/// the frame that proves it complete settles as a success; any other that is dropped, and a call that is dropped
/// before it has answered, settles as cancelled. Errors become [`BoxError`] and are otherwise handed on.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use backstop_audit::AttemptLayer;
/// use backstop_core::{Deployment, FailureKind, Trail};
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{Layer, ServiceExt};
///
/// let east = AttemptLayer::new(Deployment::new("east")).layer(tower::service_fn(
///     async |_: Request<()>| {
///         Err::<Response<Full<Bytes>>, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
///     },
/// ));
///
/// let trail = Trail::start();
/// let mut request = Request::new(());
/// request.extensions_mut().insert(trail.clone());
/// east.oneshot(request).await.expect_err("the connection was reset");
///
/// let record = trail.snapshot();
/// assert_eq!(&**record.attempts[0].deployment.id(), "east");
/// assert_eq!(record.attempts[0].result, Some(Err(FailureKind::Network)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AttemptLayer {
    deployment: Arc<Deployment>,
}

impl AttemptLayer {
    /// Rows for calls to `deployment`.
    #[must_use]
    pub fn new(deployment: impl Into<Arc<Deployment>>) -> Self {
        Self {
            deployment: deployment.into(),
        }
    }
}

impl<S> Layer<S> for AttemptLayer {
    type Service = Attempt<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Attempt {
            inner,
            deployment: Arc::clone(&self.deployment),
        }
    }
}

/// A service each of whose calls leaves a row in the request's trail. See [`AttemptLayer`].
#[derive(Clone, Debug)]
pub struct Attempt<S> {
    inner: S,
    deployment: Arc<Deployment>,
}

impl<S> Attempt<S> {
    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to change.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service alone.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Req, B> Service<Req> for Attempt<S>
where
    S: Service<Req, Response = Response<B>>,
    S::Error: Into<BoxError>,
    Req: HasExtensions,
    B: Body,
    B::Data: Frame,
{
    type Response = Response<Tracked<B, Option<Row>>>;
    type Error = BoxError;
    type Future = AttemptFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let row = Trail::of(request.extensions()).map(|trail| trail.attempt(&self.deployment));
        AttemptFuture {
            inner: self.inner.call(request),
            row,
        }
    }
}

pin_project! {
    /// The future of [`Attempt`]. Dropped before its response, its row settles as cancelled.
    pub struct AttemptFuture<F> {
        // Before `row`: what the call holds is let go before its row is settled.
        #[pin]
        inner: F,
        row: Option<AttemptHandle>,
    }
}

impl<F, B, E> Future for AttemptFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
    B: Body,
    B::Data: Frame,
{
    type Output = Result<Response<Tracked<B, Option<Row>>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx)).map_err(Into::into);
        let row = this.row.take();
        match result {
            Ok(response) => {
                let row = row.map(|handle| Row::answered(handle, &response));
                Poll::Ready(Ok(response.map(|body| Tracked::new(body, row))))
            }
            Err(error) => {
                if let Some(row) = row {
                    let failure = failure_in(&error);
                    if failure.reach() == Reach::Refused {
                        row.discard();
                    } else {
                        row.settle(Err(&failure));
                    }
                }
                Poll::Ready(Err(error))
            }
        }
    }
}

impl<F> fmt::Debug for AttemptFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptFuture")
            .field("row", &self.row)
            .finish_non_exhaustive()
    }
}

/// The row of an answer that has begun.
#[derive(Debug)]
pub struct Row {
    /// `None` once it is settled.
    handle: Option<AttemptHandle>,
    verdict: Option<Failure>,
    usage: Option<Usage>,
    proven: bool,
}

impl Row {
    fn answered<B>(mut handle: AttemptHandle, response: &Response<B>) -> Self {
        let id = response.extensions().get::<UpstreamId>();
        handle.answered(Some(response.status()), id.map(|id| Arc::clone(&id.0)));
        Self {
            handle: Some(handle),
            verdict: response.extensions().get::<Failure>().cloned(),
            usage: None,
            proven: false,
        }
    }

    /// Notes the usage and settles. `ended` is the body's own end; `None` if it was dropped.
    fn close(&mut self, ended: Option<Result<(), &BoxError>>) {
        let Some(mut handle) = self.handle.take() else {
            return;
        };
        let complete = self.proven || matches!(ended, Some(Ok(())));
        if let Some(mut usage) = self.usage {
            if !complete && usage.source == UsageSource::Provider {
                usage.source = UsageSource::Partial;
            }
            handle.used(usage);
        }
        match (self.verdict.take(), ended) {
            (Some(verdict), _) => handle.settle(Err(&verdict)),
            (None, Some(Err(error))) => handle.settle(Err(&failure_in(error))),
            (None, _) if complete => handle.settle(Ok(())),
            (None, _) => drop(handle),
        }
    }
}

impl<D: Frame> Watch<D> for Row {
    fn data(&mut self, data: &D) {
        self.proven |= data.is_terminal();
        if let Some(usage) = data.usage() {
            self.usage = Some(*usage);
        }
        if let Some(verdict) = data.failure() {
            self.verdict.get_or_insert(verdict);
        }
    }
}

impl Settle for Row {
    fn settle(mut self, outcome: Result<(), &BoxError>) {
        self.close(Some(outcome));
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        self.close(None);
    }
}

fn failure_in(error: &BoxError) -> Failure {
    Classify::<Response<()>>::classify(&Failures, Err(error)).expect("an error is always a failure")
}
