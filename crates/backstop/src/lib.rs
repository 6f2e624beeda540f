//! `Service<http::Request<Chat>>`: Tower layers that keep LLM calls answered while providers fail.
//!
//! Every piece is a crate of its own and works alone, over any [`tower::Service`]; this one gathers them behind
//! features, and adds [`TargetLayer`], which makes a deployment's stack ready for a chain.
//!
//! ```text
//!  AuditLayer           one record per request: opened here, closed at the true end
//!  EdgeLayer            OpenAI's HTTP format ↔ http::Request<Chat>
//!  CollectLayer         the caller wants no stream: asks below for one all the same, and puts it together
//!  ResidencyPolicyLayer which residency rules hold for this request, for everything below
//!  ResumeLayer          a stream that breaks after its first token goes on from another deployment
//!  DeadlineLayer        the time to a first token, for the whole chain
//!  Fallback             asks one deployment after another, stops at the first committed answer
//!    │ one small stack per deployment, each layer optional:
//!    ├─ TargetLayer     makes the stack a link of the chain
//!    ├─ RegionLayer     nothing runs for a deployment that the request's rules forbid
//!    ├─ FitLayer        context window and capabilities: refuses what cannot work here
//!    ├─ RetryLayer      tower's own, with RetryPolicy: only for failures where asking again helps
//!    ├─ AttemptLayer    one row in the record per call
//!    ├─ CooldownLayer   circuit breaker: every attempt is evidence, one probe at a time
//!    ├─ BudgetLayer     reserves what the call can cost, settles what it took; SpendLayer around the chain
//!    ├─ TimeoutLayer    time to first token; idle time between chunks
//!    ├─ PrimeLayer      holds the response until its first content: a failure in a 200 is still a failure
//!    ├─ RegionSeal      lets nothing out that RegionLayer has not let in
//!    └─ Provider        OpenAi, Anthropic over any HTTP client; Bedrock over the AWS SDK
//! ```
//!
//! The order matters. Cooldown is inside retry, so that each attempt is judged, and an opening circuit ends the
//! retrying. Timeout is outside prime, so that an attempt's timeout is its time to first token. What is below
//! retry is cloned for each request: [`TargetLayer`] boxes above it, once.
//!
#![cfg_attr(
    all(
        feature = "fallback",
        feature = "prime",
        feature = "timeout",
        feature = "openai"
    ),
    doc = r##"
```
use backstop::openai::OpenAi;
use backstop::{BoxError, Chat, Deployment, Fallback, PrimeLayer, Provider, TargetLayer, TimeoutLayer};
use bytes::Bytes;
use http_body_util::Full;
use std::time::Duration;
use tower::{ServiceBuilder, ServiceExt, service_fn};

# #[tokio::main(flavor = "current_thread")]
# async fn main() -> Result<(), BoxError> {
// Stands for an HTTP client: this one is down, the other answers.
let down = service_fn(async |_: http::Request<Full<Bytes>>| {
    Err::<http::Response<Full<Bytes>>, BoxError>("connection refused".into())
});
let up = service_fn(async |_: http::Request<Full<Bytes>>| {
    let answer = r#"{"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}"#;
    Ok::<_, BoxError>(http::Response::new(Full::<Bytes>::from(answer)))
});

let target = |id: &str| {
    ServiceBuilder::new()
        .layer(TargetLayer::new(Deployment::new(id)))
        .layer(TimeoutLayer::first_token(Duration::from_secs(30)).idle(Duration::from_secs(15)))
        .layer(PrimeLayer::new())
};
let chain = Fallback::in_order([
    target("primary").service(Provider::new(OpenAi::new("sk-one".into()).model("gpt-4o"), down)),
    target("second").service(Provider::new(OpenAi::new("sk-two".into()).model("gpt-4o"), up)),
]);

let answer = chain.oneshot(http::Request::new(Chat::user("Are you there?"))).await?;
assert_eq!(answer.into_body().text().await?, "Hello");
# Ok(())
# }
```
"##
)]
//! # Features
//!
//! None is on by default, and each brings its own crates only:
//!
//! - the layers `audit`, `budget`, `collect`, `cooldown`, `edge`, `fallback`, `fit`, `prime`, `region`, `resume`,
//!   `retry` and `timeout`;
//! - the providers `openai`, `anthropic` and `bedrock`, and `client`, the HTTP client under the first two;
//! - `catalog`, what is known of models;
//! - `full`, all of them.
//!
//! Ledgers that outlive a process are in the crate `backstop-store`.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use backstop_chat::{Body, Chat, Chunk, Dialect, InvalidChat, Provider, ProviderError};
pub use backstop_core::{
    BoxError, ByStatus, Classify, Deadline, Deployment, Exhausted, Failure, FailureKind, Failures,
    Ineligible, LastResort, Outcome, Policy, Position, Trail, Usage, failure_of,
};

