//! One chain behind two routes of an axum app: on one of them, data stays in the EU.
//!
//! The rule is an extension of the route, set by tower-http's `AddExtensionLayer`. Each deployment knows where it
//! processes and refuses what may not go there, at the top of its stack and once more directly before its provider.
//! Here two simulators answer for the two regions of Bedrock.
//!
//! ```text
//! cargo run -p backstop-examples --example residency
//! ```

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use backstop::audit::{ChannelSink, Record};
use backstop::bedrock::{Bedrock, Settings};
use backstop::region::{Declaration, Derivation, RegionLayer};
use backstop::{
    AttemptLayer, AuditLayer, BoxError, Chat, ChatService, Deployment, EdgeLayer, Fallback,
    PrimeLayer, Residency, RetryLayer, RetryPolicy, Target, TargetLayer,
};
use backstop_sim::{Outage, Provider as Simulated, Sim};
use http::{Request, StatusCode};
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_http::add_extension::AddExtensionLayer;

const MODEL: &str = "anthropic.claude-sonnet-4-6";

/// A deployment in this region of AWS, which the simulator stands for.
async fn deployment(
    id: &'static str,
    region: &str,
    sim: &Sim,
) -> Result<Target<ChatService>, BoxError> {
    let aws = Settings::new()
        .region(region)
        .credentials("aws-id", "aws-secret".into())
        .endpoint_url(sim.bedrock())
        .client()
        .await?;
    // What the region and the model's id say; a claim that promises more would be an error here.
    let place = Declaration::new(Derivation::bedrock(region, MODEL)?).check()?;
    let guarded = RegionLayer::new(Deployment::new(id), place);
    Ok(ServiceBuilder::new()
        .layer(TargetLayer::new(
            Deployment::new(id).with_region(region.to_owned()),
        ))
        .layer(guarded.clone())
        .layer(RetryLayer::new(RetryPolicy::new().retries(0)))
        .layer(AttemptLayer::new(Deployment::new(id)))
        .layer(PrimeLayer::new())
        .layer(guarded.seal())
        .service(Bedrock::new(&aws, MODEL)))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let (us, eu) = (
        Sim::bind("127.0.0.1:0").await?,
        Sim::bind("127.0.0.1:0").await?,
    );
    let chain = Fallback::in_order([
        deployment("virginia", "us-east-1", &us).await?,
        deployment("frankfurt", "eu-central-1", &eu).await?,
    ]);

    let chat = Router::new().route_service("/chat/completions", EdgeLayer::openai().layer(chain));
    let (records, mut recorded) = ChannelSink::new(64);
    let no_record = |_| StatusCode::SERVICE_UNAVAILABLE.into_response();
    let app = Router::new()
        .nest(
            "/eu",
            chat.clone()
                .layer(AddExtensionLayer::new(Residency::only("eu"))),
        )
        .nest("/any", chat)
        .layer(AuditLayer::new(records).respond(no_record));

    println!("all is well");
    for route in ["/any", "/eu"] {
        println!("  {route}: {}", ask(&app, route).await?);
    }
    eu.faults().begin(Outage::new(Simulated::Bedrock, "500")?);
    println!("Frankfurt is down");
    for route in ["/any", "/eu"] {
        println!("  {route}: {}", ask(&app, route).await?);
    }
    println!("Virginia was asked {} times", us.journal().entries().len());

    println!("on record for /eu:");
    while let Ok(record) = recorded.try_recv() {
        print_skipped(&record);
    }
    Ok(())
}

/// Asks for a chat completion, and says in a line what came back.
async fn ask(app: &Router, route: &str) -> Result<String, BoxError> {
    let chat = Chat::user("Who answers?");
    let request = Request::post(format!("{route}/chat/completions"));
    let request = request.body(Body::from(chat.payload().clone()))?;
    let response = app.clone().oneshot(request).await?;
    let status = response.status();
    Ok(match response.headers().get("x-backstop-deployment") {
        Some(deployment) => format!("{status} from {}", deployment.to_str()?),
        None => status.to_string(),
    })
}

/// Who was passed over, and why.
fn print_skipped(record: &Record) {
    for skipped in &record.skipped {
        let why = skipped.detail.as_deref().unwrap_or("?");
        println!("  {} not asked: {why}", skipped.deployment.id());
    }
}
