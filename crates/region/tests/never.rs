//! What must never happen, one test each.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstop_cooldown::{Circuit, CooldownConfig, CooldownLayer};
use backstop_core::{
    BoxError, Continuing, Failure, FailureKind, Ineligible, LastResort, Trail, failure_of,
};
use backstop_fallback::{Fallback, Target};
use backstop_region::{
    Derivation, Labels, Match, Place, Policies, RegionLayer, Require, Residency,
    ResidencyPolicyLayer, Rule, header,
};
use backstop_retry::RetryPolicy;
use http::{Request, Response};
use tower::retry::RetryLayer;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use support::{Journal, Pieces, Prompt, assert_refused, deployment, now, place, set};

type Stack = BoxCloneSyncService<Request<Prompt>, Response<Pieces>, BoxError>;

/// A deployment that writes down each call and fails as told, with everything that repeats calls around it.
fn target(id: &'static str, at: Place, journal: &Journal, fails: Option<Failure>) -> Target<Stack> {
    let deployment = deployment(id);
    let region = RegionLayer::new(Arc::clone(&deployment), at).required();
    let circuit = Circuit::new(id, CooldownConfig::new().allowed_fails(1));
    let journal = journal.clone();
    let stack = ServiceBuilder::new()
        .layer(region.clone())
        .layer(RetryLayer::new(RetryPolicy::new().retries(1)))
        .layer(CooldownLayer::new(circuit).track(backstop_core::OnResponse))
        .map_response(|_| Response::new(Pieces::of([None])))
        .layer(region.seal())
        .service(service_fn(move |_: Request<Prompt>| {
            journal.add(id);
            std::future::ready(match fails.clone() {
                Some(failure) => Err::<Response<Pieces>, BoxError>(failure.into()),
                None => Ok(Response::new(Pieces::of([None]))),
            })
        }));
    Target::new(deployment, BoxCloneSyncService::new(stack))
}

fn eu(journal: &Journal, fails: Option<Failure>) -> Target<Stack> {
    target("eu", place(&["eu-central-1"], &["eu"], &[]), journal, fails)
}

fn us(journal: &Journal) -> Target<Stack> {
    target("us", place(&["us-east-1"], &["us"], &[]), journal, None)
}

fn eu_only() -> Policies {
    let require = Require::new().processing(set(&["eu"]));
    Policies::new([Rule::new("eu-only")
        .matching(Match::new().key(["web"]))
        .require(require)])
    .expect("valid")
}

fn from_web() -> Request<Prompt> {
    let mut request = Request::new(Prompt("secret prompt"));
    request.extensions_mut().insert(Labels::new().key("web"));
    request.extensions_mut().insert(Trail::start());
    request
}

fn kind(error: &BoxError) -> FailureKind {
    failure_of(&**error).expect("a failure").kind()
}

const NO_COMPLIANT: FailureKind = FailureKind::Ineligible(Ineligible::Region);

