use std::task::{Context, Poll};
use std::time::Duration;

use backstop_core::{BoxError, Deadline, HasExtensions, Trail};
use tower_layer::Layer;
use tower_service::Service;

use crate::future::DeadlineFuture;

/// Bounds a whole request up to its response: every attempt, every pause, every deployment.
///
/// It puts a [`Deadline`] into the request's extensions, where retry, fallback and [`TimeoutLayer`] find it. One that
/// is there already and earlier wins: a caller may ask for less time, not for more. When it passes, what is inside is
/// dropped and the error is [`DeadlineExceeded`]; a [`Trail`] in the extensions is told, so that the record says that
/// it was the deadline and not the caller who ended the attempt. The body of a response is not bounded.
///
/// Zero is no special value: what is not there at once is late.
///
/// ```
/// use std::time::Duration;
///
/// use backstop_core::{BoxError, Deadline};
/// use backstop_timeout::DeadlineLayer;
/// use http::Request;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service = DeadlineLayer::new(Duration::from_secs(60)).layer(service_fn(|request: Request<()>| async move {
///     Ok::<_, BoxError>(request.extensions().get::<Deadline>().copied())
/// }));
/// let deadline = service.oneshot(Request::new(())).await.expect("in time");
/// assert!(deadline.is_some(), "everything below knows how long it has");
/// # }
/// ```
///
/// See the [crate docs](crate) for its place in a stack.
///
/// [`DeadlineExceeded`]: crate::error::DeadlineExceeded
/// [`TimeoutLayer`]: crate::TimeoutLayer
#[derive(Clone, Debug)]
pub struct DeadlineLayer {
    timeout: Duration,
}

impl DeadlineLayer {
    /// A layer that gives each request `timeout`, from its call until its response is there.
    #[must_use]
    pub const fn new(timeout: Duration) -> Self {
        Self { timeout }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = EnforceDeadline<S>;

    fn layer(&self, inner: S) -> Self::Service {
        EnforceDeadline {
            inner,
            timeout: self.timeout,
        }
    }
}

/// Gives each request of a service a deadline. See [`DeadlineLayer`].
#[derive(Clone, Debug)]
pub struct EnforceDeadline<S> {
    inner: S,
    timeout: Duration,
}

impl<S> EnforceDeadline<S> {
    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to change.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service alone.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Req> Service<Req> for EnforceDeadline<S>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    Req: HasExtensions,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Req) -> Self::Future {
        let extensions = request.extensions_mut();
        let mut deadline = Deadline::after(self.timeout);
        match extensions.get::<Deadline>() {
            Some(&earlier) if earlier <= deadline => deadline = earlier,
            _ => {
                extensions.insert(deadline);
            }
        }
        let trail = Trail::of(extensions).cloned();
        DeadlineFuture::new(self.inner.call(request), deadline.instant(), trail)
    }
}