#[doc(no_inline)]
pub use backstop_chat as chat;
#[doc(no_inline)]
pub use backstop_core as core;

#[cfg(feature = "anthropic")]
#[doc(no_inline)]
pub use backstop_anthropic as anthropic;
#[cfg(feature = "audit")]
#[doc(no_inline)]
pub use backstop_audit as audit;
#[cfg(feature = "bedrock")]
#[doc(no_inline)]
pub use backstop_bedrock as bedrock;
#[cfg(feature = "budget")]
#[doc(no_inline)]
pub use backstop_budget as budget;
#[cfg(feature = "catalog")]
#[doc(no_inline)]
pub use backstop_catalog as catalog;
#[cfg(feature = "client")]
#[doc(no_inline)]
pub use backstop_client as client;
#[cfg(feature = "collect")]
#[doc(no_inline)]
pub use backstop_collect as collect;
#[cfg(feature = "cooldown")]
#[doc(no_inline)]
pub use backstop_cooldown as cooldown;
#[cfg(feature = "edge")]
#[doc(no_inline)]
pub use backstop_edge as edge;
#[cfg(feature = "fallback")]
#[doc(no_inline)]
pub use backstop_fallback as fallback;
#[cfg(feature = "fit")]
#[doc(no_inline)]
pub use backstop_fit as fit;
#[cfg(feature = "openai")]
#[doc(no_inline)]
pub use backstop_openai as openai;
#[cfg(feature = "prime")]
#[doc(no_inline)]
pub use backstop_prime as prime;
#[cfg(feature = "region")]
#[doc(no_inline)]
pub use backstop_region as region;
#[cfg(feature = "resume")]
#[doc(no_inline)]
pub use backstop_resume as resume;
#[cfg(feature = "retry")]
#[doc(no_inline)]
pub use backstop_retry as retry;
#[cfg(feature = "timeout")]
#[doc(no_inline)]
pub use backstop_timeout as timeout;

#[cfg(feature = "audit")]
pub use backstop_audit::{AttemptLayer, AuditLayer};
#[cfg(feature = "budget")]
pub use backstop_budget::{Budget, BudgetLayer, Budgets, SpendLayer, Spender};
#[cfg(feature = "collect")]
pub use backstop_collect::CollectLayer;
#[cfg(feature = "cooldown")]
pub use backstop_cooldown::{Circuits, CooldownConfig, CooldownLayer};
#[cfg(feature = "edge")]
pub use backstop_edge::EdgeLayer;
#[cfg(feature = "fallback")]
pub use backstop_fallback::{Fallback, Target};
#[cfg(feature = "fit")]
pub use backstop_fit::FitLayer;
#[cfg(feature = "prime")]
pub use backstop_prime::PrimeLayer;
#[cfg(feature = "region")]
pub use backstop_region::{RegionLayer, RegionSeal, Residency, ResidencyPolicyLayer};
#[cfg(feature = "resume")]
pub use backstop_resume::ResumeLayer;
#[cfg(feature = "retry")]
pub use backstop_retry::RetryPolicy;
#[cfg(feature = "timeout")]
pub use backstop_timeout::{DeadlineLayer, TimeoutLayer};
#[cfg(feature = "retry")]
pub use tower::retry::RetryLayer;

#[cfg(feature = "fallback")]
mod target;
#[cfg(feature = "fallback")]
pub use self::target::{ChatService, IntoTarget, TargetLayer};
