//! What decides whether a deployment may be asked: its window and abilities, its place, what may be spent.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use backstop::budget::{Amounts, Ledger, Leg, Limit, MemoryLedger, Reservation, Scope, Window};
use backstop::catalog::{Capability, Facts};
use backstop::core::{NanoUsd, Usage, wall};
use backstop::region::{Declaration, Derivation, Mark, Match, Policies, Regions, Require, Rule};
use backstop::{
    BoxError, Budget, BudgetLayer, Budgets, Chat, Deployment, FitLayer, RegionLayer,
    ResidencyPolicyLayer, Spender,
};
use http::{Request, Response};
use http_body::Body;
use tower::{Layer, Service};

use super::{Case, inner_chats};
use crate::drive::at_hand;
use crate::ready::Ready;

pub(super) fn rules() -> Vec<Case> {
    let inside = "bare service inside a stack";
    let of_a_spender = "bare service for a spender";
    vec![
        Case::requests("fit", inside, fit(), inner_chats()),
        Case::requests(
            "residency, no rule holds",
            inside,
            residency(Match::new().key(["web"])),
            inner_chats(),
        ),
        Case::requests(
            "residency, a rule holds",
            inside,
            residency(Match::new()),
            inner_chats(),
        ),
        Case::requests(of_a_spender, None, Ready::document(), spenders_chats()),
        Case::requests(
            "budget of four accounts",
            of_a_spender,
            budget(),
            spenders_chats(),
        ),
        reserve_and_settle(),
    ]
}

fn fit()
-> impl Service<Request<Chat>, Response = Response<impl Body<Error = BoxError>>, Error = BoxError> {
    let facts = Facts::new()
        .with_window(128_000)
        .with_max_output(16_384)
        .with_support(Capability::Vision, false);
    FitLayer::new(facts).layer(Ready::document())
}

/// The decision and both gates of a deployment that satisfies the rule.
fn residency(
    of: Match,
) -> impl Service<Request<Chat>, Response = Response<impl Body<Error = BoxError>>, Error = BoxError>
{
    let eu = Regions::of(["eu"]).expect("a jurisdiction");
    let require = Require::new().processing(eu).storage(eu).marks(["dpa"]);
    let rule = Rule::new("eu-only").matching(of).require(require);
    let derived = Derivation::bedrock("eu-central-1", "anthropic.claude-sonnet-4-6");
    let declaration = Declaration::new(derived.expect("a region")).mark(Mark::new("dpa"));
    let place = declaration.check().expect("nothing is claimed");
    let region = RegionLayer::new(Deployment::new("one"), place).required();
    let stack = region.layer(region.seal().layer(Ready::document()));
    ResidencyPolicyLayer::new(Policies::new([rule]).expect("one rule")).layer(stack)
}

/// Budgets of a day, each with room for everything that is measured.
fn each(scope: Scope) -> Budget {
    let most = Limit::Usd(NanoUsd::from_nano(1 << 59));
    Budget::new(scope, most, Window::day("UTC").expect("a zone"))
}

fn budget()
-> impl Service<Request<Chat>, Response = Response<impl Body<Error = BoxError>>, Error = BoxError> {
    let four = [Scope::Org, Scope::Team, Scope::Key, Scope::Global].map(each);
    let budgets = Budgets::new(Arc::new(MemoryLedger::new()), four).expect("four names");
    let price = |usage: &Usage| Some(NanoUsd::from_nano(usage.input + usage.output));
    BudgetLayer::new(&budgets, Deployment::new("one"), price).layer(Ready::document())
}

fn spenders_chats() -> impl Fn() -> Request<Chat> {
    let chats = inner_chats();
    let spender = Spender::new().org("acme").team("growth").key("web");
    move || {
        let mut request = chats();
        request.extensions_mut().insert(spender.clone());
        request
    }
}

/// The ledger in memory, without the layer around it.
fn reserve_and_settle() -> Case {
    let ledger = MemoryLedger::new();
    let accounts = [
        (Scope::Org, "acme"),
        (Scope::Team, "growth"),
        (Scope::Key, "web"),
        (Scope::Global, ""),
    ];
    let accounts = accounts.map(|(scope, id)| (Arc::new(each(scope)), Arc::<str>::from(id)));
    Case::new(
        "reserve and settle, four accounts in memory",
        None,
        move || {
            let now = wall::now();
            let leg = |(budget, id): &(_, _)| Leg::new(Arc::clone(budget), Arc::clone(id), now);
            let reservation =
                Reservation::new(accounts.iter().map(leg).collect(), Amounts::new(2, 0, 0));
            let reserving = pin!(ledger.reserve(reservation, None));
            let lease = at_hand(reserving.poll(&mut Context::from_waker(Waker::noop())));
            lease.expect("there is room").commit(Amounts::new(1, 0, 0));
        },
    )
}
