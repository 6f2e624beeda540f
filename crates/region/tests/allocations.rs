//! A request without rules costs nothing.

mod support;

use allocation_counter::measure;
use backstop_region::{
    Labels, Match, Policies, RegionLayer, Residency, ResidencyPolicyLayer, Rule,
};
use http::Request;
use tower::{Layer, Service};

use support::{Journal, Pieces, Prompt, deployment, now, place};

type Answer = std::future::Ready<Result<http::Response<Pieces>, backstop_core::BoxError>>;

fn service<B>(request: Request<B>) -> Answer {
    drop(request);
    std::future::ready(Ok(http::Response::new(Pieces::of([]))))
}

/// What `service` allocates for a request that is there already.
fn of<S, B>(mut service: S, request: Request<B>) -> u64
where
    S: Service<Request<B>>,
{
    let mut answer = None;
    let counted = measure(|| answer = Some(now(service.call(request)).is_ok()));
    assert_eq!(answer, Some(true));
    counted.count_total
}

fn full() -> RegionLayer {
    RegionLayer::new(deployment("eu"), place(&["eu"], &["eu"], &["dpa"]))
}

#[test]
fn without_a_rule_nothing_is_allocated() {
    let region = full();
    let stack = region.layer(region.seal().layer(tower::service_fn(service::<()>)));
    assert_eq!(of(stack, Request::new(())), 0);
}

#[test]
fn policies_without_a_rule_for_the_request_allocate_nothing() {
    let region = full().required();
    let rules = [
        Rule::new("web").matching(Match::new().key(["web"])),
        Rule::new("phi").matching(Match::new().data_class(["phi"])),
    ];
    let layer = ResidencyPolicyLayer::new(Policies::new(rules).expect("valid"));
    let stack =
        layer.layer(region.layer(region.seal().layer(tower::service_fn(service::<Prompt>))));
    let mut request = Request::new(Prompt("m"));
    // There are extensions by then, with room for one more: the trail's and the like.
    request.extensions_mut().insert(Labels::new().key("app"));
    assert_eq!(of(stack, request), 0);
}

#[test]
fn under_a_rule_a_permit_is_a_box() {
    let region = full();
    let stack = region.layer(region.seal().layer(tower::service_fn(service::<()>)));
    let mut request = Request::new(());
    request.extensions_mut().insert(Residency::only("eu"));
    request
        .extensions_mut()
        .insert(backstop_core::Trail::start());
    assert_eq!(of(stack, request), 1);
    drop(Journal::default());
}
