//! Which rules hold for which request.

mod support;

use std::sync::Arc;

use backstop_core::{Deployment, FailureKind, Trail};
use backstop_region::{
    InvalidPolicy, Labels, Match, Policies, Reason, Require, Residency, ResidencyPolicyLayer, Rule,
    examples, header,
};
use http::{HeaderName, HeaderValue, Request};
use proptest::prelude::*;
use tower::{Layer, ServiceExt, service_fn};

use support::{Prompt, deployment, failure, now, place, set};

fn held(policies: &Policies, labels: &Labels) -> String {
    let held = policies.decide("gpt-4o", labels).expect("known rules");
    held.map(|held| held.names()).unwrap_or_default()
}

fn one(matching: Match) -> Policies {
    Policies::new([Rule::new("rule").matching(matching)]).expect("valid")
}

#[test]
fn a_rule_applies_when_nothing_known_contradicts_it_and_something_matches() {
    let policies = one(Match::new().data_class(["phi"]).user_region(set(&["us"])));
    let (us, de) = (set(&["us"]), set(&["de"]));
    for (labels, applies) in [
        (Labels::new(), false),
        (Labels::new().classes(["phi"]), true),
        (Labels::new().user_region(us), true),
        (Labels::new().classes(["PHI"]).user_region(us), true),
        (Labels::new().classes(["pii", "phi"]), true),
        (Labels::new().classes(["phi"]).user_region(de), false),
        (Labels::new().classes(["pii"]).user_region(us), false),
        (Labels::new().classes::<&str>([]).user_region(us), false),
        (Labels::new().user_region(de), false),
        // Of what no rule asks for nothing follows.
        (Labels::new().key("web"), false),
        (Labels::new().key("web").classes(["phi"]), true),
    ] {
        assert_eq!(held(&policies, &labels) == "rule", applies, "{labels:?}");
    }
}

#[test]
fn each_attribute_is_matched() {
    let eu = set(&["eu"]);
    for (matching, yes, no) in [
        (
            Match::new().key(["web"]),
            Labels::new().key("web"),
            Labels::new().key("app"),
        ),
        (
            Match::new().key(["web-*"]),
            Labels::new().key("web-7"),
            Labels::new().key("web"),
        ),
        (
            Match::new().team(["a", "b"]),
            Labels::new().team("b"),
            Labels::new().team("c"),
        ),
        (
            Match::new().tag(["x"]),
            Labels::new().tags(["y", "x"]),
            Labels::new().tags::<&str>([]),
        ),
        (
            Match::new().user_region(eu),
            Labels::new().user_region(set(&["eu-west-1"])),
            Labels::new().user_region(set(&["uk"])),
        ),
        // A user somewhere in the EEA may be in the EU.
        (
            Match::new().user_region(eu),
            Labels::new().user_region(set(&["eea"])),
            Labels::new().user_region(set(&["no", "ch"])),
        ),
        (
            Match::new().model(["gpt-*"]).key(["web"]),
            Labels::new(),
            Labels::new().key("app"),
        ),
    ] {
        let policies = one(matching);
        assert_eq!(held(&policies, &yes), "rule", "{yes:?}");
        assert_eq!(held(&policies, &no), "", "{no:?}");
    }
    let other_model = one(Match::new().model(["claude-*"]).key(["web"]));
    assert_eq!(held(&other_model, &Labels::new().key("web")), "");
}

#[test]
fn a_rule_without_attributes_is_for_everyone_unless_it_is_by_name() {
    assert_eq!(held(&one(Match::new()), &Labels::new()), "rule");
    assert_eq!(held(&one(Match::by_name()), &Labels::new()), "");
    assert_eq!(
        held(&one(Match::by_name()), &Labels::new().rule("rule")),
        "rule"
    );
}

#[test]
fn all_that_apply_hold_in_order() {
    let policies = Policies::new([
        Rule::new("a").matching(Match::new().key(["web"])),
        Rule::new("b").matching(Match::new().team(["growth"])),
        Rule::new("c").matching(Match::by_name()),
        Rule::new("d").matching(Match::by_name()),
        Rule::new("e").matching(Match::by_name()),
    ])
    .and_then(|policies| policies.key("web", "c")?.model("gpt-*", "d"))
    .expect("valid");
    let labels = Labels::new().key("web").team("growth").rule("e").rule("a");
    assert_eq!(held(&policies, &labels), "a, b, c, d, e");
    assert_eq!(held(&policies, &Labels::new()), "d");
}

