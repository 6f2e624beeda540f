//! Builds a running stack for each deployment, and a chain for each model.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use backstop::anthropic::Anthropic;
use backstop::bedrock::{self, Bedrock};
use backstop::chat::Dialect;
use backstop::client::Client;
use backstop::cooldown::{Circuit, Circuits, CooldownConfig, Event};
use backstop::core::{Again, Next};
use backstop::fallback::{InOrder, LeastBusy, Strategy as Pick, Weighted};
use backstop::openai::OpenAi;
use backstop::retry::RetryBudget;
use backstop::timeout::EnforceDeadline;
use backstop::{
    AttemptLayer, BoxError, Chat, ChatService, CooldownLayer, DeadlineLayer, Deployment,
    FailureKind, Fallback, IntoTarget, Policy, PrimeLayer, Provider, RetryLayer, RetryPolicy,
    Target, TimeoutLayer,
};
use http::Request;
use secrecy::{ExposeSecret, SecretString};
use tower::{Layer, ServiceBuilder};

use crate::chain::{self, Chain};
use crate::error::ConfigError;
use crate::live::Table;
use crate::schema::{
    AuthError, BedrockConfig, Config, DeploymentConfig, ProviderConfig, Router, Strategy,
};

/// Chooses among the deployments of one order.
type DynStrategy = Arc<dyn Pick<Request<Chat>> + Send + Sync>;

/// Everything that answers for one model.
pub(crate) type Stack = EnforceDeadline<Fallback<ChatService, DynStrategy>>;

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
    budgets: Mutex<HashMap<Arc<str>, Arc<RetryBudget>>>,
    /// What each deployment's credential was, to see that it changed.
    credentials: Mutex<HashMap<Arc<str>, SecretString>>,
    client: Mutex<Option<Client>>,
    bedrock_client: Mutex<Option<bedrock::SharedHttpClient>>,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            circuits: Circuits::observed(CooldownConfig::new(), log),
            budgets: Mutex::default(),
            credentials: Mutex::default(),
            client: Mutex::default(),
            bedrock_client: Mutex::default(),
        }
    }
}

/// One line for each open and close: what an operator is paged about.
fn log(event: &Event<'_>) {
    match event {
        Event::Opened {
            circuit,
            cause,
            rest,
            ..
        } => {
            let until = jiff::Timestamp::now()
                .saturating_add(jiff::SignedDuration::try_from(*rest).unwrap_or_default());
            let until = until.map(|until| format!("{until:.3}")).unwrap_or_default();
            tracing::warn!(deployment = circuit, cause = %cause, kind = cause.kind().as_str(), until, "circuit opened");
        }
        Event::Closed { circuit, cause } => {
            let until = format!("{:.3}", jiff::Timestamp::now());
            tracing::warn!(deployment = circuit, cause = %cause, kind = cause.kind().as_str(), until, "circuit closed");
        }
        _ => {}
    }
}

/// Builds every deployment's stack once, and every model's chain over them.
pub(crate) async fn table(config: &Config, state: &State) -> Result<Table, BuildError> {
    let chains = chain::resolve(config)?;
    let policy = policy(&config.router);
    let shared = Shared::of(config);
    let mut targets = Vec::with_capacity(config.deployments.len());
    for (index, deployment) in config.deployments.iter().enumerate() {
        forget_failures_of_old_key(deployment, state);
        let circuits = circuits(index, config, &shared, &policy, state);
        targets.push((
            target(deployment, &config.router, &policy, &circuits, state).await?,
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
                (stack(chain, config, &policy, &targets)?, resting),
            ))
        })
        .collect::<Result<_, BuildError>>()?;
    Ok(Table::new(models))
}

