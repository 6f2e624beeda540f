//! Random configurations and requests against an oracle that knows sets of names only.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use backstop_core::{Deployment, FailureKind, Ineligible};
use backstop_fallback::{Fallback, Target};
use backstop_region::{
    Declaration, Derivation, Labels, Mark, Match, Place, Policies, RegionLayer, Require,
    ResidencyPolicyLayer, Rule, header,
};
use http::{HeaderValue, Request};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tower::{Layer, ServiceBuilder, ServiceExt};

use support::{Journal, Prompt, failure, now, provider, set};

/// The names in play, with the smallest places that they stand for.
const NAMES: [(&str, &[&str]); 10] = [
    (
        "eu",
        &[
            "frankfurt",
            "sweden",
            "de-rest",
            "fr-rest",
            "se-rest",
            "eu-rest",
        ],
    ),
    (
        "eea",
        &[
            "frankfurt",
            "sweden",
            "de-rest",
            "fr-rest",
            "se-rest",
            "eu-rest",
            "eea-rest",
        ],
    ),
    ("de", &["frankfurt", "de-rest"]),
    ("fr", &["fr-rest"]),
    ("eu-central-1", &["frankfurt"]),
    ("swedencentral", &["sweden"]),
    ("uk", &["london", "uk-rest"]),
    ("eu-west-2", &["london"]),
    ("us", &["virginia", "us-rest"]),
    ("us-east-1", &["virginia"]),
];

const MARKS: [&str; 3] = ["baa", "zdr", "dpa"];
const PROVIDERS: [&str; 3] = ["openai", "azure", "bedrock"];
const CLASSES: [&str; 3] = ["pii", "phi", "financial"];
const KEYS: [&str; 3] = ["web", "app", "batch"];
const DEPLOYMENTS: [&str; 4] = ["d0", "d1", "d2", "d3"];

type Names = Vec<&'static str>;

fn smallest(names: &[&str]) -> BTreeSet<&'static str> {
    let of = |name: &&str| {
        NAMES
            .iter()
            .find(|(known, _)| known == name)
            .expect("in play")
            .1
    };
    names.iter().flat_map(of).copied().collect()
}

#[derive(Clone, Debug)]
struct Somewhere {
    provider: &'static str,
    processing: Option<Names>,
    storage: Option<Names>,
    /// Each with whether it has expired.
    marks: Vec<(&'static str, bool)>,
}

#[derive(Clone, Debug)]
struct Law {
    key: Option<Names>,
    classes: Option<Names>,
    region: Option<Names>,
    by_name: bool,
    processing: Option<Names>,
    storage: Option<Names>,
    marks: Names,
    allow: Option<Names>,
    deny: Names,
}

#[derive(Clone, Debug)]
struct Asked {
    key: Option<&'static str>,
    classes: Option<Names>,
    region: Option<&'static str>,
    named: Option<usize>,
    claimed_class: Option<&'static str>,
    narrowed: Option<Names>,
}

fn names(least: usize) -> impl Strategy<Value = Names> {
    subsequence(NAMES.map(|(name, _)| name).to_vec(), least..=3)
}

fn maybe<S: Strategy>(inner: S) -> impl Strategy<Value = Option<S::Value>> {
    proptest::option::of(inner)
}

fn some(of: &'static [&'static str]) -> impl Strategy<Value = Names> {
    subsequence(of, 0..=of.len())
}

prop_compose! {
    fn somewhere()(
        provider in select(&PROVIDERS),
        processing in proptest::option::weighted(0.85, names(1)),
        storage in proptest::option::weighted(0.7, names(1)),
        marks in some(&MARKS),
        expired in proptest::bits::u8::ANY,
    ) -> Somewhere {
        let marks = marks.into_iter().enumerate();
        let marks = marks.map(|(index, mark)| (mark, expired >> index & 3 == 3)).collect();
        Somewhere { provider, processing, storage, marks }
    }
}

