//! Builds a running stack for each deployment, and a chain for each model.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use backstop::anthropic::Anthropic;
use backstop::bedrock::{self, Bedrock};
use backstop::budget::Spending;
use backstop::chat::Dialect;
use backstop::client::Client;
use backstop::collect::{self, Collect};
use backstop::cooldown::{Circuits, CooldownConfig};
use backstop::core::{Again, Next};
use backstop::fallback::{self, InOrder, LeastBusy, Strategy as Pick, Weighted};
use backstop::openai::{OpenAi, Server};
use backstop::resume::{Resume, Room};
use backstop::retry::RetryBudget;
use backstop::timeout::EnforceDeadline;
use backstop::{
    AttemptLayer, BoxError, BudgetLayer, Budgets, Chat, ChatService, CollectLayer, DeadlineLayer,
    FailureKind, Failures, Fallback, FitLayer, Policy, PrimeLayer, Provider, ResumeLayer,
    RetryLayer, RetryPolicy, SpendLayer, TimeoutLayer,
};
use http::Request;
use secrecy::{ExposeSecret, SecretString};
use tower::util::{Either, MapRequest, option_layer};
use tower::{Layer, ServiceBuilder};

use crate::chain;
use crate::circuits::{
    DeploymentCircuits, Shared, circuits, forget_failures_of_old_key, log, log_rejected_keys,
};
use crate::error::ConfigError;
use crate::facts::ModelPrice;
use crate::live::Table;
use crate::mid_stream;
use crate::residency::{self, Governed, SealedTarget};
use crate::schema::{
    AuthError, BedrockConfig, Config, DeploymentConfig, ProviderConfig, Router, Strategy,
};
use crate::spending;
use crate::store::Ledgers;

/// Chooses among the deployments of one order.
type DynStrategy = Arc<dyn Pick<Request<Chat>> + Send + Sync>;

/// What is told of each chain's doings.
type Observer = fn(&fallback::Event<'_>);

/// The deployments of one model, one after another.
pub(crate) type Chain = EnforceDeadline<Either<Spending<Targets>, Targets>>;

type Targets = Fallback<ChatService, DynStrategy, Failures, Observer>;

/// Everything that answers for one model.
pub(crate) type Stack = Governed<MapRequest<Collect<Resume<Chain>>, Change>>;

/// Changes a request on its way.
type Change = fn(Request<Chat>) -> Request<Chat>;

/// A configuration that is sound cannot be run on this machine.
#[derive(Debug)]
pub struct BuildError {
    what: String,
    source: BoxError,
}

impl BuildError {
    fn new(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self {
            what: what.into(),
            source: source.into(),
        }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.source)
    }
}

impl Error for BuildError {}

impl From<ConfigError> for BuildError {
    fn from(error: ConfigError) -> Self {
        Self::new("the configuration does not resolve", error)
    }
}

/// What outlives the stacks: a reload forgets none of it.
pub(crate) struct State {
    pub(crate) circuits: Circuits,
    retries: Mutex<HashMap<Arc<str>, Arc<RetryBudget>>>,
    pub(crate) ledgers: Ledgers,
    /// What each deployment's credential was, to see that it changed.
    pub(crate) credentials: Mutex<HashMap<Arc<str>, SecretString>>,
    /// What all streams together keep so that they can go on.
    room: Room,
    client: Mutex<Option<Client>>,
    bedrock_client: Mutex<Option<bedrock::SharedHttpClient>>,
}

impl State {
    /// Opens nothing that another process may be using.
    pub(crate) fn rehearsal() -> Self {
        Self {
            ledgers: Ledgers::rehearsal(),
            ..Self::new()
        }
    }

    pub(crate) fn new() -> Self {
        Self {
            circuits: Circuits::observed(CooldownConfig::new(), log),
            retries: Mutex::default(),
            ledgers: Ledgers::default(),
            credentials: Mutex::default(),
            room: Room::default(),
            client: Mutex::default(),
            bedrock_client: Mutex::default(),
        }
    }
}