#[test]
fn the_unlabelled_get_their_rule() {
    let policies = Policies::new([
        Rule::new("web").matching(Match::new().key(["web"])),
        Rule::new("phi").matching(Match::new().data_class(["phi"])),
        Rule::new("gpt").matching(Match::new().model(["gpt-*"])),
        Rule::new("rest").matching(Match::by_name()),
    ])
    .and_then(|policies| policies.unlabelled("rest"))
    .expect("valid");
    for (labels, expected) in [
        // The model alone is not knowledge: everyone has one.
        (Labels::new(), "gpt, rest"),
        // Nor is what no rule asks for.
        (Labels::new().team("growth"), "gpt, rest"),
        (Labels::new().key("app"), "gpt"),
        (Labels::new().key("web"), "web, gpt"),
        (Labels::new().classes(["pii"]), "gpt"),
        (Labels::new().rule("web"), "gpt, web"),
        // A claim adds rules and takes none away.
        (Labels::new().claim_class("phi"), "phi, gpt, rest"),
        (Labels::new().claim_class("pii"), "gpt, rest"),
    ] {
        assert_eq!(held(&policies, &labels), expected, "{labels:?}");
    }
}

#[test]
fn names_that_there_are_not_are_errors() {
    let policies = || Policies::new([Rule::new("eu-only")]).expect("valid");
    let twice = Policies::new([Rule::new("a"), Rule::new("a")]).expect_err("twice");
    assert_eq!(twice, InvalidPolicy::Twice("a".into()));
    for error in [
        policies().unlabelled("eu-onyl").expect_err("unknown"),
        policies().model("*", "eu-onyl").expect_err("unknown"),
        policies().key("web", "eu-onyl").expect_err("unknown"),
        policies()
            .decide("m", &Labels::new().rule("eu-onyl"))
            .expect_err("unknown"),
    ] {
        assert_eq!(
            error.to_string(),
            "there is no residency rule `eu-onyl`: did you mean `eu-only`?"
        );
    }
}

#[test]
fn rules_that_no_deployment_satisfies_are_found() {
    let in_eu = || Require::new().processing(set(&["eu"]));
    let policies = Policies::new([
        Rule::new("satisfied").require(in_eu()),
        Rule::new("impossible").require(in_eu().marks(["baa"])),
        Rule::new("on purpose")
            .require(in_eu().marks(["baa"]))
            .allow_empty(),
    ])
    .expect("valid");
    let deployments = [
        (deployment("eu"), place(&["fr"], &[], &[])),
        (deployment("us"), place(&["us"], &[], &["baa"])),
    ];
    let names: Vec<_> = policies
        .unsatisfied(&deployments)
        .map(|rule| &**rule.name())
        .collect();
    assert_eq!(names, ["impossible"]);
    assert_eq!(policies.unsatisfied(&[]).count(), 2);
}

#[test]
fn a_rule_says_what_a_deployment_lacks() {
    let (eu, us) = (set(&["eu"]), set(&["us"]));
    let check = |require: Require, place: &backstop_region::Place| {
        let rule = Rule::new("r").require(require);
        let deployment = Deployment::new("d").with_provider("openai");
        match rule.check(&deployment, place) {
            Ok(()) => String::new(),
            Err(refusal) => refusal.reason().to_string(),
        }
    };
    let full = place(&["fr"], &["de"], &["dpa"]);
    for (require, place, lacks) in [
        (Require::new(), &full, ""),
        (
            Require::new()
                .processing(eu)
                .storage(eu)
                .marks(["DPA"])
                .allow(["openai"]),
            &full,
            "",
        ),
        (
            Require::new().processing(us),
            &full,
            "it processes in fr, not within us",
        ),
        (
            Require::new().storage(us),
            &full,
            "it stores in de, not within us",
        ),
        (
            Require::new().marks(["dpa", "baa"]),
            &full,
            "it has no valid mark `baa`",
        ),
        (
            Require::new().deny(["deepseek", "openai"]),
            &full,
            "its provider is not allowed",
        ),
        (
            Require::new().allow(["azure"]),
            &full,
            "its provider is not allowed",
        ),
        (
            Require::new().allow::<&str>([]),
            &full,
            "its provider is not allowed",
        ),
        (
            Require::new(),
            &place(&[], &[], &[]),
            "where it processes is not declared",
        ),
        (
            Require::new().processing(set(&["global"])),
            &place(&[], &["eu"], &[]),
            "where it processes is not declared",
        ),
        (
            Require::new().storage(set(&["global"])),
            &place(&["eu"], &[], &[]),
            "where it stores is not declared",
        ),
        (
            Require::new().marks(["zdr"]),
            &place(&[], &[], &["zdr"]),
            "",
        ),
    ] {
        assert_eq!(check(require.clone(), place), lacks, "{require:?}");
    }
}

