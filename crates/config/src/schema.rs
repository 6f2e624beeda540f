//! What a configuration says, in types.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use backstop::Budget;
use backstop::budget::Unpriced;
use backstop::catalog::Facts;
use backstop::region::Policies;
use backstop::resume::ResumeOptions;

use crate::capabilities::Auto;
use crate::clients::ClientKey;
use crate::error::Place;
use crate::mid_stream::MidStream;
use crate::residency::Declared;
use crate::store::Store;

/// A validated configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    pub(crate) deployments: Vec<DeploymentConfig>,
    /// Names that stand for several models.
    pub(crate) capabilities: Vec<Auto>,
    pub(crate) router: Router,
    /// What belongs to the gateway rather than to its stacks.
    pub general: General,
    pub(crate) keys: Vec<ClientKey>,
    pub(crate) budgets: Vec<Budget>,
    pub(crate) unpriced: Unpriced,
    pub(crate) store: Store,
    pub(crate) remarks: Vec<String>,
    /// Where records go; `None` if they are turned off.
    pub audit: Option<AuditConfig>,
    /// Where requests may go.
    pub(crate) policies: Arc<Policies>,
    /// The files that values were read from, to watch.
    pub(crate) files: Vec<PathBuf>,
}

/// One entry of `model_list`.
#[derive(Clone, Debug)]
pub(crate) struct DeploymentConfig {
    pub(crate) group: Arc<str>,
    pub(crate) id: Arc<str>,
    /// The model string as it was written, such as `openai/gpt-4o`.
    pub(crate) name: Arc<str>,
    pub(crate) provider: ProviderConfig,
    pub(crate) model: Arc<str>,
    /// What is known of the model.
    pub(crate) facts: Arc<Facts>,
    pub(crate) order: Option<u32>,
    pub(crate) weight: u32,
    pub(crate) timeout: Option<Duration>,
    pub(crate) stream_timeout: Option<Duration>,
    pub(crate) allowed_fails: Option<u32>,
    pub(crate) cooldown_time: Option<Duration>,
    /// Whether it is asked for a stream where the caller wants none.
    pub(crate) collect_streams: bool,
    /// Where it is, and the rule for its whole model.
    pub(crate) residency: Declared,
    /// What it says about mid-stream failover for its whole model, and where.
    pub(crate) mid_stream: Option<(MidStream, Place)>,
}

#[derive(Clone, Debug)]
pub(crate) enum ProviderConfig {
    OpenAi {
        key: Option<SecretString>,
        base: Option<String>,
        organization: Option<String>,
    },
    Anthropic {
        key: SecretString,
        base: Option<String>,
        inference_geo: Option<&'static str>,
    },
    Bedrock(BedrockConfig),
}

#[derive(Clone, Debug)]
pub(crate) struct BedrockConfig {
    pub(crate) region: String,
    pub(crate) endpoint: Option<String>,
    pub(crate) credentials: Option<AwsCredentials>,
}

#[derive(Clone, Debug)]
pub(crate) struct AwsCredentials {
    pub(crate) access_key_id: SecretString,
    pub(crate) secret_access_key: SecretString,
    pub(crate) session_token: Option<SecretString>,
}

impl ProviderConfig {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::OpenAi { .. } => "openai",
            Self::Anthropic { .. } => "anthropic",
            Self::Bedrock(_) => "bedrock",
        }
    }
}

/// `router_settings`.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    pub(crate) strategy: Strategy,
    pub(crate) num_retries: u32,
    pub(crate) retry_after: Duration,
    pub(crate) timeout: Duration,
    pub(crate) stream_timeout: Duration,
    pub(crate) deadline: Duration,
    pub(crate) patience: Duration,
    pub(crate) retry_on: RetryOn,
    pub(crate) auth_error: AuthError,
    pub(crate) fallbacks: Vec<FallbackList>,
    pub(crate) default_fallbacks: Vec<Named>,
    /// Asked only after a prompt was too long.
    pub(crate) context_window_fallbacks: Vec<FallbackList>,
    /// Asked only after a content filter has blocked.
    pub(crate) content_policy_fallbacks: Vec<FallbackList>,
    pub(crate) cooldown_time: Duration,
    pub(crate) allowed_fails: u32,
    pub(crate) mid_stream: ResumeOptions,
}

impl Default for Router {
    fn default() -> Self {
        Self {
            strategy: Strategy::InOrder,
            num_retries: 2,
            retry_after: Duration::from_millis(80),
            timeout: Duration::from_secs(30),
            stream_timeout: Duration::from_secs(15),
            deadline: Duration::from_secs(120),
            patience: Duration::from_secs(1),
            retry_on: RetryOn {
                server_error: true,
                timeout: true,
                content_filter: true,
            },
            auth_error: AuthError::Next,
            fallbacks: Vec::new(),
            default_fallbacks: Vec::new(),
            context_window_fallbacks: Vec::new(),
            content_policy_fallbacks: Vec::new(),
            cooldown_time: Duration::from_secs(60),
            allowed_fails: 3,
            // An answer that is not interrupted is what a gateway is for.
            mid_stream: ResumeOptions::new().prompted(true).hold_tool_calls(true),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    InOrder,
    Weighted,
    LeastBusy,
}

/// Which failures move on to the next deployment, of those that an operator may choose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryOn {
    pub(crate) server_error: bool,
    pub(crate) timeout: bool,
    pub(crate) content_filter: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthError {
    Next,
    Surface,
}

/// A name of a model group or a deployment, as some list says it.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) place: Place,
}

#[derive(Clone, Debug)]
pub(crate) struct FallbackList {
    pub(crate) of: Named,
    pub(crate) then: Vec<Named>,
}

/// `general_settings`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct General {
    /// The key that clients must show.
    pub master_key: Option<SecretString>,
    /// Whether errors list the attempts that were made.
    pub expose_attempts: bool,
    /// Whether answers say who served.
    pub expose_served_by: bool,
    /// The largest request body, in bytes.
    pub max_request_bytes: usize,
    /// What an HTTP/1 connection may hold in either direction, in bytes.
    pub connection_buffer: usize,
    /// What an HTTP/2 stream may hold in either direction, in bytes.
    pub http2_window: u32,
}

impl Default for General {
    fn default() -> Self {
        Self {
            master_key: None,
            expose_attempts: false,
            expose_served_by: true,
            max_request_bytes: 20 * 1024 * 1024,
            connection_buffer: 32 * 1024,
            http2_window: 64 * 1024,
        }
    }
}

/// `audit`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditConfig {
    /// The folder that records are written to.
    pub dir: PathBuf,
    /// When they are durable.
    pub mode: backstop_audit::Mode,
    /// What happens to requests when they cannot be written.
    pub on_failure: backstop_audit::OnFailure,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("./backstop-audit"),
            mode: backstop_audit::Mode::Group,
            on_failure: backstop_audit::OnFailure::Degrade,
        }
    }
}