/// Builds every deployment's stack once, and every model's chain over them.
pub(crate) async fn table(config: &Config, state: &State) -> Result<Table, BuildError> {
    let chains = chain::resolve(config)?;
    let policy = policy(&config.router);
    let shared = Shared::of(config);
    let budgets = spending::budgets(config, &state.ledgers)
        .await
        .map_err(|error| BuildError::new("the ledger of the budgets", error))?;
    let mut targets = Vec::with_capacity(config.deployments.len());
    for (index, deployment) in config.deployments.iter().enumerate() {
        forget_failures_of_old_key(deployment, state);
        let circuits = circuits(index, config, &shared, &policy, state);
        targets.push((
            target(deployment, config, &policy, &circuits, &budgets, state).await?,
            circuits,
        ));
    }
    let models = chains
        .iter()
        .map(|chain| {
            let resting = chain
                .steps
                .iter()
                .map(|step| targets[step.deployment].1.clone())
                .collect();
            Ok((
                Arc::clone(&chain.model),
                (stack(chain, config, &policy, &targets, state)?, resting),
            ))
        })
        .collect::<Result<_, BuildError>>()?;
    Ok(Table::new(models, &config.capabilities, budgets))
}

fn stack(
    chain: &chain::Chain,
    config: &Config,
    policy: &Policy,
    targets: &[(SealedTarget, DeploymentCircuits)],
    state: &State,
) -> Result<Stack, BuildError> {
    let strategy: DynStrategy = match config.router.strategy {
        Strategy::InOrder => Arc::new(InOrder),
        Strategy::Weighted => Arc::new(Weighted::new()),
        Strategy::LeastBusy => Arc::new(LeastBusy::new()),
    };
    let steps = chain
        .steps
        .iter()
        .map(|step| targets[step.deployment].0.at(step.order, step.only_after));
    let observer: Observer = if config.router.cooldown_time.is_zero() {
        log_rejected_keys
    } else {
        |_| {}
    };
    let fallback = SealedTarget::chain(steps)
        .map_err(|error| BuildError::new(format!("the model `{}`", chain.model), error))?
        .strategy(strategy)
        .policy(policy.clone())
        .observe(observer);
    // Where nothing is reserved, nothing is handed on.
    let hands_on = (!config.budgets.is_empty()).then(SpendLayer::new);
    let spending = option_layer(hands_on).layer(fallback);
    let bounded = DeadlineLayer::new(config.router.deadline).layer(spending);
    let resumed = ResumeLayer::with_options(mid_stream::of(&chain.model, config))
        .room(state.room.clone())
        .layer(bounded);
    let collects = chain
        .steps
        .iter()
        .any(|step| config.deployments[step.deployment].collect_streams);
    let collected = CollectLayer::new().enabled(collects).layer(resumed);
    let without_headers = MapRequest::new(collected, no_headers as Change);
    Ok(residency::governed(
        &config.policies,
        &chain.model,
        without_headers,
    ))
}

/// They are the client's, keys among them: nothing below asks for one, each attempt would copy them all, and they keep
/// the whole of what they were read into.
fn no_headers(request: Request<Chat>) -> Request<Chat> {
    let (head, chat) = request.into_parts();
    let mut request = Request::new(chat);
    *request.extensions_mut() = head.extensions;
    request
}

/// The failure table, as the configuration edits it.
fn policy(router: &Router) -> Policy {
    let surface = |policy: Policy, kind| policy.next(kind, Next::Surface).again(kind, Again::Never);
    let mut policy = Policy::default();
    if router.auth_error == AuthError::Next {
        policy = policy.next(FailureKind::Auth, Next::Ask);
    }
    if !router.retry_on.server_error {
        for kind in [
            FailureKind::ServerError,
            FailureKind::Overloaded,
            FailureKind::Network,
        ] {
            policy = surface(policy, kind);
        }
    }
    if !router.retry_on.timeout {
        policy = surface(policy, FailureKind::Timeout);
    }
    if !router.retry_on.content_filter {
        policy = surface(policy, FailureKind::ContentFilter);
    }
    policy
}

