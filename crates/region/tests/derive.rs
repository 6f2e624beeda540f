//! What is derived from how a deployment is called, and which claims hold next to it.

mod support;

use backstop_region::{Date, Declaration, Derivation, Evidence, Mark, Regions, WiderClaim};

use support::{place, set};

#[test]
fn bedrock_by_prefix() {
    let eu = [
        "eu-central-1",
        "eu-central-2",
        "eu-north-1",
        "eu-south-1",
        "eu-south-2",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
    ];
    let apac = [
        "ap-east-2",
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-northeast-3",
        "ap-south-1",
        "ap-south-2",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-southeast-3",
        "ap-southeast-4",
        "ap-southeast-5",
        "ap-southeast-7",
        "me-central-1",
    ];
    let us = ["us-east-1", "us-east-2", "us-west-1", "us-west-2"];
    for (source, model, expected) in [
        ("us-east-1", "us.anthropic.claude-sonnet-4-6", &us[..]),
        ("eu-central-1", "eu.anthropic.claude-sonnet-4-6", &eu),
        ("ap-south-1", "apac.amazon.nova-pro-v1:0", &apac),
        (
            "ap-northeast-1",
            "jp.anthropic.claude-sonnet-4-5-20250929-v1:0",
            &["ap-northeast-1", "ap-northeast-3"],
        ),
        (
            "ap-southeast-2",
            "au.anthropic.claude-haiku-4-5-20251001-v1:0",
            &["ap-southeast-2", "ap-southeast-4"],
        ),
        (
            "ap-south-1",
            "in.anthropic.claude-sonnet-4-6",
            &["ap-south-1", "ap-south-2"],
        ),
        (
            "us-gov-west-1",
            "us-gov.anthropic.claude-3-5-sonnet-20240620-v1:0",
            &["us-gov-east-1", "us-gov-west-1"],
        ),
        (
            "eu-west-1",
            "global.anthropic.claude-opus-4-6-v1",
            &["global"],
        ),
        // Without a prefix it stays where it is called.
        ("eu-west-1", "anthropic.claude-sonnet-4-6", &["eu-west-1"]),
        ("us-east-1", "amazon.nova-pro-v1:0", &["us-east-1"]),
        (
            "eu-west-2",
            "meta.llama3-3-70b-instruct-v1:0",
            &["eu-west-2"],
        ),
        ("us-west-2", "zai.glm-4.6", &["us-west-2"]),
        // Guardrails have profiles of their own.
        ("us-east-1", "us.guardrail.v1:0", &us),
        // ARNs.
        (
            "eu-west-1",
            "arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-sonnet-4-6",
            &["eu-west-1"],
        ),
        (
            "us-east-1",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-6",
            &us,
        ),
        (
            "eu-west-1",
            "arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/abc",
            &["eu-west-1"],
        ),
    ] {
        let derived = Derivation::bedrock(source, model).expect("a known region");
        assert_eq!(derived.processing(), Some(set(expected)), "{model}");
        assert_eq!(derived.storage(), derived.processing(), "{model}");
    }
}

#[test]
fn london_and_zurich_belong_to_the_eu_profile_and_not_to_the_eu() {
    let derived =
        Derivation::bedrock("eu-central-1", "eu.anthropic.claude-sonnet-4-6").expect("known");
    let members = derived.processing().expect("known");
    assert!(set(&["eu-west-2", "eu-central-2"]).is_within(&members));
    assert!(!members.is_within(&set(&["eu"])));
    assert!(!members.is_within(&set(&["eea"])));
    assert!(members.is_within(&set(&["eu", "uk", "ch"])));
}

#[test]
fn the_region_that_is_called_sees_the_prompt_whatever_the_profile_says() {
    let derived =
        Derivation::bedrock("ca-central-1", "us.anthropic.claude-sonnet-4-6").expect("known");
    assert!(
        !derived
            .processing()
            .expect("known")
            .is_within(&set(&["us"]))
    );

    let resolved = Derivation::bedrock("eu-west-2", "eu.anthropic.claude-sonnet-4-6")
        .expect("known")
        .resolved(set(&["eu-west-1", "eu-central-1"]));
    let members = set(&["eu-west-1", "eu-central-1", "eu-west-2"]);
    assert_eq!(resolved.processing(), Some(members));
}

