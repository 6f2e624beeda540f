//! The chain in process: no HTTP server, a `tower::Service` that is asked and answers.
//!
//! OpenAI fails, Anthropic is overloaded, Bedrock answers; the record of the request comes through a channel. Here a
//! simulator answers for all three.
//!
//! ```text
//! cargo run -p backstop-examples --example in_process
//! ```

use std::time::Duration;

use backstop::anthropic::Anthropic;
use backstop::audit::ChannelSink;
use backstop::bedrock::{Bedrock, Settings};
use backstop::client::Client;
use backstop::openai::OpenAi;
use backstop::{
    AttemptLayer, AuditLayer, Body, BoxError, Chat, Circuits, CooldownConfig, CooldownLayer,
    DeadlineLayer, Deployment, Fallback, PrimeLayer, Provider, RetryLayer, RetryPolicy,
    TargetLayer, TimeoutLayer,
};
use backstop_sim::{Outage, Provider as Simulated, Sim};
use http::Request;
use tower::{ServiceBuilder, ServiceExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let sim = Sim::bind("127.0.0.1:0").await?;
    let faults = sim.faults();
    faults.begin(Outage::new(Simulated::OpenAi, "500")?);
    faults.begin(Outage::new(Simulated::Anthropic, "529")?);

    // The providers: without `base_url` and `endpoint_url`, and with `Client::new`, the real ones.
    let client = Client::plain_http();
    let openai = OpenAi::new("openai-key".into()).base_url(&sim.openai().parse()?)?;
    let openai = Provider::new(openai.model("gpt-4o"), client.clone());
    let anthropic = Anthropic::new("anthropic-key".into()).base_url(&sim.anthropic().parse()?)?;
    let anthropic = Provider::new(anthropic.model("claude-sonnet-4-6"), client);
    let aws = Settings::new()
        .region("us-east-1")
        .credentials("aws-id", "aws-secret".into())
        .endpoint_url(sim.bedrock())
        .client()
        .await?;
    let bedrock = Bedrock::new(&aws, "anthropic.claude-sonnet-4-6");

    // What stands around each of them.
    let circuits = Circuits::new(CooldownConfig::new());
    let target = |id: &'static str| {
        ServiceBuilder::new()
            .layer(TargetLayer::new(Deployment::new(id)))
            .layer(RetryLayer::new(RetryPolicy::new()))
            .layer(AttemptLayer::new(Deployment::new(id)))
            .layer(CooldownLayer::new(circuits.entry(id)))
            .layer(TimeoutLayer::first_token(Duration::from_secs(30)).idle(Duration::from_secs(15)))
            .layer(PrimeLayer::new())
    };

    // The chain, and what stands around it.
    let (sink, mut records) = ChannelSink::new(64);
    let chat = ServiceBuilder::new()
        .layer(AuditLayer::new(sink).asks())
        .layer(DeadlineLayer::new(Duration::from_secs(60)))
        .service(Fallback::in_order([
            target("openai").service(openai),
            target("anthropic").service(anthropic),
            target("bedrock").service(bedrock),
        ]));

    let question = Chat::user("Which provider am I on?");
    let answer = chat.oneshot(Request::new(question)).await?;
    println!("answer: {}", Body::new(answer.into_body()).text().await?);

    let record = records.recv().await.expect("a request leaves a record");
    println!("outcome: {}", record.outcome.as_str());
    for attempt in &record.attempts {
        let result = match attempt.result {
            Some(Err(failure)) => failure.as_str(),
            _ => "ok",
        };
        println!("  {}: {result}", attempt.deployment.id());
    }
    let json = serde_json::to_string(&record)?;
    println!("in a file: {json}");
    Ok(())
}