#[test]
fn an_expired_mark_is_none() {
    use backstop_region::{Date, Declaration, Derivation, Mark};
    let rule = Rule::new("r").require(Require::new().marks(["baa"]));
    let until = |day: &str| {
        let until: Date = day.parse().expect("a day");
        let place = Declaration::new(Derivation::unknown()).mark(Mark::new("baa").until(until));
        place.check().expect("no claim")
    };
    assert!(
        rule.check(&Deployment::new("d"), &until("2999-12-31"))
            .is_ok()
    );
    let refusal = rule
        .check(&Deployment::new("d"), &until("2020-01-01"))
        .expect_err("expired");
    assert_eq!(*refusal.reason(), Reason::Mark("baa".into()));
}

#[test]
fn the_shipped_examples_do_what_they_say() {
    let in_eu = place(&["eu-central-1"], &["de"], &["dpa", "no_training"]);
    let in_us = place(&["us-east-1"], &["us"], &["baa", "zdr"]);
    for (rule, eu, us) in [
        (examples::eu_only(), true, false),
        (examples::eu_pii(), true, false),
        (examples::us_health(), false, true),
        (examples::zero_retention(), false, true),
    ] {
        assert_eq!(
            rule.check(&Deployment::new("eu"), &in_eu).is_ok(),
            eu,
            "{rule:?}"
        );
        assert_eq!(
            rule.check(&Deployment::new("us"), &in_us).is_ok(),
            us,
            "{rule:?}"
        );
    }
    let everyone = Policies::new([examples::eu_only()]).expect("valid");
    assert_eq!(held(&everyone, &Labels::new()), "eu-only");
}

// ===== the layer =====

/// What holds below the layer, or the detail of its error.
fn below(policies: Policies, request: Request<Prompt>) -> Result<Option<Residency>, String> {
    let layer = ResidencyPolicyLayer::new(policies);
    let service = layer.layer(service_fn(async |request: Request<Prompt>| {
        Ok::<_, backstop_core::BoxError>(request.extensions().get::<Residency>().cloned())
    }));
    now(service.oneshot(request)).map_err(|error| failure(&error).to_string())
}

fn request(headers: &[(HeaderName, &str)]) -> Request<Prompt> {
    let mut request = Request::new(Prompt("gpt-4o"));
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).expect("a header's value");
        request.headers_mut().append(name.clone(), value);
    }
    request
}

fn names(outcome: Result<Option<Residency>, String>) -> Option<String> {
    outcome.expect("decided").map(|held| held.names())
}

fn eu_and_fr() -> Policies {
    Policies::new([
        Rule::new("eu-only")
            .matching(Match::new().key(["web"]))
            .require(Require::new().processing(set(&["eu"]))),
        Rule::new("fr-only")
            .matching(Match::by_name())
            .require(Require::new().processing(set(&["fr"]))),
    ])
    .expect("valid")
}

#[test]
fn a_caller_can_narrow_by_header_or_extension() {
    let mut narrowed = request(&[(header::RESIDENCY, "fr-only, de, fr")]);
    narrowed.extensions_mut().insert(Labels::new().key("web"));
    narrowed.extensions_mut().insert(Residency::only("eea"));
    assert_eq!(
        names(below(eu_and_fr(), narrowed)).as_deref(),
        Some("eu-only, only eea, fr-only, x-backstop-residency: de, fr")
    );
    assert_eq!(names(below(eu_and_fr(), request(&[]))), None);
    assert_eq!(
        names(below(eu_and_fr(), request(&[(header::RESIDENCY, "eu")]))).as_deref(),
        Some("x-backstop-residency: eu")
    );
}

#[test]
fn a_rule_that_is_called_like_a_region_does_not_stand_in_its_way() {
    let policies = Policies::new([Rule::new("eu")
        .matching(Match::by_name())
        .require(Require::new().deny(["deepseek"]))])
    .expect("valid");
    let held = below(policies, request(&[(header::RESIDENCY, "eu")]))
        .expect("decided")
        .expect("a rule holds");
    assert_eq!(held.names(), "eu, x-backstop-residency: eu");
    let in_us = place(&["us"], &["us"], &[]);
    assert!(held.check(&Deployment::new("us"), &in_us).is_err());
}