#[test]
fn what_hides_its_geography_is_unknown_unless_declared() {
    for model in [
        "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2c3",
        "arn:aws:bedrock:eu-west-1:123456789012:prompt/a1b2c3",
        "arn:aws:bedrock:eu-west-1:123456789012:imported-model/a1b2c3",
        "ca.amazon.nova-lite-v1:0",
        "eu.nobody.model-1",
        "nobody.model-1",
        "claude-sonnet-4-6",
        "",
    ] {
        let derived = || Derivation::bedrock("eu-west-1", model).expect("a known region");
        assert_eq!(
            (derived().processing(), derived().storage()),
            (None, None),
            "{model}"
        );
        assert!(
            Declaration::new(derived())
                .check()
                .expect("no claim")
                .is_unknown()
        );

        let declared = Declaration::new(derived())
            .processing(set(&["eu"]))
            .check()
            .expect("nothing contradicts it");
        assert_eq!(declared.processing(), Some(&set(&["eu"])));
        assert_eq!(declared.evidence(), Evidence::Contract);
        // The region that is called is known all the same.
        assert!(
            Declaration::new(derived())
                .processing(set(&["us"]))
                .check()
                .is_err(),
            "{model}"
        );
    }
}

#[test]
fn azure_by_sku() {
    for (sku, region, processing, storage) in [
        (
            "GlobalStandard",
            "swedencentral",
            Some("global"),
            Some("se"),
        ),
        ("GlobalProvisioned", "eastus2", Some("global"), Some("us")),
        (
            "GlobalProvisionedManaged",
            "eastus2",
            Some("global"),
            Some("us"),
        ),
        ("GlobalBatch", "francecentral", Some("global"), Some("fr")),
        ("DataZoneStandard", "swedencentral", Some("eu"), Some("se")),
        ("DataZoneProvisioned", "eastus", Some("us"), Some("us")),
        (
            "DataZoneProvisionedManaged",
            "germanywestcentral",
            Some("eu"),
            Some("de"),
        ),
        ("DataZoneBatch", "westus3", Some("us"), Some("us")),
        ("Standard", "germanywestcentral", Some("de"), Some("de")),
        ("Provisioned", "uksouth", Some("uk"), Some("uk")),
        (
            "ProvisionedManaged",
            "switzerlandnorth",
            Some("ch"),
            Some("ch"),
        ),
        ("datazonestandard", "Sweden Central", Some("eu"), Some("se")),
        // No data zone there, or no SKU that we know.
        ("DataZoneStandard", "uksouth", None, None),
        ("DataZoneStandard", "norwayeast", None, None),
        ("DeveloperTier", "eastus", None, None),
        ("", "eastus", None, None),
    ] {
        let derived = Derivation::azure(sku, region).expect("a known region");
        let expected = |name: Option<&str>| name.map(|name| set(&[name]));
        assert_eq!(
            derived.processing(),
            expected(processing),
            "{sku} in {region}"
        );
        assert_eq!(derived.storage(), expected(storage), "{sku} in {region}");
    }
    // One geography, two countries.
    let derived = Derivation::azure("Standard", "westeurope").expect("known");
    assert_eq!(derived.processing(), Some(set(&["nl", "ie"])));
}

#[test]
fn vertex_by_location() {
    for (location, expected) in [
        ("europe-west3", Some("europe-west3")),
        ("europe-west2", Some("europe-west2")),
        ("us-central1", Some("us-central1")),
        ("eu", Some("eu")),
        ("us", Some("us")),
        ("global", Some("global")),
        // Google promises nothing about these.
        ("me-central1", None),
        ("me-west1", None),
        ("africa-south1", None),
    ] {
        let derived = Derivation::vertex(location).expect("known");
        assert_eq!(
            derived.processing(),
            expected.map(|name| set(&[name])),
            "{location}"
        );
    }
}

