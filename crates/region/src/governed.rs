use std::sync::Arc;
use std::task::{Context, Poll};

use backstop_core::{Ask, BoxError, Trail};
use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::error::Refused;
use crate::future::RegionalFuture;
use crate::residency::Unrestricted;
use crate::{Labels, Policies, Residency, narrow};

/// Decides once which rules hold for a request, and puts them as [`Residency`] into its extensions.
///
/// It belongs above everything that can answer or send: above a cache, above what resumes streams. It reads the
/// request's [`Labels`] and model, and what narrows them: a [`Residency`] that is there already, and the headers
/// [`x-backstop-residency`](crate::header::RESIDENCY), [`x-backstop-data-class`](crate::header::DATA_CLASS) and
/// [`x-backstop-user-region`](crate::header::USER_REGION). Whatever a caller says can only narrow: it adds rules, and
/// takes none away. A header that cannot be understood, or that contradicts itself, is an error, noted in the
/// [`Trail`]: the request goes nowhere.
///
/// ```
/// use backstop_core::{Ask, BoxError};
/// use backstop_region::{Labels, Match, Policies, Regions, Require, Residency, ResidencyPolicyLayer, Rule};
/// use http::Request;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// #[derive(Clone)]
/// struct Prompt;
///
/// impl Ask for Prompt {
///     fn model(&self) -> &str {
///         "gpt-4o"
///     }
///
///     fn streams(&self) -> bool {
///         false
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let eu = Require::new().processing(Regions::of(["eu"])?);
/// let policies = Policies::new([Rule::new("eu-only").matching(Match::new().key(["web"])).require(eu)])?;
/// let service = ResidencyPolicyLayer::new(policies).layer(service_fn(async |request: Request<Prompt>| {
///     Ok::<_, BoxError>(request.extensions().get::<Residency>().map(Residency::names))
/// }));
///
/// let mut request = Request::new(Prompt);
/// request.extensions_mut().insert(Labels::new().key("web"));
/// request.headers_mut().insert("x-backstop-residency", "de, fr".parse()?);
/// let held = service.oneshot(request).await?;
/// assert_eq!(held.as_deref(), Some("eu-only, x-backstop-residency: de, fr"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ResidencyPolicyLayer {
    policies: Arc<Policies>,
    serves: Option<Arc<str>>,
}

impl ResidencyPolicyLayer {
    /// Decides by these policies.
    #[must_use]
    pub fn new(policies: impl Into<Arc<Policies>>) -> Self {
        Self {
            policies: policies.into(),
            serves: None,
        }
    }

    /// Says that the stack below answers as `model`, by whatever name it is asked for: the rules for that model hold
    /// next to those for the name.
    #[must_use]
    pub fn serves(mut self, model: impl Into<Arc<str>>) -> Self {
        self.serves = Some(model.into());
        self
    }
}

impl<S> Layer<S> for ResidencyPolicyLayer {
    type Service = ResidencyPolicy<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ResidencyPolicy {
            inner,
            policies: Arc::clone(&self.policies),
            serves: self.serves.clone(),
        }
    }
}

/// The service of [`ResidencyPolicyLayer`].
#[derive(Clone, Debug)]
pub struct ResidencyPolicy<S> {
    inner: S,
    policies: Arc<Policies>,
    serves: Option<Arc<str>>,
}

impl<S> ResidencyPolicy<S> {
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

    fn decide<B: Ask>(&self, request: &Request<B>) -> Result<Option<Residency>, BoxError> {
        let extensions = request.extensions();
        let unknown = Labels::default();
        let labels = extensions.get().unwrap_or(&unknown);
        let claimed;
        let labels = if narrow::has_claims(request.headers()) {
            claimed = narrow::claims(request.headers(), labels.clone())?;
            &claimed
        } else {
            labels
        };
        let decide = |model: &str| {
            let ruled = self.policies.decide(model, labels);
            ruled.map_err(|error| Refused::because(error.to_string()))
        };
        let asked_for = request.body().model();
        let ruled = decide(asked_for)?;
        let served = match self.serves.as_deref() {
            Some(model) if model != asked_for => decide(model)?,
            _ => None,
        };
        let route = extensions.get::<Residency>().cloned();
        let caller = narrow::residency(request.headers(), &self.policies)?;
        let held = [ruled, served, route, caller].into_iter().flatten();
        Ok(held.reduce(|held, more| held.and(&more)))
    }
}

impl<S, B> Service<Request<B>> for ResidencyPolicy<S>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
    B: Ask,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = RegionalFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let decided = self.decide(&request);
        let trail = Trail::of(request.extensions());
        match decided {
            Ok(Some(residency)) => {
                if let Some(trail) = trail {
                    trail.governed_by(residency.names());
                }
                request.extensions_mut().insert(residency);
            }
            Ok(None) => {
                request.extensions_mut().insert(Unrestricted::new());
            }
            Err(error) => {
                if let (Some(trail), Some(failure)) = (trail, backstop_core::failure_of(&*error)) {
                    trail.note(failure.to_string());
                }
                return RegionalFuture::refused(error);
            }
        }
        RegionalFuture::called(self.inner.call(request))
    }
}
