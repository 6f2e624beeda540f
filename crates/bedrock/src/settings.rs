use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::{HttpClient, IntoShared, Region, SharedHttpClient};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::auth::AuthSchemeId;
use secrecy::{ExposeSecret, SecretString};

/// How long a connection may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept: shorter than most load balancers keep theirs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// An HTTP client for the SDK: hyper with a connection pool, rustls with ring, the system's certificate authorities.
///
/// Clones share the pool: make one and give it to all [`Settings`].
#[must_use]
pub fn http_client() -> SharedHttpClient {
    Builder::new()
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// Makes a client of the AWS SDK that leaves retries and timeouts to Backstop's layers.
///
/// What is not set is found as the SDK finds it: the environment and the shared profile, and for credentials also
/// web identity, containers and the instance's role, all of them asked when the first request needs them. A bearer
/// token in `AWS_BEARER_TOKEN_BEDROCK` wins over credentials that are found, not over ones that are set. Profiles
/// that sign in by SSO are not read: let `aws configure export-credentials` be their `credential_process`.
///
/// ```
/// use backstop_bedrock::{Bedrock, Settings};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), backstop_bedrock::Unusable> {
/// let aws = Settings::new()
///     .region("eu-central-1")
///     .credentials("AKIDEXAMPLE", "the secret access key".into())
///     .client()
///     .await?;
/// let bedrock = Bedrock::new(&aws, "eu.anthropic.claude-sonnet-4-5-20250929-v1:0");
/// # let _ = bedrock; Ok(()) }
/// ```
#[derive(Clone, Default)]
#[must_use = "nothing happens until `client`"]
pub struct Settings {
    region: Option<String>,
    credentials: Option<(String, SecretString)>,
    session_token: Option<SecretString>,
    endpoint_url: Option<String>,
    http_client: Option<SharedHttpClient>,
}

impl Settings {
    /// Everything as the SDK finds it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the region.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets the access key, instead of the SDK's chain of sources.
    pub fn credentials(mut self, id: impl Into<String>, secret: SecretString) -> Self {
        self.credentials = Some((id.into(), secret));
        self
    }

    /// Sets the session token that goes with a temporary access key. Without [`credentials`](Self::credentials) it
    /// has no meaning.
    pub fn session_token(mut self, token: SecretString) -> Self {
        self.session_token = Some(token);
        self
    }

    /// Sets the address to ask instead of the region's own, such as a VPC endpoint's.
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// Sets the HTTP client; without one, each client that is made has its own [`http_client`].
    pub fn http_client(mut self, client: impl HttpClient + 'static) -> Self {
        self.http_client = Some(client.into_shared());
        self
    }

    /// The SDK's client. Files may be read, but nothing is asked over the network.
    ///
    /// # Errors
    ///
    /// [`Unusable`] if no region is known or the endpoint is no URL.
    pub async fn client(self) -> Result<Client, Unusable> {
        // The instance's metadata is left out: a region has to be known without a network.
        let region = RegionProviderChain::first_try(self.region.map(Region::new))
            .or_else(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .region()
            .await
            .ok_or(Unusable(Why::NoRegion))?;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .disable_read_timeout()
            .disable_operation_timeout()
            .disable_operation_attempt_timeout()
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(region)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(self.http_client.unwrap_or_else(http_client));
        if let Some(url) = self.endpoint_url {
            let is_url = url.parse::<http::Uri>().is_ok_and(|url| {
                matches!(url.scheme_str(), Some("http" | "https")) && url.authority().is_some()
            });
            if !is_url {
                return Err(Unusable(Why::Endpoint));
            }
            loader = loader.endpoint_url(url);
        }
        if let Some((id, secret)) = self.credentials {
            let token = self
                .session_token
                .map(|token| token.expose_secret().to_owned());
            let credentials =
                Credentials::new(id, secret.expose_secret(), token, None, "backstop settings");
            loader = loader
                .credentials_provider(credentials)
                .auth_scheme_preference([AuthSchemeId::from("sigv4")]);
        }
        Ok(Client::new(&loader.load().await))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("region", &self.region)
            .field("endpoint_url", &self.endpoint_url)
            .field("credentials", &self.credentials.is_some())
            .finish_non_exhaustive()
    }
}

/// [`Settings`] of which no client can be made.
#[derive(Debug)]
pub struct Unusable(Why);

#[derive(Debug)]
enum Why {
    NoRegion,
    Endpoint,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Why::NoRegion => "no AWS region: set one, or AWS_REGION, or one in the profile",
            Why::Endpoint => "the Bedrock endpoint is not an http or https URL",
        })
    }
}

impl Error for Unusable {}
