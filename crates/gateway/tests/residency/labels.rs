//! Who is held to which rule: by what is known of the key, by what the caller claims, and by what a prompt holds.

use crate::support::{Gateway, Response, ask, config};
use crate::{Sides, ask_with, inside, outside};

/// A rule for each attribute, and a key for each rule.
const RULES: &str = "
general_settings: {master_key: sk-master}
keys:
  - {id: keyed, key: sk-keyed}
  - {id: teamed, key: sk-teamed, team: care}
  - {id: tagged, key: sk-tagged, tags: [other, eu]}
  - {id: classed, key: sk-classed, data_class: [PII]}
  - {id: named, key: sk-named, residency: by-name}
  - {id: plain, key: sk-plain, team: growth, org: acme, tags: [], data_class: [public]}
  - {id: bare, key: sk-bare}
residency:
  rules:
    - {name: by-key, match: {key: [keyed]}, require: {processing: [eu]}}
    - {name: by-team, match: {team: [care]}, require: {processing: [eu]}}
    - {name: by-tag, match: {tag: [eu]}, require: {processing: [eu]}}
    - {name: by-class, match: {data_class: [pii]}, require: {processing: [eu]}}
    - {name: by-user, match: {user_region: [eea]}, require: {processing: [eu]}}
    - {name: by-both, match: {team: [finance], data_class: [financial]}, require: {processing: [eu]}}
    - {name: by-name, match: none, require: {processing: [eu]}}
";

/// The one outside comes first: only a rule keeps a request from it.
async fn start(sides: &Sides, more: &str) -> Gateway {
    let deployments = [
        outside("smart", "us", "openai/gpt-4o"),
        inside("smart", "eu", "openai/gpt-4o"),
    ];
    sides.gateway(&deployments, more).await
}

