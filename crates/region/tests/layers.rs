//! The two layers around a deployment.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstop_core::{BoxError, FailureKind, Ineligible, RanIn, Reach, Trail};
use backstop_region::{
    ClassifyLayer, Event, Labels, Place, Policies, RegionLayer, Residency, ResidencyPolicyLayer,
    Rule, SealedBody,
};
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock;

use support::{
    Journal, Pieces, Prompt, assert_refused, deployment, failure, now, place, provider, set,
};

fn restricted(to: &str) -> Request<()> {
    let mut request = Request::new(());
    request.extensions_mut().insert(Residency::only(to));
    request
}

/// A whole stack of one deployment in the EU.
fn stack(
    region: &RegionLayer,
    journal: &Journal,
) -> impl Service<Request<()>, Response = Response<SealedBody<Pieces>>, Error = BoxError> + Clone + use<>
{
    ServiceBuilder::new()
        .layer(region.clone())
        .layer(region.seal())
        .service(provider("eu", journal, None))
}

fn in_eu() -> Place {
    place(&["eu-central-1"], &["de"], &[])
}

#[test]
fn who_satisfies_the_rules_is_asked_and_nobody_else() {
    let journal = Journal::default();
    let stack = stack(&RegionLayer::new(deployment("eu"), in_eu()), &journal);
    assert!(now(stack.clone().oneshot(restricted("eu"))).is_ok());
    assert!(
        now(stack.clone().oneshot(Request::new(()))).is_ok(),
        "there is no rule"
    );
    assert_eq!(journal.take(), ["eu", "eu"]);
    assert_refused(
        now(stack.oneshot(restricted("us"))),
        "rule `only us`: it processes in eu-central-1, not within us",
    );
    assert!(journal.take().is_empty());
}

#[test]
fn a_refusal_was_never_sent_and_moves_on() {
    let region = RegionLayer::new(deployment("eu"), in_eu());
    let error =
        now(stack(&region, &Journal::default()).oneshot(restricted("us"))).expect_err("refused");
    assert_eq!(failure(&error).reach(), Reach::Refused);
    assert!(backstop_core::Policy::default().moves_on(failure(&error).kind()));
    let refused: &backstop_region::error::Refused = error.downcast_ref().expect("our own");
    assert_eq!(
        refused.refusal().map(|refusal| &**refusal.rule()),
        Some("only us")
    );
}

#[test]
fn required_refuses_what_nobody_decided_about() {
    let journal = Journal::default();
    let region = RegionLayer::new(deployment("eu"), in_eu()).required();
    let stack = stack(&region, &journal);
    assert_refused(
        now(stack.clone().oneshot(Request::new(()))),
        "no residency was decided for this request",
    );
    assert!(now(stack.oneshot(restricted("eu"))).is_ok());
    assert_eq!(journal.take(), ["eu"]);
}

#[test]
fn required_lets_through_what_the_policies_have_no_rule_for() {
    let journal = Journal::default();
    let region = RegionLayer::new(deployment("eu"), in_eu()).required();
    let policies = Policies::new([Rule::new("never").matching(backstop_region::Match::by_name())]);
    let stack = ServiceBuilder::new()
        .layer(ResidencyPolicyLayer::new(policies.expect("valid")))
        .layer(region.clone())
        .layer(region.seal())
        .service(provider("eu", &journal, None));
    assert!(now(stack.oneshot(Request::new(Prompt("m")))).is_ok());
    assert_eq!(journal.take(), ["eu"]);
}

// ===== permits =====

const UNPERMITTED: &str = "the request carries no permit for this deployment";

#[test]
fn the_seal_alone_lets_nothing_out_under_a_rule() {
    let journal = Journal::default();
    let region = RegionLayer::new(deployment("eu"), in_eu());
    let sealed = region.seal().layer(provider("eu", &journal, None));
    assert_refused(now(sealed.clone().oneshot(restricted("eu"))), UNPERMITTED);
    assert!(journal.take().is_empty());
    assert!(now(sealed.oneshot(Request::new(()))).is_ok());

    let required = region.required();
    let sealed = required.seal().layer(provider("eu", &journal, None));
    journal.take();
    assert_refused(
        now(sealed.oneshot(Request::<()>::default())),
        "no residency was decided for this request",
    );
    assert!(journal.take().is_empty());
}

/// A request as it arrives at the seal.
fn admitted(region: &RegionLayer, request: Request<()>) -> Request<()> {
    let seen = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&seen);
    let service = region.layer(service_fn(move |request: Request<()>| {
        *keep.lock().expect("no panic") = Some(request);
        std::future::ready(Ok::<_, BoxError>(()))
    }));
    now(service.oneshot(request)).expect("admitted");
    let request = seen.lock().expect("no panic").take();
    request.expect("it came through")
}

