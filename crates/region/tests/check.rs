//! What the outer layer will decide, said beforehand.

mod support;

use std::sync::{Arc, Mutex};

use backstop_core::{BoxError, Failure, FailureKind};
use backstop_fallback::{Fallback, Target};
use backstop_region::{
    Event, Match, Place, Policies, RegionLayer, Residency, ResidencyPolicyLayer, Rule,
};
use backstop_retry::RetryPolicy;
use http::{Extensions, Request, Response};
use tower::retry::RetryLayer;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use support::{Journal, Pieces, Prompt, assert_refused, deployment, failure, now, place, provider};

fn in_eu() -> Place {
    place(&["eu-central-1"], &["de"], &[])
}

fn under(to: &str) -> Extensions {
    let mut extensions = Extensions::new();
    extensions.insert(Residency::only(to));
    extensions
}

#[test]
fn it_says_what_the_gate_will_say() {
    let open = RegionLayer::new(deployment("eu"), in_eu());
    let required = open.clone().required();
    for (region, extensions, passes) in [
        (&open, Extensions::new(), true),
        (&open, under("eu"), true),
        (&open, under("us"), false),
        (&required, Extensions::new(), false),
        (&required, under("eu"), true),
        (&required, under("us"), false),
    ] {
        let said = region.check()(&extensions);
        let gate = region.layer(provider("eu", &Journal::default(), None));
        let mut request = Request::new(());
        *request.extensions_mut() = extensions;
        let done = now(gate.oneshot(request));
        assert_eq!(said.is_ok(), passes);
        match done {
            Ok(_) => assert!(passes),
            Err(error) => {
                let (said, done) = (said.expect_err("refused"), failure(&error));
                assert_eq!(said.kind(), done.kind());
                assert_eq!(said.reach(), done.reach());
                assert_eq!(said.detail(), done.detail());
            }
        }
    }
}

#[test]
fn it_knows_for_whom_the_policies_have_no_rule() {
    let check = RegionLayer::new(deployment("eu"), in_eu())
        .required()
        .check();
    let policies = Policies::new([Rule::new("never").matching(Match::by_name())]);
    let stack = ResidencyPolicyLayer::new(policies.expect("valid")).layer(service_fn(
        move |request: Request<Prompt>| {
            std::future::ready(check(request.extensions()).map_err(BoxError::from))
        },
    ));
    assert!(now(stack.oneshot(Request::new(Prompt("m")))).is_ok());
}

#[test]
fn it_gives_no_permit_and_tells_the_observer() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let region = RegionLayer::new(deployment("eu"), in_eu()).observe({
        let told = Arc::clone(&told);
        move |event: &Event<'_>| {
            let refused = matches!(event, Event::Refused { .. });
            told.lock().expect("no panic").push(refused);
        }
    });
    let extensions = under("eu");
    assert!(region.check()(&extensions).is_ok());
    assert!(told.lock().expect("no panic").is_empty());
    let mut request = Request::new(());
    *request.extensions_mut() = extensions;
    let sealed = region
        .seal()
        .layer(provider("eu", &Journal::default(), None));
    assert_refused(
        now(sealed.oneshot(request)),
        "the request carries no permit for this deployment",
    );
    assert!(region.check()(&under("us")).is_err());
    assert_eq!(*told.lock().expect("no panic"), [false, true]);
}

type Stack = BoxCloneSyncService<Request<()>, Response<Pieces>, BoxError>;

/// Fails once, as a server does; then it answers.
fn target(id: &'static str, at: Place, journal: &Journal, checks: bool) -> Target<Stack> {
    let region = RegionLayer::new(deployment(id), at);
    let failed = Arc::new(Mutex::new(false));
    let journal = journal.clone();
    let stack = ServiceBuilder::new()
        .layer(region.clone())
        .layer(RetryLayer::new(RetryPolicy::new().retries(1)))
        .map_response(|_| Response::new(Pieces::of([None])))
        .layer(region.seal())
        .service(service_fn(move |_: Request<()>| {
            journal.add(id);
            let before = std::mem::replace(&mut *failed.lock().expect("no panic"), true);
            std::future::ready(match before {
                false => Err::<_, BoxError>(Failure::new(FailureKind::ServerError).into()),
                true => Ok(Response::new(Pieces::of([None]))),
            })
        }));
    let target = Target::new(deployment(id), BoxCloneSyncService::new(stack));
    if checks {
        target.admitting(region.check())
    } else {
        target
    }
}

#[tokio::test(start_paused = true)]
async fn who_alone_may_be_asked_is_asked_again() {
    for (checks, asked) in [(true, &["eu", "eu"][..]), (false, &["eu"])] {
        let journal = Journal::default();
        let in_us = place(&["us-east-1"], &["us"], &[]);
        let chain = Fallback::in_order([
            target("eu", in_eu(), &journal, checks),
            target("us", in_us, &journal, checks),
        ]);
        let mut request = Request::new(());
        *request.extensions_mut() = under("eu");
        let outcome = chain.oneshot(request).await;
        assert_eq!(outcome.is_ok(), checks);
        assert_eq!(journal.take(), asked);
    }
}
