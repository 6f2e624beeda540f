//! AWS Bedrock's Converse API as a Tower service, over the AWS SDK.
//!
//! [`Bedrock`] takes requests in OpenAI's format and gives answers in OpenAI's format. The SDK owns what stands
//! between: HTTP, signing, credentials and the framing of event streams. It stands where
//! [`Provider`](backstop_chat::Provider) stands for other providers: innermost, with Backstop's layers around it. They
//! decide on retries and timeouts, so the SDK's own are off.
//!
//! ```
//! use aws_smithy_runtime_api::client::http::{
//!     HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
//! };
//! use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
//! use backstop_bedrock::{Bedrock, Settings};
//! use backstop_chat::{Body, Chat};
//! use tower_service::Service;
//!
//! // Any HTTP client of the SDK's goes here; this one answers without a network.
//! #[derive(Debug)]
//! struct Canned;
//!
//! impl HttpConnector for Canned {
//!     fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
//!         assert!(request.uri().ends_with("/model/amazon.nova-pro-v1%3A0/converse"));
//!         let answer = r#"{"output": {"message": {"role": "assistant", "content": [{"text": "Hello!"}]}},
//!             "stopReason": "end_turn", "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}}"#;
//!         HttpConnectorFuture::ready(Ok(HttpResponse::new(200.try_into().unwrap(), answer.into())))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), backstop_core::BoxError> {
//! let aws = Settings::new()
//!     .region("eu-central-1")
//!     .credentials("AKIDEXAMPLE", "the secret access key".into())
//!     .http_client(http_client_fn(|_, _| SharedHttpConnector::new(Canned)))
//!     .client()
//!     .await?;
//! let mut bedrock = Bedrock::new(&aws, "amazon.nova-pro-v1:0");
//! let answer = bedrock.call(http::Request::new(Chat::user("Hi"))).await?;
//! assert_eq!(Body::new(answer.into_body()).text().await?, "Hello!");
//! # Ok(())
//! # }
//! ```
//!
//! # What is left out
//!
//! Parameters that Converse, or the model, would refuse are left out or lowered, with a note in the
//! [`Trail`](backstop_core::Trail); the rules of each model are data, in `models.rs`. A request that would lose its
//! meaning is refused before it is sent, as [incapable](backstop_chat::ProviderError::incapable): more than one
//! choice, audio, files, images that are named by URL, a schema or a forced call where the model has neither, and an
//! assistant message at the end where the model does not go on from it. The SDK keeps a tool's schema in hash maps, so
//! the order of its properties is lost; the schema of a response format is sent as it came.
//!
//! # Failures
//!
//! Errors are classified by the exception's name, then by its text, then by the status; the table is `failures.rs`.
//! Missing credentials are [`Auth`](backstop_core::FailureKind::Auth). An exception in a stream is an error. A stream
//! that ends before `messageStop` is a [network failure](backstop_core::FailureKind::Network), however cleanly it ends;
//! after it, what follows cannot fail the answer any more.

mod answer;
mod body;
mod document;
mod encode;
mod failures;
mod guard;
mod messages;
mod models;
mod service;
mod settings;
mod tools;

#[doc(no_inline)]
pub use aws_sdk_bedrockruntime::{Client, config::SharedHttpClient};

pub use self::body::ConverseBody;
pub use self::service::{Bedrock, ResponseFuture};
pub use self::settings::{Settings, Unusable, http_client};

/// The name that errors and records use.
const PROVIDER: &str = "bedrock";
