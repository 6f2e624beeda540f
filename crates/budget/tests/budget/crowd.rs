//! A thousand requests at once through whole chains: none too many, and the books add up.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::*;
use backstop_budget::{Budget, BudgetLayer, Meter, Scope, SpendLayer, Window};
use backstop_core::{BoxError, Deployment, Failure, FailureKind, NanoUsd, Tracked, Trail, Usage};
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt};

const FIT: u64 = 137;
/// What a prompt is held for, and cannot be held for less.
const PRICE: u64 = 500;

fn ceiling() -> Budget {
    Budget::new(Scope::Global, usd(FIT * PRICE), Window::total())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_as_many_are_let_through_as_fit() {
    let budgets = budgets([ceiling()]);
    let calls = Calls::default();
    let service = BudgetLayer::new(&budgets, Deployment::new("east"), price as Price)
        .min_output(200)
        .layer(service(&calls, || {
            Ok(answer([Ok(used(100, 200)), Ok(Piece::End)]))
        }));
    let mut requests = JoinSet::new();
    for _ in 0..1000 {
        let service = service.clone();
        requests.spawn(async move {
            let Ok(response) = service.oneshot(prompt()).await else {
                return 0_u64;
            };
            tokio::task::yield_now().await;
            response.into_body().collect().await.expect("whole");
            1_u64
        });
    }
    let admitted: u64 = requests.join_all().await.into_iter().sum();
    assert_eq!((admitted, calls.count() as u64), (FIT, FIT));
    assert_eq!(booked(&budgets).await, (FIT * PRICE, 0));
}

type Call<B> = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

/// What becomes of a call is drawn by lot.
fn fate(lot: u64, most: u64) -> Result<Response<Answer>, BoxError> {
    let broken = || Err(Failure::new(FailureKind::Network).into());
    match lot % 9 {
        0 => Err(Failure::new(FailureKind::RateLimit).into()),
        1 => Err(Failure::new(FailureKind::Overloaded).into()),
        2 => Err(Failure::new(FailureKind::Timeout).into()),
        3 => Ok(answer([Ok(text()), Ok(text()), broken()])),
        4 => Ok(answer([Ok(used(70, 3)), Ok(text()), broken()])),
        _ => Ok(answer([
            Ok(text()),
            Ok(used(90, lot % most)),
            Ok(Piece::End),
        ])),
    }
}

type Price = fn(&Usage) -> Option<NanoUsd>;
type Metered = Tracked<Answer, Option<Meter<Price>>>;

async fn ask<S>(services: [S; 3], request: Request<Prompt>) -> Result<Response<Metered>, BoxError>
where
    S: Service<Request<Prompt>, Response = Response<Metered>, Error = BoxError>,
{
    let mut last = None;
    for service in services {
        match service.oneshot(request.clone()).await {
            Ok(response) => return Ok(response),
            Err(error) => last = Some(error),
        }
        tokio::task::yield_now().await;
    }
    Err(last.expect("three"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_trails_say_is_what_the_ledger_holds() {
    let budgets = budgets([ceiling()]);
    let lots = Arc::new(AtomicU64::new(0));
    let service = tower::service_fn({
        let lots = Arc::clone(&lots);
        move |request: Request<Prompt>| {
            let most = request.body().most.expect("a bound");
            let lot = lots.fetch_add(1, Ordering::Relaxed);
            let call = async move {
                tokio::task::yield_now().await;
                fate(lot, most)
            };
            Box::pin(call) as Call<Answer>
        }
    });
    let deployments = ["one", "two", "three"].map(|id| {
        BudgetLayer::new(&budgets, Deployment::new(id), price as Price).layer(service.clone())
    });
    let plan = SpendLayer::new().layer(tower::service_fn(move |request: Request<Prompt>| {
        Box::pin(ask(deployments.clone(), request)) as Call<Metered>
    }));
    let mut requests = JoinSet::new();
    for caller in 0..1000_u64 {
        let plan = plan.clone();
        requests.spawn(async move {
            let (request, trail) = traced();
            let mut call = Box::pin(plan.oneshot(request));
            if caller % 11 == 0 {
                // Goes away at once, or while it is asked.
                let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                for _ in 0..caller % 4 {
                    if call.as_mut().poll(&mut cx).is_ready() {
                        break;
                    }
                }
                drop(call);
                return trail;
            }
            if let Ok(response) = call.await {
                let mut body = response.into_body();
                let patience = if caller % 7 == 0 { 1 } else { 10 };
                for _ in 0..patience {
                    match body.frame().await {
                        Some(Ok(_)) => {}
                        _ => break,
                    }
                }
            }
            trail
        });
    }
    let trails: Vec<Trail> = requests.join_all().await;
    let costs = trails.iter().filter_map(Trail::cost);
    let said: NanoUsd = costs.sum();
    let balance = balance(&budgets).await;
    assert_eq!((balance.spent, balance.reserved), (said.as_nano(), 0));
    assert_eq!(balance.overrun, 0);
    assert!(balance.spent <= FIT * PRICE);
    assert!(balance.spent > FIT * PRICE / 2, "it is a test of something");
    assert!(
        lots.load(Ordering::Relaxed) > FIT,
        "failures left room for others"
    );
}