#[test]
fn a_caller_cannot_widen() {
    for wide in ["us", "global", "eu, us"] {
        let mut request = request(&[(header::RESIDENCY, wide)]);
        request.extensions_mut().insert(Labels::new().key("web"));
        let held = below(eu_and_fr(), request)
            .expect("decided")
            .expect("a rule holds");
        let in_us = place(&["us"], &["us"], &[]);
        assert!(
            held.check(&Deployment::new("us"), &in_us).is_err(),
            "{wide}"
        );
    }
}

#[test]
fn claims_in_headers_bring_rules_in() {
    let policies = || {
        Policies::new([examples::eu_pii(), examples::us_health()])
            .and_then(|policies| policies.unlabelled("eu-pii"))
            .expect("valid")
    };
    for (claims, expected) in [
        (&[][..], "eu-pii"),
        (&[(header::DATA_CLASS, "PHI, other")], "us-health, eu-pii"),
        (&[(header::USER_REGION, "us")], "us-health, eu-pii"),
        (&[(header::USER_REGION, "us, fr")], "eu-pii, us-health"),
    ] {
        assert_eq!(
            names(below(policies(), request(claims))).as_deref(),
            Some(expected),
            "{claims:?}"
        );
    }
}

#[test]
fn headers_that_contradict_themselves_or_mean_nothing_are_closed_clear_and_recorded() {
    let residency = header::RESIDENCY;
    let long = "x".repeat(65);
    for (headers, message) in [
        (
            &[(residency.clone(), "eu"), (residency.clone(), "us")][..],
            "x-backstop-residency: sent more than once, with different values",
        ),
        (
            &[(residency.clone(), "eu-wset-1")],
            "x-backstop-residency: unknown region `eu-wset-1`: did you mean `eu-west-1`?",
        ),
        (
            &[(residency.clone(), "")],
            "x-backstop-residency: not a list of names",
        ),
        (
            &[(residency.clone(), "eu,,us")],
            "x-backstop-residency: not a list of names",
        ),
        (
            &[(residency.clone(), "\u{e9}u")],
            "x-backstop-residency: not a list of names",
        ),
        (
            &[(residency.clone(), &long)],
            "x-backstop-residency: not a list of names",
        ),
        (
            &[(header::DATA_CLASS, " ")],
            "x-backstop-data-class: not a list of names",
        ),
        (
            &[(header::USER_REGION, "germny")],
            "x-backstop-user-region: unknown region `germny`",
        ),
    ] {
        let mut request = request(headers);
        let trail = Trail::start();
        request.extensions_mut().insert(trail.clone());
        let layer = ResidencyPolicyLayer::new(eu_and_fr());
        let service = layer.layer(service_fn(
            async |_: Request<Prompt>| -> Result<(), backstop_core::BoxError> {
                panic!("it went on")
            },
        ));
        let error = now(service.oneshot(request)).expect_err("closed");
        assert_eq!(failure(&error).kind(), FailureKind::BadRequest);
        assert_eq!(failure(&error).reach(), backstop_core::Reach::Refused);
        assert_eq!(failure(&error).detail(), Some(message));
        assert_eq!(trail.snapshot().notes, [format!("bad request: {message}")]);
    }
    // The same twice is no contradiction.
    let same = request(&[(residency.clone(), "de, fr"), (residency, "fr,de")]);
    assert_eq!(
        names(below(eu_and_fr(), same)).as_deref(),
        Some("x-backstop-residency: de, fr")
    );
}

#[test]
fn a_key_that_names_a_rule_that_is_gone_is_closed() {
    let mut request = request(&[]);
    request.extensions_mut().insert(Labels::new().rule("gone"));
    let message = below(eu_and_fr(), request).expect_err("closed");
    assert_eq!(
        message,
        "not allowed by the residency rule: there is no residency rule `gone`"
    );
}

#[test]
fn the_trail_says_which_rules_hold() {
    let trail = Trail::start();
    let mut request = request(&[]);
    request.extensions_mut().insert(trail.clone());
    request.extensions_mut().insert(Labels::new().key("web"));
    names(below(eu_and_fr(), request));
    assert_eq!(trail.snapshot().policy.as_deref(), Some("eu-only"));
}

#[test]
fn what_a_cache_keeps_apart() {
    let eu = Residency::only("eu");
    assert_eq!(eu, Residency::only("EU"));
    assert_eq!(eu.version(), Residency::only("eu").version());
    assert_ne!(eu.version(), Residency::only("us").version());
    assert_ne!(eu.version(), eu.and(&Residency::only("de")).version());
    // Saying it twice says it once.
    assert_eq!(eu.and(&eu).version(), eu.version());
}

