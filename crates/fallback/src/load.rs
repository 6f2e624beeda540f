//! Counting what is in flight at a target.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use backstop_core::{BoxError, OnBody, Settle, Track, Watch};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// How many requests are in flight at one target. Clones share the count.
#[derive(Clone, Default)]
pub struct Load(Arc<AtomicUsize>);

impl Load {
    /// A count of its own, at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one more, until what is returned is dropped.
    #[must_use = "it counts until it is dropped"]
    pub fn begin(&self) -> InFlight {
        // A count and nothing else: no memory is published through it.
        self.0.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Load").field(&self.in_flight()).finish()
    }
}

/// One request in flight: counted in its [`Load`] until it is dropped.
#[derive(Debug)]
pub struct InFlight(Load);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Settle for InFlight {
    fn settle(self, _: Result<(), &BoxError>) {}
}

impl<D> Watch<D> for InFlight {}

/// Counts each request in a [`Load`], from its call to the true end of its answer.
///
/// An answer ends with its body ([`OnBody`], the default: the last byte, an error, or the body's drop) or, for
/// responses without one, with itself ([`OnResponse`](backstop_core::OnResponse)). A call that fails or is dropped
/// counts no longer.
///
/// Place it outermost on a target's service, so that it counts what its retries and timeouts are busy with, and
/// give the target the same handle:
///
/// ```
/// use backstop_core::{BoxError, Deployment};
/// use backstop_fallback::{Fallback, LeastBusy, Load, LoadLayer, Target};
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Full};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let target = |id: &'static str| {
///     let service = service_fn(move |_: Request<()>| async move {
///         Ok::<_, BoxError>(Response::new(Full::new(Bytes::from(id))))
///     });
///     let load = Load::new();
///     Target::new(Deployment::new(id), LoadLayer::new(load.clone()).layer(service)).with_load(load)
/// };
/// let fallback = Fallback::in_order([target("a"), target("b")]).strategy(LeastBusy::new());
///
/// // The first answer has not been read yet, so the other target is the less busy one.
/// let first = fallback.clone().oneshot(Request::new(())).await?;
/// let second = fallback.clone().oneshot(Request::new(())).await?;
/// let third = fallback.clone().oneshot(Request::new(())).await?;
/// assert_eq!(first.into_body().collect().await?.to_bytes(), "a");
/// assert_eq!(second.into_body().collect().await?.to_bytes(), "b");
/// # drop(third);
/// # Ok(())
/// # }
/// ```
///
/// Readiness, errors and cancellation are those of the service within.
#[derive(Clone, Debug)]
pub struct LoadLayer<T = OnBody> {
    load: Load,
    track: T,
}

impl LoadLayer {
    /// Counts in `load`, to the end of the body.
    #[must_use]
    pub const fn new(load: Load) -> Self {
        Self {
            load,
            track: OnBody,
        }
    }
}

impl<T> LoadLayer<T> {
    /// Sets when an answer ends.
    #[must_use]
    pub fn track<T2>(self, track: T2) -> LoadLayer<T2> {
        LoadLayer {
            load: self.load,
            track,
        }
    }
}

impl<S, T: Clone> Layer<S> for LoadLayer<T> {
    type Service = Counted<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        Counted {
            inner,
            load: self.load.clone(),
            track: self.track.clone(),
        }
    }
}

/// The service of a [`LoadLayer`].
#[derive(Clone, Debug)]
pub struct Counted<S, T = OnBody> {
    inner: S,
    load: Load,
    track: T,
}

impl<S, T> Counted<S, T> {
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

impl<S, T, Req> Service<Req> for Counted<S, T>
where
    S: Service<Req>,
    T: Track<S::Response, InFlight> + Clone,
{
    type Response = T::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, T>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let in_flight = Some(self.load.begin());
        ResponseFuture {
            inner: self.inner.call(request),
            in_flight,
            track: self.track.clone(),
        }
    }
}

pin_project! {
    /// The future of [`Counted`].
    #[derive(Debug)]
    pub struct ResponseFuture<F, T> {
        #[pin]
        inner: F,
        in_flight: Option<InFlight>,
        track: T,
    }
}

impl<F, T, Res, E> Future for ResponseFuture<F, T>
where
    F: Future<Output = Result<Res, E>>,
    T: Track<Res, InFlight>,
{
    type Output = Result<T::Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = ready!(this.inner.poll(cx));
        let in_flight = this.in_flight.take().expect("polled after completion");
        Poll::Ready(outcome.map(|response| this.track.track(response, in_flight)))
    }
}
