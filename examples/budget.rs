//! A spend ceiling over a service of one's own: a cent a day for each team.
//!
//! The poet is any `tower::Service`; all that the layer has to know is what it costs. What is reserved before a call is
//! the most that it can cost, so the second poem is bounded to what is left of the cent, and a third is not asked for.
//!
//! ```text
//! cargo run -p backstop-examples --example budget
//! ```

use std::sync::Arc;

use backstop::budget::{Limit, MemoryLedger, Scope, Window};
use backstop::chat::emit::Document;
use backstop::core::{NanoUsd, Usage, failure_of};
use backstop::{
    Body, BoxError, Budget, BudgetLayer, Budgets, Chat, Deployment, FailureKind, Ineligible,
    Spender,
};
use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let cent = Limit::Usd(NanoUsd::from_usd_str("0.01")?);
    let teams = Budget::new(Scope::Team, cent, Window::day("Europe/Berlin")?);
    let budgets = Budgets::new(Arc::new(MemoryLedger::new()), [teams])?;
    // Two dollars for a million tokens in, ten for a million out.
    let price = |used: &Usage| {
        Some(NanoUsd::from_nano(
            used.input * 2_000 + used.output * 10_000,
        ))
    };
    let poet = BudgetLayer::new(&budgets, Deployment::new("poet"), price).layer(service_fn(poet));

    for team in ["growth", "growth", "growth", "research"] {
        let mut request = Request::new(Chat::user("A poem on money, please."));
        request.extensions_mut().insert(Spender::new().team(team));
        match poet.clone().oneshot(request).await {
            Ok(answer) => println!("{team}: {}", Body::new(answer.into_body()).text().await?),
            Err(error) => match failure_of(&*error) {
                Some(failure) if failure.kind() == FailureKind::Ineligible(Ineligible::Budget) => {
                    // How long until midnight in Berlin is in `failure.retry_after()`.
                    println!("{team}: nothing before tomorrow");
                }
                _ => return Err(error),
            },
        }
    }
    for account in budgets.balances().await? {
        let spent = NanoUsd::from_nano(account.spent);
        println!("{} has spent ${spent}", account.id);
    }
    Ok(())
}

/// Writes 600 tokens, or as many as it may, and says how many it took.
async fn poet(request: Request<Chat>) -> Result<Response<Body>, BoxError> {
    let bound = request.body().max_output().unwrap_or(u64::MAX);
    let tokens = bound.min(600);
    let text = format!("a poem of {tokens} tokens");
    let mut answer = Document::new("poem", "poet", 0, &text);
    answer.usage = Some(Usage::reported(10, tokens));
    Ok(Response::new(Body::once(answer.into_chunk())))
}
