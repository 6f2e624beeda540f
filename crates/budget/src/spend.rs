use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use backstop_core::HasExtensions;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::Lease;

/// Lets the deployments of a chain pass what was reserved from one to the next.
///
/// Place it around the fallback, so that it sees each plan of deployments once. When an attempt has failed and cost
/// nothing, its lease is kept for the next attempt of the same request, whose reservation takes its place in one step:
/// the chain never needs the headroom twice, and nobody else sees it free in between. What is left when the service
/// within has answered or failed, or its future is dropped, is void.
///
/// Without it budgets hold just as well, but a request that falls back may find that another took its place.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SpendLayer;

impl SpendLayer {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for SpendLayer {
    type Service = Spending<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Spending { inner }
    }
}

/// The service of [`SpendLayer`].
#[derive(Clone, Debug)]
pub struct Spending<S> {
    inner: S,
}

impl<S> Spending<S> {
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

impl<S, Req> Service<Req> for Spending<S>
where
    S: Service<Req>,
    Req: HasExtensions,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = SpendFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Req) -> Self::Future {
        let spend = Spend::default();
        request.extensions_mut().insert(spend.clone());
        SpendFuture {
            inner: self.inner.call(request),
            plan: Plan(spend),
        }
    }
}

pin_project! {
    /// The future of [`Spending`].
    pub struct SpendFuture<F> {
        // Before `plan`: an attempt that is dropped settles first, and then what is left is void.
        #[pin]
        inner: F,
        plan: Plan,
    }
}

impl<F: Future> Future for SpendFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().inner.poll(cx)
    }
}

impl<F> fmt::Debug for SpendFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpendFuture").finish_non_exhaustive()
    }
}

/// One plan of deployments. Requests that are kept for longer share its [`Spend`], but do not prolong it.
struct Plan(Spend);

impl Drop for Plan {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// In a request's extensions: what an attempt that cost nothing leaves to the next one.
#[derive(Clone, Default)]
pub(crate) struct Spend(Arc<Mutex<Slot>>);

#[derive(Default)]
struct Slot {
    lease: Option<Lease>,
    counted: bool,
    closed: bool,
}

impl Spend {
    /// What was left, if anything was.
    pub(crate) fn take(&self) -> Option<Lease> {
        self.slot().lease.take()
    }

    /// Leaves `lease` to the next attempt. If there will be none, it is void.
    pub(crate) fn park(&self, lease: Lease) {
        let mut slot = self.slot();
        if slot.closed || slot.lease.is_some() {
            drop(slot);
            lease.void();
        } else {
            slot.lease = Some(lease);
        }
    }

    /// The request has been counted as one.
    pub(crate) fn count(&self) {
        self.slot().counted = true;
    }

    pub(crate) fn is_counted(&self) -> bool {
        self.slot().counted
    }

    fn close(&self) {
        let mut slot = self.slot();
        slot.closed = true;
        let left = slot.lease.take();
        drop(slot);
        if let Some(lease) = left {
            lease.void();
        }
    }

    /// Nothing that runs under the lock can panic half-way.
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