#[test]
fn a_permit_is_for_one_request_one_deployment_and_one_decision() {
    let journal = Journal::default();
    let region = RegionLayer::new(deployment("eu"), in_eu());
    let twin = RegionLayer::new(deployment("eu"), in_eu());
    let sealed = |region: &RegionLayer| region.seal().layer(provider::<()>("eu", &journal, None));
    let request = || admitted(&region, restricted("eu"));

    assert!(now(sealed(&region).oneshot(request())).is_ok());
    journal.take();

    // Another deployment, even of the same name.
    assert_refused(now(sealed(&twin).oneshot(request())), UNPERMITTED);
    // Another request.
    let mut other = request();
    other.extensions_mut().insert(Trail::start());
    assert_refused(now(sealed(&region).oneshot(other)), UNPERMITTED);
    let mut nameless = request();
    nameless.extensions_mut().remove::<Trail>();
    assert_refused(now(sealed(&region).oneshot(nameless)), UNPERMITTED);
    // Another decision, even one that says the same.
    let mut decided_anew = request();
    decided_anew.extensions_mut().insert(Residency::only("eu"));
    assert_refused(now(sealed(&region).oneshot(decided_anew)), UNPERMITTED);
    assert!(journal.take().is_empty());

    // Repeating the same is what a retry does.
    let request = request();
    for _ in 0..2 {
        assert!(now(sealed(&region).oneshot(request.clone())).is_ok());
    }
    assert_eq!(journal.take(), ["eu", "eu"]);
}

#[test]
fn the_permit_ends_at_the_seal() {
    let region = RegionLayer::new(deployment("eu"), in_eu());
    let stack = ServiceBuilder::new()
        .layer(region.clone())
        .layer(region.seal())
        .service(service_fn(async |request: Request<()>| {
            assert!(
                request
                    .extensions()
                    .get::<backstop_region::Permit>()
                    .is_none()
            );
            Ok::<_, BoxError>(Response::new(Pieces::of([])))
        }));
    assert!(now(stack.oneshot(restricted("eu"))).is_ok());
}

#[test]
fn a_refused_request_takes_no_permit_along() {
    let eu = RegionLayer::new(deployment("eu"), in_eu());
    let us = RegionLayer::new(deployment("us"), place(&["us"], &[], &[]));
    let journal = Journal::default();
    // Somebody hands a request on that was admitted elsewhere.
    let wired_wrong = us.layer(eu.seal().layer(provider("eu", &journal, None)));
    assert!(now(wired_wrong.oneshot(admitted(&eu, restricted("eu")))).is_err());
    assert!(journal.take().is_empty());
}

// ===== after the answer =====

/// A stack whose provider reports, in its head and its frames.
fn reporting(
    region: &RegionLayer,
    head: Option<&'static str>,
    frames: Vec<Option<&'static str>>,
) -> impl Service<Request<()>, Response = Response<SealedBody<Pieces>>, Error = BoxError> + use<> {
    ServiceBuilder::new()
        .layer(region.clone())
        .layer(region.seal())
        .service(service_fn(move |_: Request<()>| {
            let mut response = Response::new(Pieces::of(frames.clone()));
            if let Some(place) = head {
                response.extensions_mut().insert(RanIn(place.into()));
            }
            std::future::ready(Ok::<_, BoxError>(response))
        }))
}

#[test]
fn what_the_provider_reports_is_compared() {
    let declared = |names: &[&str]| RegionLayer::new(deployment("d"), place(names, &[], &[]));
    for (names, reported, plausible) in [
        (&["us"][..], "us", true),
        (&["us"], "us-east-1", true),
        (&["us"], "global", false),
        (&["us"], "de", false),
        (&["nl", "ie"], "West Europe", true),
        (&["nl", "ie"], "Sweden Central", false),
        (&["global"], "global", true),
        (&["us"], "somewhere", false),
        // It says nothing.
        (&["us"], "not_available", true),
        (&["us"], "", true),
        // Nothing is promised.
        (&[], "us", true),
    ] {
        let region = declared(names);
        let by_head = now(reporting(&region, Some(reported), vec![]).oneshot(Request::new(())));
        assert_eq!(by_head.is_ok(), plausible, "{names:?} {reported}");
        let by_frame = reporting(&region, None, vec![None, Some(reported), None]);
        let body = now(by_frame.oneshot(Request::new(())))
            .expect("a head")
            .into_body();
        assert_eq!(
            now(body.collect()).is_ok(),
            plausible,
            "{names:?} {reported}"
        );
    }
}