/// Asks with this key; says which rules held.
async fn held(
    gateway: &Gateway,
    sides: &Sides,
    key: &str,
    text: &str,
    headers: &[(&'static str, &str)],
) -> Option<String> {
    let bearer = format!("Bearer sk-{key}");
    let mut headers = headers.to_vec();
    headers.push(("authorization", &bearer));
    let response = gateway.send(ask_with("smart", text, &headers)).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let record = gateway.record(response.request_id()).await;
    let policy = record["policy"].as_str().map(str::to_owned);
    let served = response.header("x-backstop-deployment");
    assert_eq!(
        served,
        if policy.is_some() { "eu" } else { "us" },
        "{policy:?}"
    );
    let left = !sides.us.journal().entries().is_empty();
    assert_eq!(left, policy.is_none(), "{policy:?}");
    sides.us.journal().clear();
    policy
}

#[tokio::test]
async fn what_is_known_of_a_key_brings_its_rule_in() {
    let sides = Sides::new().await;
    let gateway = start(&sides, RULES).await;
    for (key, expected) in [
        ("keyed", Some("by-key")),
        ("teamed", Some("by-team")),
        ("tagged", Some("by-tag")),
        ("classed", Some("by-class")),
        ("named", Some("by-name")),
        ("plain", None),
        ("bare", None),
        ("master", None),
    ] {
        let held = held(&gateway, &sides, key, "Hello", &[]).await;
        assert_eq!(held.as_deref(), expected, "{key}");
    }
}

#[tokio::test]
async fn what_a_caller_claims_brings_rules_in_and_none_out() {
    let sides = Sides::new().await;
    let gateway = start(&sides, RULES).await;
    for (key, name, value, expected) in [
        ("plain", "x-backstop-user-region", "de", Some("by-user")),
        ("plain", "x-backstop-user-region", "eea", Some("by-user")),
        ("plain", "x-backstop-user-region", "us", None),
        ("plain", "x-backstop-data-class", "pii", Some("by-class")),
        (
            "plain",
            "x-backstop-data-class",
            "Public, PII",
            Some("by-class"),
        ),
        ("plain", "x-backstop-data-class", "public", None),
        ("master", "x-backstop-data-class", "pii", Some("by-class")),
        // Of the team of a bare key nothing is known, so it may be finance's.
        (
            "bare",
            "x-backstop-data-class",
            "financial",
            Some("by-both"),
        ),
        ("plain", "x-backstop-data-class", "financial", None),
        ("keyed", "x-backstop-data-class", "public", Some("by-key")),
        (
            "classed",
            "x-backstop-data-class",
            "public",
            Some("by-class"),
        ),
        ("keyed", "x-backstop-user-region", "us", Some("by-key")),
        (
            "keyed",
            "x-backstop-user-region",
            "fr",
            Some("by-key, by-user"),
        ),
    ] {
        let held = held(&gateway, &sides, key, "Hello", &[(name, value)]).await;
        assert_eq!(held.as_deref(), expected, "{key} {name}: {value}");
    }
}

#[tokio::test]
async fn personal_data_in_a_prompt_brings_the_rule_for_it_in() {
    let sides = Sides::new().await;
    let gateway = start(&sides, RULES).await;
    for (text, expected) in [
        ("Write to ada@example.org.", Some("by-class")),
        ("My number is 123-45-6789.", Some("by-class")),
        ("Pay with 4111 1111 1111 1111, please.", Some("by-class")),
        ("Pay to DE89 3704 0044 0532 0130 00.", Some("by-class")),
        ("It was 4111 1111 1111 1112 years ago.", None),
        ("What does @ mean?", None),
    ] {
        for key in ["plain", "master"] {
            let held = held(&gateway, &sides, key, text, &[]).await;
            // Nothing is known of the master key's team either, and a card is financial.
            let held = held.map(|held| held.replace(", by-both", ""));
            assert_eq!(held.as_deref(), expected, "{key}: {text}");
        }
    }
    // Whatever the JSON looks like.
    let body = r#"{"model":"smart","messages":[{"role":"user","content":"ada\u0040example.org"}]}"#;
    let mut request = crate::support::post(body);
    let key = "Bearer sk-plain".parse().expect("a header");
    request.headers_mut().insert("authorization", key);
    let response = gateway.send(request).await;
    assert_eq!(response.header("x-backstop-deployment"), "eu");
    sides.nothing_left("an escaped address");
}

#[tokio::test]
async fn no_text_is_looked_at_where_no_rule_asks_for_classes() {
    let sides = Sides::new().await;
    let rules = "
keys: [{id: web, key: sk-web}]
residency: {rules: [{name: by-key, match: {key: [web]}, require: {processing: [eu]}}]}
general_settings: {master_key: sk-master}
";
    let gateway = start(&sides, rules).await;
    let held = held(&gateway, &sides, "master", "Write to ada@example.org.", &[]).await;
    assert_eq!(held, None);
}

/// The deployment that answered, and the rules that held.
async fn served(gateway: &Gateway, response: Response) -> (String, Option<String>) {
    let record = gateway.record(response.request_id()).await;
    let policy = record["policy"].as_str().map(str::to_owned);
    (response.header("x-backstop-deployment").to_owned(), policy)
}

#[tokio::test]
async fn unlabelled_is_whoever_nothing_is_known_of() {
    let sides = Sides::new().await;
    let keys = "
general_settings: {master_key: sk-master}
keys:
  - {id: web, key: sk-web, tags: []}
  - {id: bare, key: sk-bare}
";
    let rules = |unlabelled: &str| {
        format!(
            "
residency:
  unlabelled: {unlabelled}
  rules:
    - {{name: by-tag, match: {{tag: [eu]}}, require: {{processing: [eu]}}}}
    - {{name: strict, match: none, require: {{processing: [eu], storage: [eu]}}}}
"
        )
    };
    let gateway = start(&sides, &format!("{keys}{}", rules("strict"))).await;
    for (key, expected) in [
        ("web", None),
        ("bare", Some("strict")),
        ("master", Some("strict")),
    ] {
        let held = held(&gateway, &sides, key, "Hello", &[]).await;
        assert_eq!(held.as_deref(), expected, "{key}");
    }
    // A claim is no knowledge.
    let claim = [
        ("x-backstop-data-class", "public"),
        ("x-backstop-user-region", "us"),
    ];
    let held = held(&gateway, &sides, "bare", "Hello", &claim).await;
    assert_eq!(held.as_deref(), Some("strict"));

    // Where nobody needs a key, nothing is known of anybody.
    for (unlabelled, served_by, policy) in [("strict", "eu", Some("strict")), ("pass", "us", None)]
    {
        let gateway = start(&sides, &rules(unlabelled)).await;
        let response = gateway.send(ask("smart", false)).await;
        let policy = policy.map(str::to_owned);
        assert_eq!(
            served(&gateway, response).await,
            (served_by.to_owned(), policy)
        );
    }
}

#[tokio::test]
async fn rules_that_hold_together_are_all_satisfied_or_nobody_is_asked() {
    let sides = Sides::new().await;
    let rules = "
keys:
  - {id: web, key: sk-web, residency: eu-only}
  - {id: health, key: sk-health, residency: us-only, data_class: [phi]}
residency:
  rules:
    - {name: eu-only, match: none, require: {processing: [eu]}}
    - {name: us-only, match: none, require: {processing: [us]}}
    - {name: with-baa, match: {data_class: [phi]}, require: {compliance: [baa]}}
";
    let deployments = [
        outside("smart", "us", "openai/gpt-4o"),
        outside("smart", "us-baa", "openai/gpt-4.1")
            .info("compliance: [{name: BAA, until: 2999-12-31}]"),
        outside("smart", "us-expired", "openai/gpt-4.1")
            .info("compliance: [{name: baa, until: 2020-01-31}]"),
        inside("smart", "eu", "openai/gpt-4o"),
    ];
    let gateway = sides.setup(&config(&deployments, rules)).start().await;
    let ask = |key: &str, claims: &[(&'static str, &str)]| {
        let bearer = format!("Bearer {key}");
        let mut headers = claims.to_vec();
        headers.push(("authorization", &bearer));
        ask_with("smart", "Hello", &headers)
    };
    let response = gateway.send(ask("sk-health", &[])).await;
    let both = (
        String::from("us-baa"),
        Some(String::from("with-baa, us-only")),
    );
    assert_eq!(served(&gateway, response).await, both);
    sides.us.journal().clear();

    let phi = [("x-backstop-data-class", "phi")];
    let response = gateway.send(ask("sk-web", &phi)).await;
    let record = gateway.record(response.request_id()).await;
    crate::assert_no_compliant(&response, &record);
    assert_eq!(record["policy"], "with-baa, eu-only");
    assert_eq!(
        crate::kept_away(&record),
        [
            ("us", "rule `with-baa`: it has no valid mark `baa`"),
            (
                "us-baa",
                "rule `eu-only`: it processes in us-east-1, not within eu"
            ),
            ("us-expired", "rule `with-baa`: it has no valid mark `baa`"),
            ("eu", "rule `with-baa`: it has no valid mark `baa`"),
        ]
    );
    sides.nothing_left("both");
    assert!(sides.eu.journal().entries().is_empty());
}