#[test]
#[should_panic(expected = "unknown region `europe`")]
fn a_route_with_a_mistake_in_it_does_not_start() {
    let _ = Residency::only("europe");
}

// ===== claims only narrow =====

const CLASSES: [&str; 3] = ["pii", "phi", "financial"];
const PLACES: [&str; 4] = ["eu", "us", "de", "uk"];

fn some(of: &'static [&'static str]) -> impl Strategy<Value = Option<Vec<&'static str>>> {
    proptest::option::of(proptest::sample::subsequence(of, 0..=of.len()))
}

prop_compose! {
    fn any_labels()(
        key in proptest::option::of(0..2_usize),
        classes in some(&CLASSES),
        region in proptest::option::of(0..PLACES.len()),
    ) -> Labels {
        let mut labels = Labels::new();
        if let Some(key) = key {
            labels = labels.key(["web", "app"][key]);
        }
        if let Some(classes) = classes {
            labels = labels.classes(classes);
        }
        if let Some(region) = region {
            labels = labels.user_region(set(&[PLACES[region]]));
        }
        labels
    }
}

prop_compose! {
    fn any_match()(
        key in some(&["web", "app"]),
        classes in some(&CLASSES),
        region in some(&PLACES),
        by_name in proptest::bool::weighted(0.1),
    ) -> Match {
        let mut matching = if by_name { Match::by_name() } else { Match::new() };
        if let Some(keys) = key {
            matching = matching.key(keys);
        }
        if let Some(classes) = classes {
            matching = matching.data_class(classes);
        }
        if let Some(region) = region {
            matching = matching.user_region(set(&region));
        }
        matching
    }
}

proptest! {
    #[test]
    fn claims_only_ever_add_rules(
        matches in proptest::collection::vec(any_match(), 1..5),
        labels in any_labels(),
        classes in proptest::sample::subsequence(&CLASSES, 0..=3),
        region in proptest::option::of(0..PLACES.len()),
        unlabelled in any::<bool>(),
    ) {
        let rules = matches.into_iter().enumerate();
        let mut policies = Policies::new(
            rules.map(|(index, matching)| Rule::new(format!("r{index}")).matching(matching)),
        )
        .expect("distinct names");
        if unlabelled {
            policies = policies.unlabelled("r0").expect("there is one");
        }
        let mut claimed = labels.clone();
        for class in classes {
            claimed = claimed.claim_class(class);
        }
        if let Some(region) = region {
            claimed = claimed.claim_user_region(set(&[PLACES[region]]));
        }
        let rules = |labels| -> Vec<Arc<Rule>> {
            let held = policies.decide("gpt-4o", labels).expect("no names");
            held.map(|held| held.rules().to_vec()).unwrap_or_default()
        };
        let with_claims = rules(&claimed);
        for rule in rules(&labels) {
            prop_assert!(with_claims.contains(&rule), "{rule:?} is gone");
        }
    }
}

#[test]
fn the_rules_of_the_model_that_answers_hold_next_to_those_of_the_name_that_was_asked_for() {
    let by_name = |name: &'static str| Rule::new(name).matching(Match::by_name());
    let policies = Policies::new([
        by_name("of-auto"),
        by_name("of-smart"),
        by_name("of-other"),
        Rule::new("matches-smart").matching(Match::new().model(["smart"]).key(["web"])),
    ])
    .and_then(|policies| policies.model("auto", "of-auto"))
    .and_then(|policies| policies.model("smart", "of-smart"))
    .and_then(|policies| policies.model("other", "of-other"))
    .expect("valid");
    let policies = Arc::new(policies);
    let names = service_fn(async |request: Request<Prompt>| {
        let held = request.extensions().get::<Residency>();
        Ok::<_, backstop_core::BoxError>(held.map(Residency::names))
    });
    for (asked_for, serves, expected) in [
        ("auto", None, "of-auto"),
        ("auto", Some("smart"), "of-auto, matches-smart, of-smart"),
        ("smart", Some("smart"), "matches-smart, of-smart"),
        ("unruled", Some("smart"), "matches-smart, of-smart"),
        ("auto", Some("unruled"), "of-auto"),
    ] {
        let mut layer = ResidencyPolicyLayer::new(Arc::clone(&policies));
        if let Some(model) = serves {
            layer = layer.serves(model);
        }
        let held =
            now(layer.layer(names).oneshot(Request::new(Prompt(asked_for)))).expect("decided");
        assert_eq!(held.as_deref(), Some(expected), "{asked_for} by {serves:?}");
    }
}