#[test]
fn a_mismatch_is_an_alarm_a_note_and_a_failure_that_closes_the_deployment() {
    let alarms = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&alarms);
    let region = RegionLayer::new(deployment("d"), place(&["us"], &[], &[])).observe(
        move |event: &Event<'_>| {
            if let Event::Misplaced {
                deployment,
                reported,
            } = event
            {
                heard
                    .lock()
                    .expect("no panic")
                    .push(format!("{} {reported}", deployment.id()));
            }
        },
    );
    for (head, frames) in [(Some("global"), vec![]), (None, vec![Some("global"), None])] {
        let trail = Trail::start();
        let mut request = restricted("us");
        request.extensions_mut().insert(trail.clone());
        let answer = now(reporting(&region, head, frames).oneshot(request));
        let error = match answer {
            Err(error) => error,
            Ok(answer) => {
                let mut body = answer.into_body();
                let error = now(body.frame()).expect("a frame").expect_err("withheld");
                assert!(now(body.frame()).is_none(), "nothing follows");
                error
            }
        };
        let failure = failure(&error);
        assert_eq!(
            (failure.kind(), failure.reach()),
            (FailureKind::Permission, Reach::Sent)
        );
        let row = backstop_core::Policy::default().row(failure.kind());
        assert_eq!(row.blame, backstop_core::Blame::Broken);
        assert_eq!(failure.detail(), Some("ran in global, declared is us"));
        assert_eq!(trail.snapshot().notes, ["ran in global, declared is us"]);
        assert_eq!(
            std::mem::take(&mut *alarms.lock().expect("no panic")),
            ["d global"]
        );
    }
}

#[test]
fn a_report_that_we_do_not_know_is_not_repeated() {
    let region = RegionLayer::new(deployment("d"), place(&["us"], &[], &[]));
    let answer = now(reporting(&region, Some("sk-secret"), vec![]).oneshot(Request::new(())));
    let error = answer.map(|_| ()).expect_err("withheld");
    assert_eq!(
        failure(&error).detail(),
        Some("ran in a region that is not known, declared is us")
    );
}

#[tokio::test(start_paused = true)]
async fn the_circuit_of_a_misplaced_deployment_opens() {
    use backstop_cooldown::{Circuit, CooldownConfig, CooldownLayer, State};
    use backstop_core::{Classify, OnResponse};

    let circuit = Circuit::new("d", CooldownConfig::new());
    let region = RegionLayer::new(deployment("d"), place(&["us"], &[], &[]));
    let by_failure = |outcome: Result<&Response<SealedBody<Pieces>>, &BoxError>| {
        backstop_core::Failures.classify(outcome)
    };
    let stack = ServiceBuilder::new()
        .layer(
            CooldownLayer::new(circuit.clone())
                .classify(by_failure)
                .track(OnResponse),
        )
        .service(reporting(&region, Some("de"), vec![]));
    assert!(stack.oneshot(Request::new(())).await.is_err());
    assert_eq!(circuit.state(), State::Open);
}

// ===== observed =====

#[test]
fn an_observer_hears_of_refusals() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&log);
    let region = RegionLayer::new(deployment("eu"), in_eu())
        .required()
        .observe(move |event: &Event<'_>| {
            heard.lock().expect("no panic").push(match event {
                Event::Refused { refusal, .. } => refusal.to_string(),
                Event::Undecided { .. } => "undecided".to_owned(),
                Event::Unpermitted { .. } => "unpermitted".to_owned(),
                _ => "else".to_owned(),
            });
        });
    let journal = Journal::default();
    let _ = now(stack(&region, &journal).oneshot(restricted("us")));
    let _ = now(stack(&region, &journal).oneshot(Request::new(())));
    let sealed = region.seal().layer(provider("eu", &journal, None));
    let _ = now(sealed.oneshot(restricted("eu")));
    assert_eq!(
        *log.lock().expect("no panic"),
        [
            "rule `only us`: it processes in eu-central-1, not within us",
            "undecided",
            "unpermitted"
        ]
    );
}

// ===== classification =====

