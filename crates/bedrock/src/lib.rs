//! AWS Bedrock's Converse API as a Tower service, over the AWS SDK.

mod answer;
mod body;
mod document;
mod encode;
mod failures;
mod messages;
mod models;
mod service;
mod settings;
mod tools;

pub use self::body::ConverseBody;
pub use self::service::{Bedrock, ResponseFuture};
pub use self::settings::{Settings, Unusable, http_client};
/// The SDK's client, and the HTTP client under it.
pub use aws_sdk_bedrockruntime::Client;
pub use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// The name that errors and records use.
const PROVIDER: &str = "bedrock";