#[tokio::test(start_paused = true)]
async fn a_fallback_leaves_the_set() {
    for fails in [
        Failure::new(FailureKind::ServerError),
        Failure::new(FailureKind::Timeout),
        Failure::new(FailureKind::Overloaded),
        Failure::new(FailureKind::RateLimit),
        Failure::new(FailureKind::RateLimit).with_retry_after(Duration::from_secs(60)),
        Failure::new(FailureKind::QuotaExhausted),
        Failure::new(FailureKind::ContentFilter),
        Failure::new(FailureKind::ContextWindow),
        Failure::new(FailureKind::Auth),
        Failure::new(FailureKind::Permission),
        Failure::new(FailureKind::Network).with_reach(backstop_core::Reach::Unsent),
        Failure::ineligible(Ineligible::Budget),
        Failure::ineligible(Ineligible::Window),
    ] {
        let (inside, outside) = (Journal::default(), Journal::default());
        let chain = Fallback::in_order([eu(&inside, Some(fails.clone())), us(&outside)]);
        let service = ResidencyPolicyLayer::new(eu_only()).layer(chain);
        // Often enough that the circuit opens on the way.
        for _ in 0..5 {
            let answer = service.clone().oneshot(from_web()).await;
            assert_ne!(
                kind(&answer.map(|_| ()).expect_err("the EU is down")),
                NO_COMPLIANT
            );
        }
        assert!(!inside.take().is_empty());
        assert!(outside.take().is_empty(), "{fails}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_mode_of_last_resort_relaxes_it() {
    let journal = Journal::default();
    let chain = Fallback::in_order([us(&journal), us(&journal)]);
    let service = ResidencyPolicyLayer::new(eu_only()).layer(chain);
    let mut request = from_web();
    request.extensions_mut().insert(LastResort);
    let trail = Trail::of(request.extensions()).expect("it has one").clone();
    let error = service
        .oneshot(request)
        .await
        .map(|_| ())
        .expect_err("nobody is left");
    assert_eq!(kind(&error), NO_COMPLIANT);
    assert!(journal.take().is_empty());

    // The record names each candidate and the rule.
    let record = trail.snapshot();
    assert_eq!(record.outcome, Some(backstop_core::Outcome::RejectedRegion));
    assert_eq!(record.policy.as_deref(), Some("eu-only"));
    let details: Vec<_> = record
        .skipped
        .iter()
        .map(|row| row.detail.as_deref())
        .collect();
    let why = Some("rule `eu-only`: it processes in us-east-1, not within eu");
    assert_eq!(details, [why, why]);
}

#[test]
fn the_rest_of_a_stream_goes_elsewhere() {
    let journal = Journal::default();
    let (broken, outside) = (
        eu(&journal, Some(Failure::new(FailureKind::Network))),
        us(&journal),
    );
    let chain = Fallback::in_order([outside, broken]);
    let mut request = from_web();
    request
        .extensions_mut()
        .insert(Continuing::new("m", [Arc::from("eu")]));
    let service = ResidencyPolicyLayer::new(eu_only()).layer(chain);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let answer = runtime
        .expect("a runtime")
        .block_on(service.oneshot(request));
    assert!(answer.is_err());
    assert!(!journal.take().contains(&"us".to_owned()));
}

#[test]
fn a_cache_is_shared_across_rules() {
    // A cache below the policies keeps what it has by the version of the rules.
    let (eu, eu_too, us) = (
        Residency::only("eu"),
        Residency::only("eu"),
        Residency::only("us"),
    );
    assert_eq!(eu.version(), eu_too.version());
    assert_ne!(eu.version(), us.version());
    let rule = |marks: &[&str]| Rule::new("same name").require(Require::new().marks(marks));
    let by = |rule| Residency::by([Arc::new(rule)]);
    assert_ne!(by(rule(&["zdr"])).version(), by(rule(&["baa"])).version());
}

#[test]
fn a_record_or_an_error_holds_the_prompt() {
    let journal = Journal::default();
    let service = ResidencyPolicyLayer::new(eu_only()).layer(Fallback::in_order([us(&journal)]));
    let request = from_web();
    let trail = Trail::of(request.extensions()).expect("it has one").clone();
    let error = now(service.oneshot(request))
        .map(|_| ())
        .expect_err("refused");
    let texts = [
        format!("{error:?}"),
        error.to_string(),
        format!("{:?}", trail.snapshot()),
    ];
    for text in texts {
        assert!(!text.contains("secret prompt"), "{text}");
    }
}

#[test]
fn a_new_configuration_widens_a_running_request() {
    // The request was decided about, then waits; meanwhile the configuration changes.
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let waiting =
        ResidencyPolicyLayer::new(eu_only()).layer(service_fn(move |request: Request<Prompt>| {
            *keep.lock().expect("no panic") = Some(request);
            std::future::ready(Ok::<_, BoxError>(()))
        }));
    now(waiting.oneshot(from_web())).expect("decided");
    let running = kept
        .lock()
        .expect("no panic")
        .take()
        .expect("it came through");

    let journal = Journal::default();
    let everything_goes = Policies::new([]).expect("no rules");
    let service =
        ResidencyPolicyLayer::new(everything_goes).layer(Fallback::in_order([us(&journal)]));
    let error = now(service.oneshot(running))
        .map(|_| ())
        .expect_err("the old rule holds");
    assert_eq!(kind(&error), NO_COMPLIANT);
    assert!(journal.take().is_empty());
}

#[test]
fn a_caller_chooses_their_way_around_it() {
    let journal = Journal::default();
    let service = ResidencyPolicyLayer::new(eu_only()).layer(Fallback::in_order([us(&journal)]));
    for (name, value) in [
        (header::RESIDENCY, "us"),
        (header::RESIDENCY, "global"),
        (header::USER_REGION, "us"),
        (header::DATA_CLASS, "public"),
    ] {
        let mut request = from_web();
        request
            .headers_mut()
            .insert(name, value.parse().expect("a header's value"));
        assert!(now(service.clone().oneshot(request)).is_err(), "{value}");
    }
    // A decision of the caller's own is held next to the rule, not instead of it.
    let mut request = from_web();
    request.extensions_mut().insert(Residency::only("us"));
    assert!(now(service.oneshot(request)).is_err());
    assert!(journal.take().is_empty());
}

#[test]
fn a_health_check_or_a_count_of_tokens_goes_out_without_a_decision() {
    // Calls that somebody makes past the policies.
    let journal = Journal::default();
    let outside = us(&journal);
    assert_refused(
        now(outside.service().clone().oneshot(Request::new(Prompt("m")))),
        "no residency was decided for this request",
    );
    let sealed = RegionLayer::new(deployment("eu"), place(&["eu"], &[], &[]))
        .required()
        .seal();
    let mut probe = sealed.layer(support::provider::<Prompt>("eu", &journal, None));
    let mut under_a_rule = Request::new(Prompt("m"));
    under_a_rule.extensions_mut().insert(Residency::only("eu"));
    assert_refused(
        now(probe.call(under_a_rule)),
        "the request carries no permit for this deployment",
    );
    assert!(journal.take().is_empty());
}

#[test]
fn a_region_is_inferred_where_none_is_declared() {
    let journal = Journal::default();
    for derived in [
        Derivation::unknown(),
        Derivation::openai("api.openai.com"),
        Derivation::self_hosted("llama3.3"),
        Derivation::bedrock("us-east-1", "ca.amazon.nova-lite-v1:0").expect("a known region"),
    ] {
        let at = backstop_region::Declaration::new(derived)
            .check()
            .expect("no claim");
        let unknown = target("eu", at, &journal, None);
        for wanted in ["eu", "us", "global"] {
            let mut request = Request::new(Prompt("m"));
            request.extensions_mut().insert(Residency::only(wanted));
            let refused = now(unknown.service().clone().oneshot(request));
            let detail = format!("rule `only {wanted}`: where it processes is not declared");
            assert_refused(refused, &detail);
        }
    }
    // There is no default either: a region has to be named.
    assert!(Derivation::bedrock("", "anthropic.claude-sonnet-4-6").is_err());
    assert!(Derivation::vertex("").is_err());
    assert!(Derivation::azure("Standard", "").is_err());
    assert!(journal.take().is_empty());
}
