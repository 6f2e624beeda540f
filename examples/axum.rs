//! An axum app that was there before gains a chat route that outlives its providers.
//!
//! The public route asks OpenAI, then Anthropic, then Bedrock, behind layers of tower-http; the internal one has a
//! stack of its own, with one provider and less time. Here a simulator answers for all three.
//!
//! ```text
//! cargo run -p backstop-examples --example axum
//! RUST_LOG=tower_http=debug cargo run -p backstop-examples --example axum    # shows the traces too
//! ```

use std::time::Duration;

use axum::response::IntoResponse;
use axum::{Router, routing::get};
use backstop::anthropic::Anthropic;
use backstop::audit::ChannelSink;
use backstop::bedrock::{Bedrock, Settings};
use backstop::client::Client;
use backstop::openai::OpenAi;
use backstop::{
    AttemptLayer, AuditLayer, BoxError, Chat, ChatService, Circuits, CooldownConfig, CooldownLayer,
    DeadlineLayer, Deployment, EdgeLayer, Fallback, PrimeLayer, Provider, RetryLayer, RetryPolicy,
    TargetLayer, TimeoutLayer, Trail,
};
use backstop_sim::{Outage, Provider as Simulated, Sim};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::add_extension::AddExtensionLayer;
use tower_http::trace::TraceLayer;
use tower_http::validate_request::ValidateRequestHeaderLayer;

/// Three providers, asked in order.
async fn chain(sim: &Sim) -> Result<Fallback<ChatService>, BoxError> {
    // Without `base_url` and `endpoint_url`, and with `Client::new`, these are the providers themselves.
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
    Ok(Fallback::in_order([
        target("openai").service(openai),
        target("anthropic").service(anthropic),
        target("bedrock").service(bedrock),
    ]))
}

/// The app that was there before.
fn shop() -> Router {
    Router::new().route("/orders", get(async || "three orders"))
}

/// The app with its two chat routes.
async fn app(sim: &Sim, records: ChannelSink) -> Result<Router, BoxError> {
    let public = ServiceBuilder::new()
        .layer(EdgeLayer::openai())
        .layer(DeadlineLayer::new(Duration::from_secs(60)))
        .map_request(name_team)
        .service(chain(sim).await?);
    let web_key = ValidateRequestHeaderLayer::has_header_value("authorization", "Bearer web")?;
    let no_record = |_| StatusCode::SERVICE_UNAVAILABLE.into_response();
    let public = Router::new()
        .route_service("/v1/chat/completions", public)
        .layer(AddExtensionLayer::new(Team("web")))
        .layer(web_key)
        .layer(AuditLayer::new(records).respond(no_record))
        .layer(TraceLayer::new_for_http());

    let mini = OpenAi::new("openai-key".into()).base_url(&sim.openai().parse()?)?;
    let internal = ServiceBuilder::new()
        .layer(EdgeLayer::openai())
        .layer(DeadlineLayer::new(Duration::from_secs(5)))
        .layer(PrimeLayer::new())
        .service(Provider::new(
            mini.model("gpt-4o-mini"),
            Client::plain_http(),
        ));

    Ok(shop()
        .merge(public)
        .route_service("/internal/v1/chat/completions", internal))
}

/// On whose behalf a route asks.
#[derive(Clone)]
struct Team(&'static str);

/// Puts the team on record: what axum's layers add to a request is there all the way down.
fn name_team(request: Request<Chat>) -> Request<Chat> {
    let extensions = request.extensions();
    if let (Some(Team(team)), Some(trail)) = (extensions.get(), Trail::of(extensions)) {
        trail.asked_by(*team);
    }
    request
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let sim = Sim::bind("127.0.0.1:0").await?;
    let (sink, mut records) = ChannelSink::new(64);
    let app = app(&sim, sink).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });

    // From here on, a client of that app.
    let orders = Request::get(format!("{server}/orders")).body(Full::<Bytes>::default())?;
    let orders = Client::plain_http().oneshot(orders).await?;
    println!("orders, as before: {}", orders.status());
    let public = format!("{server}/v1/chat/completions");
    println!("wrong key: {}", ask(&public, "Bearer guess").await?);
    println!("all is well: {}", ask(&public, "Bearer web").await?);

    let faults = sim.faults();
    faults.begin(Outage::new(Simulated::OpenAi, "500")?);
    println!("OpenAI is down: {}", ask(&public, "Bearer web").await?);
    faults.begin(Outage::new(Simulated::Anthropic, "529")?);
    println!("Anthropic too: {}", ask(&public, "Bearer web").await?);
    let internal = format!("{server}/internal/v1/chat/completions");
    println!("the internal route: {}", ask(&internal, "").await?);

    println!("on record:");
    while let Ok(record) = records.try_recv() {
        let team = record.key_id.as_deref().unwrap_or("nobody");
        let attempts = record.attempts.iter();
        let asked: Vec<&str> = attempts.map(|attempt| &**attempt.deployment.id()).collect();
        println!("  {team} asked {asked:?}: {}", record.outcome.as_str());
    }
    Ok(())
}

/// Asks for a chat completion, and says in a line what came back.
async fn ask(url: &str, key: &str) -> Result<String, BoxError> {
    let chat = Chat::user("Who answers?");
    let request = Request::post(url).header("authorization", key);
    let request = request.body(Full::new(chat.payload().clone()))?;
    let response = Client::plain_http().oneshot(request).await?;
    let status = response.status();
    Ok(match response.headers().get("x-backstop-deployment") {
        Some(deployment) => format!("{status} from {}", deployment.to_str()?),
        None => status.to_string(),
    })
}