async fn target(
    config: &DeploymentConfig,
    all: &Config,
    policy: &Policy,
    circuits: &DeploymentCircuits,
    budgets: &Budgets,
    state: &State,
) -> Result<SealedTarget, BuildError> {
    let router = &all.router;
    let mut deployment = config.deployment();
    if let Some(window) = config.facts.window() {
        deployment = deployment.with_window(window);
    }
    let place = config.residency.place.clone();
    let failed =
        |error: BoxError| BuildError::new(format!("the deployment `{}`", config.id), error);
    let budget = {
        let mut budgets = state.retries.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(budgets.entry(Arc::clone(&config.id)).or_default())
    };
    let retry = RetryPolicy::new()
        .retries(router.num_retries)
        .backoff(router.retry_after)
        .patience(router.patience)
        .policy(policy.clone())
        .budget(budget);
    let timeout = TimeoutLayer::first_token(config.timeout.unwrap_or(router.timeout))
        .idle(config.stream_timeout.unwrap_or(router.stream_timeout));
    let as_asked: Change = if config.collect_streams {
        |request| request
    } else {
        collect::as_asked
    };
    let price = ModelPrice(Arc::clone(&config.facts));
    let mut spending = BudgetLayer::new(budgets, deployment.clone(), price).unpriced(all.unpriced);
    if matches!(config.provider, ProviderConfig::Bedrock(_)) {
        spending = spending.bills_when_cut();
    }
    let layers = ServiceBuilder::new()
        .map_request(as_asked)
        .layer(FitLayer::new(Arc::clone(&config.facts)))
        .layer(RetryLayer::new(retry))
        .layer(AttemptLayer::new(deployment.clone()))
        .layer(circuits.layer())
        .layer(spending)
        .layer(timeout)
        .layer(PrimeLayer::new());
    Ok(match &config.provider {
        ProviderConfig::OpenAi {
            key,
            base,
            organization,
        } => {
            let mut dialect = OpenAi::at(Server::OpenAi, key.clone());
            if let Some(base) = base {
                dialect = dialect
                    .base_url(&url(base).map_err(failed)?)
                    .map_err(|error| failed(error.into()))?;
            }
            if let Some(organization) = organization {
                dialect = dialect.organization(organization);
            }
            let dialect = dialect.model(&*config.model);
            let deployment = deployment.with_prefill(dialect.takes_prefill());
            let provider = over_http(dialect, base.as_deref(), all, state)?;
            SealedTarget::new(deployment, place, &layers, provider)
        }
        ProviderConfig::Anthropic {
            key,
            base,
            inference_geo,
        } => {
            let mut dialect = Anthropic::new(key.clone());
            if let Some(geo) = inference_geo {
                dialect = dialect.inference_geo(*geo);
            }
            if let Some(base) = base {
                dialect = dialect
                    .base_url(&url(base).map_err(failed)?)
                    .map_err(|error| failed(error.into()))?;
            }
            let dialect = dialect.model(&*config.model);
            let deployment = deployment.with_prefill(dialect.takes_prefill());
            let provider = over_http(dialect, base.as_deref(), all, state)?;
            SealedTarget::new(deployment, place, &layers, provider)
        }
        ProviderConfig::Bedrock(settings) => {
            let client = bedrock_client(settings, state)
                .await
                .map_err(|error| failed(error.into()))?;
            let bedrock = Bedrock::new(&client, &*config.model);
            let deployment = deployment.with_prefill(bedrock.takes_prefill());
            SealedTarget::new(deployment, place, &layers, bedrock)
        }
    })
}

fn url(text: &str) -> Result<http::Uri, BoxError> {
    Ok(text.parse()?)
}

fn over_http<D: Dialect>(
    dialect: D,
    base: Option<&str>,
    config: &Config,
    state: &State,
) -> Result<Provider<D, Client>, BuildError> {
    let mut shared = state.client.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(client) = &*shared {
        return Ok(Provider::new(dialect, client.clone()));
    }
    let builder = Client::builder()
        .connection_buffer(config.general.connection_buffer)
        .http2_window(config.general.http2_window);
    let client = match (builder.build(), base) {
        (Ok(client), _) => shared.insert(client).clone(),
        // Plain HTTP needs no certificates, and a machine that has none should do for it.
        (Err(_), Some(base)) if base.starts_with("http://") => builder.plain_http(),
        (Err(error), _) => return Err(BuildError::new("the HTTP client", error)),
    };
    Ok(Provider::new(dialect, client))
}

async fn bedrock_client(
    config: &BedrockConfig,
    state: &State,
) -> Result<bedrock::Client, bedrock::Unusable> {
    let http = state
        .bedrock_client
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert_with(bedrock::http_client)
        .clone();
    let mut settings = bedrock::Settings::new()
        .region(&config.region)
        .http_client(http);
    if let Some(endpoint) = &config.endpoint {
        settings = settings.endpoint_url(endpoint);
    }
    if let Some(credentials) = &config.credentials {
        let id = credentials.access_key_id.expose_secret();
        settings = settings.credentials(id, credentials.secret_access_key.clone());
        if let Some(token) = &credentials.session_token {
            settings = settings.session_token(token.clone());
        }
    }
    settings.client().await
}