#[test]
fn openai_by_host() {
    let (us, eu) = (set(&["us"]), set(&["eea", "ch"]));
    for (host, processing, storage) in [
        ("us.api.openai.com", Some(us), Some(us)),
        ("EU.api.openai.com", Some(eu), Some(eu)),
        ("ae.api.openai.com", None, Some(set(&["ae"]))),
        ("au.api.openai.com", None, Some(set(&["au"]))),
        ("in.api.openai.com", None, Some(set(&["in"]))),
        ("jp.api.openai.com", None, Some(set(&["jp"]))),
        ("api.openai.com", None, None),
        ("xx.api.openai.com", None, None),
        ("eu.api.openai.com.example.org", None, None),
        ("example.org", None, None),
    ] {
        let derived = Derivation::openai(host);
        assert_eq!(
            (derived.processing(), derived.storage()),
            (processing, storage),
            "{host}"
        );
    }
}

#[test]
fn anthropic_by_inference_geo() {
    for (geo, expected) in [
        (Some("us"), "us"),
        (Some("global"), "global"),
        (None, "global"),
        // There is no such choice; the provider would refuse it.
        (Some("eu"), "global"),
    ] {
        let derived = Derivation::anthropic(geo);
        assert_eq!(derived.processing(), Some(set(&[expected])), "{geo:?}");
        assert_eq!(derived.storage(), None, "{geo:?}");
    }
}

#[test]
fn the_others() {
    assert_eq!(Derivation::gemini().processing(), Some(Regions::global()));
    assert_eq!(Derivation::unknown().processing(), None);
    assert_eq!(Derivation::self_hosted("llama3.3:70b").processing(), None);
    for cloud in [
        "gpt-oss:120b-cloud",
        "qwen3-coder:480b-cloud",
        "glm-4.6:cloud",
    ] {
        assert_eq!(
            Derivation::self_hosted(cloud).processing(),
            Some(Regions::global()),
            "{cloud}"
        );
    }
}

#[test]
fn two_services_that_see_the_same_prompt() {
    let model = Derivation::bedrock("eu-west-1", "anthropic.claude-sonnet-4-6").expect("known");
    let guardrail = Derivation::bedrock("us-east-1", "us.guardrail.v1:0").expect("known");
    let both = model.clone().with(&guardrail);
    assert!(!both.processing().expect("known").is_within(&set(&["eu"])));
    assert_eq!(model.with(&Derivation::unknown()).processing(), None);
}

#[test]
fn an_unknown_region_is_an_error_with_the_nearest_one_of_that_cloud() {
    let message = |derived: Result<Derivation, _>| match derived {
        Err(error) => format!("{error}"),
        Ok(derived) => panic!("{derived:?}"),
    };
    assert_eq!(
        message(Derivation::bedrock(
            "eu-wset-1",
            "anthropic.claude-sonnet-4-6"
        )),
        "unknown region `eu-wset-1`: did you mean `eu-west-1`?"
    );
    // Another cloud's region is none of this one's.
    for wrong in [
        message(Derivation::bedrock(
            "swedencentral",
            "anthropic.claude-sonnet-4-6",
        )),
        message(Derivation::azure("Standard", "eu-west-1")),
        message(Derivation::vertex("eu-west-1")),
        message(Derivation::bedrock("", "anthropic.claude-sonnet-4-6")),
    ] {
        assert!(wrong.starts_with("unknown region"), "{wrong}");
    }
}

fn claim(derived: Derivation, names: &[&str]) -> Result<Option<Regions>, WiderClaim> {
    let place = Declaration::new(derived).processing(set(names)).check()?;
    Ok(place.processing().copied())
}

