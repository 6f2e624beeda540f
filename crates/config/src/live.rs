use std::collections::HashMap;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use backstop::budget::Balances;
use backstop::collect::CollectBody;
use backstop::cooldown::Circuits;
use backstop::resume::ResumeBody;
use backstop::{Body, BoxError, Budgets, Chat, Failure, FailureKind};
use backstop_core::Reach;
use futures_util::TryFutureExt;
use futures_util::future::{Either, MapOk};
use http::{Request, Response};
use tower::Service;

use crate::build::{self, BuildError, Chain, Stack, State};
use crate::capabilities::Auto;
use crate::circuits::DeploymentCircuits;
use crate::error::nearest;
use crate::schema::Config;
use crate::spending;

/// The running stacks of a configuration: a service that answers each chat by the chain of its model.
///
/// Clones share the stacks. It is always ready.
///
/// # Errors
///
/// A model that is not configured is a refusal of kind `ModelNotFound`; else what the chain says.
#[derive(Clone)]
pub struct Live {
    table: Arc<Table>,
    state: Arc<State>,
}

/// Every model's stack.
pub(crate) struct Table {
    models: HashMap<Arc<str>, (Stack, Vec<DeploymentCircuits>)>,
    /// Names that stand for several models.
    capabilities: Vec<Auto>,
    names: Vec<Arc<str>>,
    budgets: Budgets,
}

impl Table {
    pub(crate) fn new(
        models: HashMap<Arc<str>, (Stack, Vec<DeploymentCircuits>)>,
        capabilities: &[Auto],
        budgets: Budgets,
    ) -> Self {
        let autos = capabilities.iter().map(|auto| &auto.name);
        let mut names: Vec<_> = models.keys().chain(autos).cloned().collect();
        names.sort();
        Self {
            models,
            capabilities: capabilities.to_vec(),
            names,
            budgets,
        }
    }

    /// The model whose chain answers.
    fn resolve<'a>(&'a self, chat: &'a Chat) -> &'a str {
        let named = |auto: &&Auto| *auto.name == *chat.model();
        match self.capabilities.iter().find(named) {
            Some(auto) => auto.choose(chat.needs()),
            None => chat.model(),
        }
    }
}

impl Live {
    /// Builds every stack.
    ///
    /// # Errors
    ///
    /// If this machine lacks what they need, such as certificate authorities.
    pub async fn start(config: &Config) -> Result<Self, BuildError> {
        let state = State::new();
        Self::build(config, Arc::new(state)).await
    }

    /// Builds what [`start`](Self::start) would, and opens nothing that another process may be using.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn rehearse(config: &Config) -> Result<(), BuildError> {
        let state = State::rehearsal();
        build::table(config, &state).await?;
        Ok(())
    }

    /// The stacks of another configuration, which know what these know of each deployment.
    ///
    /// These are as they were, and requests that are under way go to their end on them. Whoever knows callers by the
    /// same configuration exchanges both in one step: rules on where requests may go hold for what is known of their
    /// callers.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn reloaded(&self, config: &Config) -> Result<Self, BuildError> {
        Self::build(config, Arc::clone(&self.state)).await
    }

    async fn build(config: &Config, state: Arc<State>) -> Result<Self, BuildError> {
        let table = Arc::new(build::table(config, &state).await?);
        spending::warm(config);
        warn(config);
        Ok(Self { table, state })
    }

    /// The names of the configured models, in alphabetical order.
    #[must_use]
    pub fn models(&self) -> Vec<Arc<str>> {
        self.table.names.clone()
    }

    /// How the accounts of all budgets stand.
    pub fn balances(&self) -> Balances {
        self.table.budgets.balances()
    }

    /// Waits until everything that was spent is on disk, and lets go of the ledger's file. Nothing is admitted under
    /// a budget after that.
    pub async fn close(&self) {
        self.state.ledgers.close().await;
    }

    /// Whether any model has a deployment that is not resting.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.table
            .models
            .values()
            .any(|(_, deployments)| deployments.iter().any(|circuits| !circuits.is_resting()))
    }

    /// The circuits of all deployments.
    #[must_use]
    pub fn circuits(&self) -> &Circuits {
        &self.state.circuits
    }
}

/// Says what an operator should know of a configuration that is in force.
fn warn(config: &Config) {
    for line in config.remarks().iter().chain(&config.warnings()) {
        tracing::warn!("{line}");
    }
}

/// The future of [`Live`].
pub type LiveFuture = Either<
    Ready<Result<Response<Body>, BoxError>>,
    MapOk<
        <Stack as Service<Request<Chat>>>::Future,
        fn(Response<CollectBody<ResumeBody<Chain, Body>>>) -> Response<Body>,
    >,
>;

impl Service<Request<Chat>> for Live {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = LiveFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Chat>) -> LiveFuture {
        let table = &*self.table;
        let model = table.resolve(request.body());
        match table.models.get(model) {
            // A chain is always ready, and cheap to clone.
            Some((stack, _)) => Either::Right(stack.clone().call(request).map_ok(erase)),
            None => Either::Left(ready(Err(
                unknown(request.body().model(), &table.names).into()
            ))),
        }
    }
}

/// The body's own type holds the whole chain's, which no server's task need know.
fn erase(response: Response<CollectBody<ResumeBody<Chain, Body>>>) -> Response<Body> {
    response.map(Body::new)
}

fn unknown(model: &str, names: &[Arc<str>]) -> Failure {
    let detail = match nearest(model, names.iter().map(|name| &**name)) {
        Some(near) => format!("the model `{model}` is not configured here; did you mean `{near}`?"),
        None => format!(
            "the model `{model}` is not configured here; GET /v1/models lists those that are"
        ),
    };
    Failure::new(FailureKind::ModelNotFound)
        .with_reach(Reach::Refused)
        .with_detail(detail)
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("models", &self.table.names)
            .finish_non_exhaustive()
    }
}
