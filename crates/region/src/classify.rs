use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use backstop_core::{BoxError, HasExtensions, Trail};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::Labels;

/// Finds out which classes of data a request holds.
///
/// Any `Fn(&Req)` that returns such a future is one. [`PersonalData`](crate::PersonalData) is one that needs no model.
pub trait Classifier<Req> {
    /// Resolves to the classes that were found. An error counts as `pii`.
    type Future: Future<Output = Result<Vec<Arc<str>>, BoxError>>;

    /// Begins to look. The future cannot borrow from the request, which goes on meanwhile.
    fn classify(&self, request: &Req) -> Self::Future;
}

impl<Req, C, F> Classifier<Req> for C
where
    C: Fn(&Req) -> F,
    F: Future<Output = Result<Vec<Arc<str>>, BoxError>>,
{
    type Future = F;

    fn classify(&self, request: &Req) -> F {
        self(request)
    }
}

/// Adds what a [`Classifier`] finds to the request's [`Labels`], as claims: rules can only be added by it.
///
/// It belongs directly above [`ResidencyPolicyLayer`](crate::ResidencyPolicyLayer). A classifier that fails has found
/// `pii`, and the [`Trail`] says so. It has no timer: a classifier that may hang wants its own.
///
/// ```
/// use backstop_core::BoxError;
/// use backstop_region::{ClassifyLayer, Labels, PersonalData};
/// use http::Request;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let classifier = PersonalData::reading(|request: &Request<&'static str>| *request.body());
/// let service = ClassifyLayer::new(classifier).layer(service_fn(async |request: Request<&'static str>| {
///     Ok::<_, BoxError>(request.extensions().get::<Labels>().cloned())
/// }));
///
/// let labels = service.clone().oneshot(Request::new("Write to ada@example.org")).await?;
/// assert_eq!(labels, Some(Labels::new().claim_class("pii")));
/// assert_eq!(service.oneshot(Request::new("Hello")).await?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ClassifyLayer<C> {
    classifier: C,
}

impl<C> ClassifyLayer<C> {
    /// Asks `classifier` about each request.
    #[must_use]
    pub const fn new(classifier: C) -> Self {
        Self { classifier }
    }
}

impl<S, C: Clone> Layer<S> for ClassifyLayer<C> {
    type Service = Classify<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Classify {
            inner,
            classifier: self.classifier.clone(),
        }
    }
}

impl<C> fmt::Debug for ClassifyLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassifyLayer").finish_non_exhaustive()
    }
}

/// The service of [`ClassifyLayer`].
#[derive(Clone)]
pub struct Classify<S, C> {
    inner: S,
    classifier: C,
}

impl<S, C> Classify<S, C> {
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

impl<S, C, Req> Service<Req> for Classify<S, C>
where
    S: Service<Req> + Clone,
    C: Classifier<Req>,
    Req: HasExtensions,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ClassifyFuture<S, C::Future, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let classes = self.classifier.classify(&request);
        let next = self.inner.clone();
        ClassifyFuture {
            // The service that is ready is the one that is called.
            inner: std::mem::replace(&mut self.inner, next),
            state: State::Classifying {
                classes,
                request: Some(request),
            },
        }
    }
}

impl<S: fmt::Debug, C> fmt::Debug for Classify<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Classify")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`Classify`]: the classifier's, then the call. Dropping it drops whichever runs.
    pub struct ClassifyFuture<S, F, Req>
    where
        S: Service<Req>,
    {
        inner: S,
        #[pin]
        state: State<F, S::Future, Req>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, R, Req> {
        Classifying { #[pin] classes: F, request: Option<Req> },
        Called { #[pin] future: R },
    }
}

impl<S, F, Req> Future for ClassifyFuture<S, F, Req>
where
    S: Service<Req>,
    F: Future<Output = Result<Vec<Arc<str>>, BoxError>>,
    Req: HasExtensions,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Classifying { classes, request } => {
                    let classes = ready!(classes.poll(cx));
                    let mut request = request.take().expect("polled after completion");
                    claim(&mut request, classes);
                    let future = this.inner.call(request);
                    this.state.set(State::Called { future });
                }
                StateProj::Called { future } => return future.poll(cx),
            }
        }
    }
}

fn claim<Req: HasExtensions>(request: &mut Req, classes: Result<Vec<Arc<str>>, BoxError>) {
    let extensions = request.extensions_mut();
    let classes = classes.unwrap_or_else(|_| {
        if let Some(trail) = Trail::of(extensions) {
            trail.note("the classifier failed: taken for pii");
        }
        vec!["pii".into()]
    });
    if !classes.is_empty() {
        let labels = extensions.remove::<Labels>().unwrap_or_default();
        let labels = classes
            .iter()
            .fold(labels, |labels, class| labels.claim_class(class));
        extensions.insert(labels);
    }
}

impl<S: Service<Req>, F, Req> fmt::Debug for ClassifyFuture<S, F, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassifyFuture").finish_non_exhaustive()
    }
}