fn stack(
    chain: &Chain,
    config: &Config,
    policy: &Policy,
    targets: &[(Target<ChatService>, DeploymentCircuits)],
) -> Result<Stack, BuildError> {
    let strategy: DynStrategy = match config.router.strategy {
        Strategy::InOrder => Arc::new(InOrder),
        Strategy::Weighted => Arc::new(Weighted::new()),
        Strategy::LeastBusy => Arc::new(LeastBusy::new()),
    };
    let steps = chain
        .steps
        .iter()
        .map(|step| targets[step.deployment].0.clone().with_order(step.order));
    let fallback = Fallback::new(steps)
        .map_err(|error| BuildError::new(format!("the model `{}`", chain.model), error))?
        .strategy(strategy)
        .policy(policy.clone());
    Ok(DeadlineLayer::new(config.router.deadline).layer(fallback))
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

/// The circuits that must all admit a call to one deployment.
#[derive(Clone)]
pub(crate) struct DeploymentCircuits {
    deployment: Circuit,
    credential: Option<Circuit>,
    endpoint: Option<Circuit>,
}

impl DeploymentCircuits {
    pub(crate) fn is_resting(&self) -> bool {
        let rests = |circuit: &Option<Circuit>| circuit.as_ref().is_some_and(Circuit::is_resting);
        self.deployment.is_resting() || rests(&self.credential) || rests(&self.endpoint)
    }
}

/// Which deployments share a credential or an endpoint: by index, the first deployment that has the same.
struct Shared {
    credential: Vec<Option<usize>>,
    endpoint: Vec<Option<usize>>,
}

impl Shared {
    fn of(config: &Config) -> Self {
        let credentials: Vec<String> = config
            .deployments
            .iter()
            .map(|deployment| {
                format!(
                    "{} {}",
                    deployment.provider.name(),
                    credential(&deployment.provider)
                )
            })
            .collect();
        let endpoints: Vec<String> = config
            .deployments
            .iter()
            .map(|deployment| endpoint(&deployment.provider))
            .collect();
        Self {
            credential: first_of_same(&credentials),
            endpoint: first_of_same(&endpoints),
        }
    }
}

/// For each, the index of the first that is the same, if there is another at all.
fn first_of_same(all: &[String]) -> Vec<Option<usize>> {
    all.iter()
        .map(|one| {
            let shared = all.iter().filter(|other| *other == one).count() > 1;
            shared
                .then(|| all.iter().position(|other| other == one))
                .flatten()
        })
        .collect()
}

/// What identifies a credential; never shown.
fn credential(provider: &ProviderConfig) -> String {
    match provider {
        ProviderConfig::OpenAi { key, .. } => {
            key.as_ref().map(|key| key.expose_secret().to_owned())
        }
        ProviderConfig::Anthropic { key, .. } => Some(key.expose_secret().to_owned()),
        ProviderConfig::Bedrock(BedrockConfig { credentials, .. }) => credentials
            .as_ref()
            .map(|credentials| credentials.secret_access_key.expose_secret().to_owned()),
    }
    .unwrap_or_default()
}

fn endpoint(provider: &ProviderConfig) -> String {
    match provider {
        ProviderConfig::OpenAi { base, .. } => base.clone().unwrap_or_else(|| "openai".to_owned()),
        ProviderConfig::Anthropic { base, .. } => {
            base.clone().unwrap_or_else(|| "anthropic".to_owned())
        }
        ProviderConfig::Bedrock(BedrockConfig {
            endpoint, region, ..
        }) => endpoint
            .clone()
            .unwrap_or_else(|| format!("bedrock {region}")),
    }
}

fn circuits(
    index: usize,
    config: &Config,
    shared: &Shared,
    policy: &Policy,
    state: &State,
) -> DeploymentCircuits {
    let cooldown = |deployment: &DeploymentConfig| {
        let router = &config.router;
        let timeout = deployment.timeout.unwrap_or(router.timeout);
        CooldownConfig::new()
            .policy(policy.clone())
            .patience(router.patience)
            .allowed_fails(deployment.allowed_fails.unwrap_or(router.allowed_fails))
            .cooldown(deployment.cooldown_time.unwrap_or(router.cooldown_time))
            // A probe that outlasts its own timeouts has been lost.
            .probe_lease(timeout + deployment.stream_timeout.unwrap_or(router.stream_timeout))
    };
    let entry = |scope: &str, index: usize| {
        let deployment = &config.deployments[index];
        state
            .circuits
            .entry_with(format!("{}{scope}", deployment.id), cooldown(deployment))
    };
    DeploymentCircuits {
        deployment: entry("", index),
        credential: shared.credential[index].map(|first| entry(" (credential)", first)),
        endpoint: shared.endpoint[index].map(|first| entry(" (endpoint)", first)),
    }
}

/// A circuit that a rejected key opened must not outlast the key.
fn forget_failures_of_old_key(deployment: &DeploymentConfig, state: &State) {
    let key = credential(&deployment.provider);
    let mut credentials = state
        .credentials
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let before = credentials.insert(Arc::clone(&deployment.id), key.clone().into());
    if before.is_none_or(|before| before.expose_secret() == key) {
        return;
    }
    for scope in ["", " (credential)"] {
        if let Some(circuit) = state.circuits.get(&format!("{}{scope}", deployment.id)) {
            circuit.reset();
        }
    }
}

async fn target(
    config: &DeploymentConfig,
    router: &Router,
    policy: &Policy,
    circuits: &DeploymentCircuits,
    state: &State,
) -> Result<Target<ChatService>, BuildError> {
    let mut deployment = Deployment::new(Arc::clone(&config.id))
        .with_provider(config.provider.name())
        .with_model(Arc::clone(&config.model))
        .with_weight(config.weight);
    if let Some(region) = config.provider.region() {
        deployment = deployment.with_region(region);
    }
    let failed =
        |error: BoxError| BuildError::new(format!("the deployment `{}`", config.id), error);
    let budget = {
        let mut budgets = state.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(budgets.entry(Arc::clone(&config.id)).or_default())
    };
    let retry = RetryPolicy::new()
        .retries(router.num_retries)
        .backoff(router.retry_after)
        .patience(router.patience)
        .policy(policy.clone())
        .budget(budget);
    let mut cooldown = CooldownLayer::new(circuits.deployment.clone());
    if let Some(circuit) = &circuits.credential {
        cooldown = cooldown.credential(circuit.clone());
    }
    if let Some(circuit) = &circuits.endpoint {
        cooldown = cooldown.endpoint(circuit.clone());
    }
    let timeout = TimeoutLayer::first_token(config.timeout.unwrap_or(router.timeout))
        .idle(config.stream_timeout.unwrap_or(router.stream_timeout));
    let layers = ServiceBuilder::new()
        .layer(RetryLayer::new(retry))
        .layer(AttemptLayer::new(deployment.clone()))
        .layer(cooldown)
        .layer(timeout)
        .layer(PrimeLayer::new());
    Ok(match &config.provider {
        ProviderConfig::OpenAi {
            key,
            base,
            organization,
        } => {
            let mut dialect = match key {
                Some(key) => OpenAi::new(key.clone()),
                None => OpenAi::keyless().named("openai"),
            };
            if let Some(base) = base {
                dialect = dialect
                    .base_url(&url(base).map_err(failed)?)
                    .map_err(|error| failed(error.into()))?;
            }
            if let Some(organization) = organization {
                dialect = dialect.organization(organization);
            }
            let dialect = dialect.model(&*config.model);
            layers
                .service(over_http(dialect, base.as_deref(), state)?)
                .into_target(deployment)
        }
        ProviderConfig::Anthropic { key, base } => {
            let mut dialect = Anthropic::new(key.clone());
            if let Some(base) = base {
                dialect = dialect
                    .base_url(&url(base).map_err(failed)?)
                    .map_err(|error| failed(error.into()))?;
            }
            let dialect = dialect.model(&*config.model);
            layers
                .service(over_http(dialect, base.as_deref(), state)?)
                .into_target(deployment)
        }
        ProviderConfig::Bedrock(settings) => {
            let client = bedrock_client(settings, state)
                .await
                .map_err(|error| failed(error.into()))?;
            layers
                .service(Bedrock::new(&client, &*config.model))
                .into_target(deployment)
        }
    })
}

fn url(text: &str) -> Result<http::Uri, BoxError> {
    Ok(text.parse()?)
}

fn over_http<D: Dialect>(
    dialect: D,
    base: Option<&str>,
    state: &State,
) -> Result<Provider<D, Client>, BuildError> {
    let mut shared = state.client.lock().unwrap_or_else(PoisonError::into_inner);
    let client = match (&*shared, base) {
        (Some(client), _) => client.clone(),
        // Plain HTTP needs no certificates, and a machine that has none should do for it.
        (None, Some(base)) if base.starts_with("http://") => {
            Client::new().unwrap_or_else(|_| Client::plain_http())
        }
        (None, _) => {
            let client =
                Client::new().map_err(|error| BuildError::new("the HTTP client", error))?;
            shared.insert(client).clone()
        }
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
