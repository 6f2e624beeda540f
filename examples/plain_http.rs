//! The layers over an HTTP API that has nothing to do with language models: two regions of a stock service, where
//! failures are statuses.
//!
//! A region that is busy for a moment is asked again, one that is silent or down is left for the other, and one that
//! keeps failing rests until it has recovered.
//!
//! ```text
//! cargo run -p backstop-examples --example plain_http
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use backstop::client::Client;
use backstop::fallback::Event;
use backstop::{
    BoxError, ByStatus, Circuits, CooldownConfig, CooldownLayer, Deployment, Fallback, RetryLayer,
    RetryPolicy, Target, TimeoutLayer,
};
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let trouble = Troubles::default();
    let east = serve("east", trouble.clone()).await?;
    let west = serve("west", Troubles::default()).await?;

    let client = Client::plain_http();
    let circuits = Circuits::new(CooldownConfig::new().allowed_fails(1));
    let region = |id: &'static str, address: SocketAddr| {
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(RetryPolicy::new().classify(ByStatus)))
            .layer(CooldownLayer::new(circuits.entry(id)).classify(ByStatus))
            .layer(TimeoutLayer::first_token(Duration::from_millis(200)))
            .map_request(move |request| at(address, request))
            .service(client.clone());
        Target::new(Deployment::new(id), stack)
    };
    let stock = Fallback::in_order([region("east", east), region("west", west)])
        .classify(ByStatus)
        .observe(tell);

    let events = [
        ("all is well", None),
        ("east is busy for a moment", Some(Trouble::Busy)),
        ("east is silent", Some(Trouble::Silent)),
        ("east is down", Some(Trouble::Down)),
        ("east rests after two failures", None),
    ];
    for (event, next) in events {
        println!("{event}");
        trouble.lock().expect("not poisoned").extend(next);
        let request = Request::get("/stock").body(Full::<Bytes>::default())?;
        let answer = stock.clone().oneshot(request).await?;
        let status = answer.status().as_u16();
        let text = answer.into_body().collect().await?.to_bytes();
        println!("  {status} {}", String::from_utf8_lossy(&text));
    }
    Ok(())
}

/// Says what the fallback does besides answering.
fn tell(event: &Event<'_>) {
    let (region, what, why) = match event {
        Event::Failed {
            deployment,
            failure,
        } => (deployment.id(), "failed", failure),
        Event::Skipped {
            deployment,
            failure,
        } => (deployment.id(), "not asked", failure),
        _ => return,
    };
    println!("  {region} {what}: {why}");
}

/// Sends a request for a path to the region at `address`.
fn at(address: SocketAddr, mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let url = format!("http://{address}{}", request.uri());
    *request.uri_mut() = Uri::try_from(url).expect("an address and a path are a URL");
    request
}

/// What befalls the next requests to a region.
type Troubles = Arc<Mutex<VecDeque<Trouble>>>;

enum Trouble {
    Busy,
    Silent,
    Down,
}

/// One region of the service, on a port of its own.
async fn serve(name: &'static str, troubles: Troubles) -> std::io::Result<SocketAddr> {
    let stock = async move || {
        let trouble = troubles.lock().expect("not poisoned").pop_front();
        match trouble {
            None => format!("from {name}").into_response(),
            Some(Trouble::Busy) => {
                (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")]).into_response()
            }
            Some(Trouble::Silent) => std::future::pending().await,
            Some(Trouble::Down) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new().route("/stock", get(stock));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}
