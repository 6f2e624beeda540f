//! Which circuits stand before each deployment, and what an operator is told of them.

use std::sync::{Arc, PoisonError};

use backstop::cooldown::{Circuit, CooldownConfig, Event};
use backstop::{CooldownLayer, FailureKind, Policy, fallback};
use secrecy::ExposeSecret;

use crate::build::State;
use crate::schema::{BedrockConfig, Config, DeploymentConfig, ProviderConfig};

/// One line for each open and close: what an operator is paged about.
pub(crate) fn log(event: &Event<'_>) {
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

/// Tells an operator of a rejected key where no circuit does, because circuits are turned off.
pub(crate) fn log_rejected_keys(event: &fallback::Event<'_>) {
    if let fallback::Event::Failed {
        deployment,
        failure,
    } = event
        && failure.kind() == FailureKind::Auth
    {
        let until = "the key is changed";
        tracing::warn!(deployment = &**deployment.id(), cause = %failure, until, "key rejected");
    }
}

/// The circuits that must all admit a call to one deployment.
#[derive(Clone)]
pub(crate) struct DeploymentCircuits {
    deployment: Circuit,
    credential: Option<Circuit>,
    endpoint: Option<Circuit>,
}

impl DeploymentCircuits {
    /// The layer that asks them.
    pub(crate) fn layer(&self) -> CooldownLayer {
        let mut layer = CooldownLayer::new(self.deployment.clone());
        if let Some(circuit) = &self.credential {
            layer = layer.credential(circuit.clone());
        }
        if let Some(circuit) = &self.endpoint {
            layer = layer.endpoint(circuit.clone());
        }
        layer
    }

    pub(crate) fn is_resting(&self) -> bool {
        let rests = |circuit: &Option<Circuit>| circuit.as_ref().is_some_and(Circuit::is_resting);
        self.deployment.is_resting() || rests(&self.credential) || rests(&self.endpoint)
    }
}

/// Which deployments share a credential or an endpoint: by index, the first deployment that has the same.
pub(crate) struct Shared {
    credential: Vec<Option<usize>>,
    endpoint: Vec<Option<usize>>,
}

impl Shared {
    pub(crate) fn of(config: &Config) -> Self {
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

pub(crate) fn circuits(
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
pub(crate) fn forget_failures_of_old_key(deployment: &DeploymentConfig, state: &State) {
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