#[test]
fn a_claim_that_promises_more_than_is_derived_is_refused_with_the_reason() {
    let bedrock = |source, model| Derivation::bedrock(source, model).expect("known");
    let azure = |sku, region| Derivation::azure(sku, region).expect("known");
    for (derived, names, reason) in [
        (
            bedrock("eu-central-1", "eu.anthropic.claude-sonnet-4-6"),
            &["eu"][..],
            "claims processing in eu, but the inference profile `eu.` may also use eu-central-2, eu-west-2",
        ),
        (
            bedrock("us-east-1", "anthropic.claude-sonnet-4-6"),
            &["eu"],
            "claims processing in eu, but the source region may also use us-east-1",
        ),
        (
            bedrock("us-east-1", "us.anthropic.claude-sonnet-4-6"),
            &["us-east-1"],
            "claims processing in us-east-1, but the inference profile `us.` may also use us-east-2, us-west-1, us-west-2",
        ),
        (
            bedrock("eu-west-1", "global.anthropic.claude-sonnet-4-6"),
            &["eu"],
            "claims processing in eu, but the inference profile `global.` may use any region",
        ),
        (
            azure("GlobalStandard", "swedencentral"),
            &["eu"],
            "claims processing in eu, but the SKU `GlobalStandard` may use any region",
        ),
        (
            Derivation::openai("eu.api.openai.com"),
            &["eu"],
            "claims processing in eu, but the host `eu.api.openai.com` may also use ch, is, li, no",
        ),
        (
            Derivation::anthropic(None),
            &["us"],
            "claims processing in us, but Anthropic's API without `inference_geo: us` may use any region",
        ),
        (
            Derivation::self_hosted("gpt-oss:120b-cloud"),
            &["de"],
            "claims processing in de, but a `-cloud` model may use any region",
        ),
    ] {
        assert_eq!(
            claim(derived, names).expect_err("too wide").to_string(),
            reason
        );
    }
    let storage =
        Declaration::new(azure("DataZoneStandard", "swedencentral")).storage(set(&["de"]));
    assert_eq!(
        storage.check().expect_err("too wide").to_string(),
        "claims storage in de, but the SKU `DataZoneStandard` may also use se"
    );
}

#[test]
fn a_claim_that_holds_is_the_place() {
    let bedrock =
        Derivation::bedrock("eu-central-1", "anthropic.claude-sonnet-4-6").expect("known");
    assert_eq!(claim(bedrock.clone(), &["de"]), Ok(Some(set(&["de"]))));
    // Less is promised than is derived: the operator may know why.
    assert_eq!(
        claim(bedrock.clone(), &["eu", "us"]),
        Ok(Some(set(&["eu", "us"])))
    );
    let derived = Declaration::new(bedrock).check().expect("no claim");
    assert_eq!(
        (derived.processing(), derived.evidence()),
        (Some(&set(&["eu-central-1"])), Evidence::Endpoint)
    );
    // The members of a profile, as its provider names them.
    let resolved = Derivation::bedrock("eu-central-1", "eu.anthropic.claude-sonnet-4-6")
        .expect("known")
        .resolved(set(&["eu-central-1", "eu-west-1"]));
    assert_eq!(claim(resolved.clone(), &["eu"]), Ok(Some(set(&["eu"]))));
    assert_eq!(
        Declaration::new(resolved)
            .check()
            .expect("no claim")
            .evidence(),
        Evidence::Profile
    );
}

#[test]
fn marks_count_to_their_last_day_and_are_announced_30_days_before() {
    let day = |text: &str| text.parse::<Date>().expect("a day");
    let end = day("2027-03-31");
    let place = Declaration::new(Derivation::unknown())
        .mark(Mark::new("BAA").until(end))
        .mark(Mark::new("zdr"))
        .check()
        .expect("no claim");
    assert!(place.has_mark("baa", end) && !place.has_mark("baa", day("2027-04-01")));
    assert!(place.has_mark("zdr", day("2099-01-01")));
    assert!(!place.has_mark("dpa", end));

    let warnings = |today: &str| -> Vec<String> {
        place
            .expiring(day(today))
            .map(|expiring| expiring.to_string())
            .collect()
    };
    assert!(warnings("2027-02-28").is_empty());
    assert_eq!(
        warnings("2027-03-01"),
        ["`baa` ends on 2027-03-31, in 30 days"]
    );
    assert_eq!(warnings("2027-03-31"), ["`baa` ends today"]);
    assert_eq!(
        warnings("2027-04-01"),
        ["`baa` ended on 2027-03-31 and does not count any more"]
    );
}

#[test]
fn a_place_is_unknown_only_if_nothing_is_said() {
    assert!(place(&[], &[], &[]).is_unknown());
    for known in [
        place(&["eu"], &[], &[]),
        place(&[], &["eu"], &[]),
        place(&[], &[], &["zdr"]),
    ] {
        assert!(!known.is_unknown());
    }
}
