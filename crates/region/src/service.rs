use std::sync::Arc;
use std::task::{Context, Poll};

use backstop_core::{BoxError, Frame, HasExtensions, Trail};
use http::Response;
use http_body::Body;
use tower_service::Service;

use crate::SealedBody;
use crate::future::{RegionalFuture, SealedFuture};
use crate::guard::Guard;

/// The service of [`RegionLayer`](crate::RegionLayer). See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct Regional<S> {
    inner: S,
    guard: Arc<Guard>,
}

impl<S> Regional<S> {
    pub(crate) const fn new(inner: S, guard: Arc<Guard>) -> Self {
        Self { inner, guard }
    }

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

impl<S, Req> Service<Req> for Regional<S>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    Req: HasExtensions,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = RegionalFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Req) -> Self::Future {
        match self.guard.admit(request.extensions_mut()) {
            Ok(()) => RegionalFuture::called(self.inner.call(request)),
            Err(refused) => RegionalFuture::refused(refused),
        }
    }
}

/// A provider that nothing can be sent to without a [`Permit`](crate::Permit), once a rule holds for it.
///
/// Only [`RegionLayer::seal`](crate::RegionLayer::seal) makes one, and there is no way to what is inside, so code that
/// takes a `Sealed<S>` cannot be given a provider that is open:
///
/// ```
/// # use backstop_region::{Place, RegionLayer, Sealed};
/// # use tower::Layer;
/// fn stack<S>(provider: Sealed<S>) {
///     // retry, cooldown and the rest go around it.
///     # drop(provider);
/// }
///
/// let region = RegionLayer::new(backstop_core::Deployment::new("eu"), Place::unknown());
/// let provider = tower::service_fn(async |_: http::Request<()>| Ok::<_, std::io::Error>(http::Response::new(())));
/// stack(region.seal().layer(provider));
/// ```
///
/// ```compile_fail,E0308
/// # use backstop_region::Sealed;
/// fn stack<S>(provider: Sealed<S>) {}
///
/// let provider = tower::service_fn(async |_: http::Request<()>| Ok::<_, std::io::Error>(http::Response::new(())));
/// stack(provider);
/// ```
///
/// ```compile_fail,E0624
/// let forge = backstop_region::Sealed::<()>::new;
/// ```
#[derive(Clone, Debug)]
pub struct Sealed<S> {
    inner: S,
    guard: Arc<Guard>,
}

impl<S> Sealed<S> {
    pub(crate) const fn new(inner: S, guard: Arc<Guard>) -> Self {
        Self { inner, guard }
    }
}

impl<S, Req, B> Service<Req> for Sealed<S>
where
    S: Service<Req, Response = Response<B>>,
    S::Error: Into<BoxError>,
    Req: HasExtensions,
    B: Body,
    B::Data: Frame,
    B::Error: Into<BoxError>,
{
    type Response = Response<SealedBody<B>>;
    type Error = BoxError;
    type Future = SealedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Req) -> Self::Future {
        if let Err(refused) = self.guard.verify(request.extensions_mut()) {
            return SealedFuture::refused(refused);
        }
        let trail = Trail::of(request.extensions()).cloned();
        SealedFuture::called(self.inner.call(request), Arc::clone(&self.guard), trail)
    }
}