#[test]
fn a_classifier_that_fails_has_found_personal_data() {
    let trail = Trail::start();
    let broken =
        |_: &Request<()>| std::future::ready(Err::<Vec<Arc<str>>, BoxError>("down".into()));
    let service = ClassifyLayer::new(broken).layer(service_fn(async |request: Request<()>| {
        Ok::<_, BoxError>(request.extensions().get::<Labels>().cloned())
    }));
    let mut request = Request::new(());
    request.extensions_mut().insert(trail.clone());
    request.extensions_mut().insert(Labels::new().key("web"));
    let labels = now(service.oneshot(request)).expect("it goes on");
    assert_eq!(labels, Some(Labels::new().key("web").claim_class("pii")));
    assert_eq!(
        trail.snapshot().notes,
        ["the classifier failed: taken for pii"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_classifier_may_take_its_time_and_the_readied_service_is_called() {
    let slow = |_: &Request<()>| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok::<Vec<Arc<str>>, BoxError>(vec!["phi".into()])
    };
    let (service, mut handle) = mock::pair::<Request<()>, ()>();
    let mut service = ClassifyLayer::new(slow).layer(service);
    let call = service.ready().await.expect("ready").call(Request::new(()));
    // The mock panics if it is called unready.
    let (labels, answer) = tokio::join!(
        async {
            let (request, respond) = handle.next_request().await.expect("a request");
            respond.send_response(());
            request.extensions().get::<Labels>().cloned()
        },
        call
    );
    assert!(answer.is_ok());
    assert_eq!(labels, Some(Labels::new().claim_class("phi")));
}

#[tokio::test]
async fn dropping_the_classifier_calls_nobody() {
    let (service, mut handle) = mock::pair::<Request<()>, ()>();
    let mut service = ClassifyLayer::new(|_: &Request<()>| {
        std::future::pending::<Result<Vec<Arc<str>>, BoxError>>()
    })
    .layer(service);
    let mut call = Box::pin(service.ready().await.expect("ready").call(Request::new(())));
    assert!(poll_once(&mut call).is_pending());
    drop(call);
    drop(service);
    assert!(handle.next_request().await.is_none());
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(future).poll(&mut cx)
}

// ===== the contract of a service =====

/// Every layer over the same mock.
macro_rules! for_each_layer {
    (|$layer:ident| $test:block) => {{
        let region = RegionLayer::new(deployment("d"), in_eu());
        {
            let $layer = region.clone();
            $test
        }
        {
            let policies = Policies::new([]).expect("no rules");
            let $layer = ResidencyPolicyLayer::new(policies);
            $test
        }
        {
            let $layer = region.seal();
            $test
        }
    }};
}

#[tokio::test]
async fn readiness_is_the_inner_services_and_clones_start_unready() {
    for_each_layer!(|layer| {
        let (service, mut handle) = mock::pair::<Request<Prompt>, Response<Pieces>>();
        handle.allow(0);
        let mut service = layer.layer(service);
        let mut ready = Box::pin(std::future::poll_fn(|cx| {
            Service::<Request<Prompt>>::poll_ready(&mut service, cx)
        }));
        assert!(poll_once(&mut ready).is_pending());
        handle.allow(1);
        assert!(ready.await.is_ok());
        handle.allow(0);
        let mut clone = service.clone();
        let mut ready = Box::pin(std::future::poll_fn(|cx| {
            Service::<Request<Prompt>>::poll_ready(&mut clone, cx)
        }));
        assert!(poll_once(&mut ready).is_pending());

        let call = service.call(Request::new(Prompt("m")));
        let (answer, ()) = tokio::join!(call, async {
            let (_, respond) = handle.next_request().await.expect("a request");
            respond.send_response(Response::new(Pieces::of([])));
        });
        assert!(answer.is_ok());
    });
}

#[tokio::test]
async fn errors_pass_as_they_are() {
    for_each_layer!(|layer| {
        let (service, mut handle) = mock::pair::<Request<Prompt>, Response<Pieces>>();
        let mut service = layer.layer(service);
        let call = service
            .ready()
            .await
            .expect("ready")
            .call(Request::new(Prompt("m")));
        let (answer, ()) = tokio::join!(call, async {
            let (_, respond) = handle.next_request().await.expect("a request");
            respond.send_error("broken");
        });
        assert_eq!(
            answer.map(|_| ()).expect_err("broken").to_string(),
            "broken"
        );
    });
}

#[test]
fn auto_traits_and_debug() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug>(_: &T) {}
    let region = RegionLayer::new(deployment("d"), in_eu());
    check(&region);
    check(&region.seal());
    check(&region.layer(()));
    check(&region.seal().layer(()));
    check(&ResidencyPolicyLayer::new(
        Policies::new([]).expect("no rules"),
    ));
    check(&Residency::only("eu"));
    check(&Labels::new());
    let text = format!("{:?}", region.seal().layer(()));
    assert!(text.contains("eu-central-1"), "{text}");
    assert_eq!(set(&["eu"]).to_string(), "eu");
    assert_eq!(
        FailureKind::Ineligible(Ineligible::Region).to_string(),
        "region"
    );
}