prop_compose! {
    fn law()(
        (key, classes, region, by_name) in
            (maybe(some(&KEYS)), maybe(some(&CLASSES)), maybe(names(1)), proptest::bool::weighted(0.1)),
        processing in maybe(names(1)),
        storage in proptest::option::weighted(0.3, names(1)),
        marks in subsequence(&MARKS, 0..=1),
        allow in proptest::option::weighted(0.2, some(&PROVIDERS)),
        deny in subsequence(&PROVIDERS, 0..=1),
    ) -> Law {
        Law { key, classes, region, by_name, processing, storage, marks, allow, deny }
    }
}

prop_compose! {
    fn asked()(
        key in maybe(select(&KEYS)),
        classes in maybe(some(&CLASSES)),
        region in maybe(select(NAMES.map(|(name, _)| name).to_vec())),
        named in proptest::option::weighted(0.2, 0..3_usize),
        claimed_class in proptest::option::weighted(0.3, select(&CLASSES)),
        narrowed in proptest::option::weighted(0.3, names(1)),
    ) -> Asked {
        Asked { key, classes, region, named, claimed_class, narrowed }
    }
}

// ===== the oracle =====

/// Whether a rule is for a request: `None` for an attribute of which nothing is known, or nothing is asked.
fn is_for(law: &Law, asked: &Asked) -> bool {
    if law.by_name {
        return false;
    }
    let key = law
        .key
        .as_ref()
        .zip(asked.key)
        .map(|(keys, key)| keys.contains(&key));
    let region = law
        .region
        .as_ref()
        .zip(asked.region)
        .map(|(places, place)| !smallest(places).is_disjoint(&smallest(&[place])));
    let classes = law.classes.as_ref().and_then(|wanted| {
        let claimed = asked
            .claimed_class
            .is_some_and(|class| wanted.contains(&class));
        let known = asked.classes.as_ref();
        let known = known.map(|classes| classes.iter().any(|class| wanted.contains(class)));
        if claimed { Some(true) } else { known }
    });
    let says = [key, region, classes];
    let asks_nothing = law.key.is_none() && law.region.is_none() && law.classes.is_none();
    asks_nothing || (says.contains(&Some(true)) && !says.contains(&Some(false)))
}

fn is_satisfied(law: &Law, at: &Somewhere) -> bool {
    let within = |at: &Option<Names>, wanted: &Option<Names>| match (at, wanted) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(at), Some(wanted)) => smallest(at).is_subset(&smallest(wanted)),
    };
    let declared = at.processing.is_some() || at.storage.is_some() || !at.marks.is_empty();
    declared
        && within(&at.processing, &law.processing)
        && within(&at.storage, &law.storage)
        && law
            .marks
            .iter()
            .all(|mark| at.marks.contains(&(mark, false)))
        && law
            .allow
            .as_ref()
            .is_none_or(|allow| allow.contains(&at.provider))
        && !law.deny.contains(&at.provider)
}

fn eligible(laws: &[Law], unlabelled: Option<usize>, asked: &Asked, at: &Somewhere) -> bool {
    let named = asked.named.filter(|&named| named < laws.len());
    let labelled = named.is_some()
        || laws.iter().any(|law| {
            (law.key.is_some() && asked.key.is_some())
                || (law.classes.is_some() && asked.classes.is_some())
                || (law.region.is_some() && asked.region.is_some())
        });
    let unlabelled = unlabelled.filter(|_| !labelled);
    let mut held = laws.iter().enumerate().filter(|(index, law)| {
        is_for(law, asked) || Some(*index) == named || Some(*index) == unlabelled
    });
    let narrowed = asked.narrowed.as_ref().is_none_or(|wanted| {
        let at = at.processing.as_ref();
        at.is_some_and(|at| smallest(at).is_subset(&smallest(wanted)))
    });
    narrowed && held.all(|(_, law)| is_satisfied(law, at))
}

// ===== the real thing =====

