//! Data stays where it must, through a running gateway: one simulator inside the EU, one outside, and whatever happens,
//! nobody outside is asked.

#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "it is another test's, too")]
#[path = "../circuits/upstream.rs"]
mod upstream;

mod alarms;
mod failures;
mod labels;
mod models;
mod narrowing;
mod printed;
mod reloads;
mod streams;

use backstop_sim::Sim;
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use self::support::{Deployment, Gateway, Response, Setup, config, deployment, post};

/// Everybody's data.
const EU_ONLY: &str = "
residency:
  rules:
    - {name: eu-only, require: {processing: [eu], storage: [eu]}}
";

/// Why that keeps a deployment away which is [`outside`].
const NOT_WITHIN: &str = "rule `eu-only`: it processes in us-east-1, not within eu";

/// Providers on both sides of a border.
#[derive(Debug)]
struct Sides {
    eu: Sim,
    us: Sim,
}

impl Sides {
    async fn new() -> Self {
        Self {
            eu: support::sim().await,
            us: support::sim().await,
        }
    }

    fn setup(&self, config: &str) -> Setup {
        Setup::serve(config)
            .before(&self.eu)
            .env("US_OPENAI", &self.us.openai())
            .env("US_ANTHROPIC", &self.us.anthropic())
            .env("US_BEDROCK", &self.us.bedrock())
    }

    async fn gateway(&self, deployments: &[Deployment], more: &str) -> Gateway {
        self.setup(&config(deployments, more)).start().await
    }

    /// No byte has left.
    #[track_caller]
    fn nothing_left(&self, what: &str) {
        let left: Vec<_> = self.us.journal().entries();
        assert!(left.is_empty(), "{what}: {left:?}");
    }
}

/// A deployment in the EU; its provider is `openai` or `bedrock`.
fn inside(group: &str, id: &str, model: &str) -> Deployment {
    let deployment = deployment(group, model).id(id);
    match model.split_once('/') {
        Some(("bedrock", _)) => deployment.param("aws_region_name: eu-central-1"),
        _ => deployment.info("region: {processing: eu-central-1, storage: eu}"),
    }
}

/// A deployment in the United States, of any provider.
fn outside(group: &str, id: &str, model: &str) -> Deployment {
    let deployment = deployment(group, model).id(id);
    match model.split_once('/') {
        Some(("bedrock", _)) => {
            deployment.param("aws_bedrock_runtime_endpoint: os.environ/US_BEDROCK")
        }
        Some(("anthropic", _)) => deployment
            .param("api_base: os.environ/US_ANTHROPIC")
            .param("inference_geo: us"),
        _ => deployment
            .param("api_base: os.environ/US_OPENAI")
            .info("region: us-east-1"),
    }
}

/// A question with these headers.
fn ask_with(model: &str, text: &str, headers: &[(&'static str, &str)]) -> Request<Bytes> {
    let body = json!({"model": model, "messages": [{"role": "user", "content": text}]});
    let mut request = post(body.to_string());
    for (name, value) in headers {
        let value = value.parse().expect("a header");
        request.headers_mut().append(*name, value);
    }
    request
}

/// Whom a rule has kept away, and why.
fn kept_away(record: &Value) -> Vec<(&str, &str)> {
    let skipped = record["skipped"].as_array().expect("a list").iter();
    skipped
        .filter(|row| row["reason"] == "region")
        .map(|row| {
            let field = |name: &str| row[name].as_str().expect("text");
            (field("deployment"), field("detail"))
        })
        .collect()
}

/// A refusal for want of a deployment, in the answer and on record.
#[track_caller]
fn assert_no_compliant(response: &Response, record: &Value) {
    assert_eq!(
        (response.status.as_u16(), &*response.code()),
        (403, "no_compliant_deployment"),
        "{}",
        response.text()
    );
    assert_eq!(response.header("x-backstop-attempts"), "0");
    assert_eq!(response.header("x-should-retry"), "false");
    assert_eq!(record["outcome"], "rejected_region");
    assert_eq!(record["attempts"], json!([]));
    // Where data may go is nothing that callers are told.
    for secret in ["eu-only", "us-east-1", "eu-central-1"] {
        assert!(!response.text().contains(secret), "{}", response.text());
    }
}