fn place(at: &Somewhere) -> Place {
    let mut declared = Declaration::new(Derivation::unknown());
    if let Some(names) = &at.processing {
        declared = declared.processing(set(names));
    }
    if let Some(names) = &at.storage {
        declared = declared.storage(set(names));
    }
    for &(name, expired) in &at.marks {
        let mark = Mark::new(name);
        let past = "2020-01-01".parse().expect("a day");
        declared = declared.mark(if expired { mark.until(past) } else { mark });
    }
    declared.check().expect("nothing contradicts it")
}

fn rule(index: usize, law: &Law) -> Rule {
    let mut matching = if law.by_name {
        Match::by_name()
    } else {
        Match::new()
    };
    if let Some(keys) = &law.key {
        matching = matching.key(keys);
    }
    if let Some(classes) = &law.classes {
        matching = matching.data_class(classes);
    }
    if let Some(region) = &law.region {
        matching = matching.user_region(set(region));
    }
    let mut require = Require::new().marks(&law.marks).deny(&law.deny);
    if let Some(names) = &law.processing {
        require = require.processing(set(names));
    }
    if let Some(names) = &law.storage {
        require = require.storage(set(names));
    }
    if let Some(allow) = &law.allow {
        require = require.allow(allow);
    }
    Rule::new(format!("r{index}"))
        .matching(matching)
        .require(require)
}

fn request(asked: &Asked, laws: usize) -> Request<Prompt> {
    let mut labels = Labels::new();
    if let Some(key) = asked.key {
        labels = labels.key(key);
    }
    if let Some(classes) = &asked.classes {
        labels = labels.classes(classes);
    }
    if let Some(region) = asked.region {
        labels = labels.user_region(set(&[region]));
    }
    if let Some(named) = asked.named.filter(|&named| named < laws) {
        labels = labels.rule(format!("r{named}"));
    }
    let mut request = Request::new(Prompt("m"));
    request.extensions_mut().insert(labels);
    let mut say = |name, value: &str| {
        let value = HeaderValue::from_str(value).expect("a header's value");
        request.headers_mut().insert(name, value);
    };
    if let Some(class) = asked.claimed_class {
        say(header::DATA_CLASS, class);
    }
    if let Some(names) = &asked.narrowed {
        say(header::RESIDENCY, &names.join(", "));
    }
    request
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// Every deployment fails after it was called, so the journal shows everyone whom the request reached.
    #[test]
    fn nobody_outside_the_rules_is_called_and_nobody_inside_is_refused(
        places in proptest::collection::vec(somewhere(), 1..=4),
        laws in proptest::collection::vec(law(), 1..=3),
        unlabelled in maybe(0..3_usize),
        asked in asked(),
    ) {
        let unlabelled = unlabelled.filter(|&index| index < laws.len());
        let rules = laws.iter().enumerate().map(|(index, law)| rule(index, law));
        let mut policies = Policies::new(rules).expect("distinct names");
        if let Some(index) = unlabelled {
            policies = policies.unlabelled(&format!("r{index}")).expect("there is one");
        }

        let journal = Journal::default();
        let targets = places.iter().zip(DEPLOYMENTS).map(|(at, id)| {
            let deployment = Arc::new(Deployment::new(id).with_provider(at.provider));
            let region = RegionLayer::new(Arc::clone(&deployment), place(at)).required();
            let service = ServiceBuilder::new()
                .layer(region.clone())
                .layer(region.seal())
                .service(provider::<Prompt>(id, &journal, Some(FailureKind::ServerError)));
            Target::new(deployment, service)
        });
        let chain = Fallback::new(targets).expect("there are some");
        let service = ResidencyPolicyLayer::new(policies).layer(chain);
        let error = now(service.oneshot(request(&asked, laws.len()))).map(|_| ()).expect_err("all fail");

        let expected: Vec<_> = places
            .iter()
            .zip(DEPLOYMENTS)
            .filter(|(at, _)| eligible(&laws, unlabelled, &asked, at))
            .map(|(_, id)| id)
            .collect();
        prop_assert_eq!(journal.take(), expected.clone());
        // The error is the rules' only if they left nobody.
        let region = FailureKind::Ineligible(Ineligible::Region);
        prop_assert_eq!(failure(&error).kind() == region, expected.is_empty());
    }
}
