use super::table::US_GOV;
use super::*;

fn set(names: &[&str]) -> Regions {
    Regions::of(names).expect("known names")
}

#[test]
fn the_tables_are_sorted_and_unambiguous() {
    assert!(COUNTRIES.is_sorted());
    let mut names: Vec<_> = Regions::names().collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "no name means two places");
}

#[test]
fn every_name_is_known_and_written_as_it_is_read() {
    for name in Regions::names() {
        let one: Regions = name.parse().expect("known");
        let written = one.to_string();
        match name {
            "us-gov" => assert_eq!(one.cloud_indices().count(), US_GOV.len()),
            "gb" => assert_eq!(written, "uk"),
            name => assert_eq!(written, name),
        }
        assert!(one.is_within(&Regions::global()), "{name}");
    }
}

#[test]
fn a_region_is_within_its_country_and_a_country_within_its_jurisdictions() {
    for (narrow, wide) in [
        ("eu-central-1", "de"),
        ("germanywestcentral", "eu"),
        ("europe-west3", "eea"),
        ("de", "eu"),
        ("eu", "eea"),
        ("no", "eea"),
        ("norwayeast", "eea"),
        ("us-gov-east-1", "us"),
        ("usgovvirginia", "us-gov"),
        ("eu-west-2", "uk"),
        ("gb", "uk"),
        ("switzerlandnorth", "ch"),
        ("eea", "global"),
    ] {
        assert!(set(&[narrow]).is_within(&set(&[wide])), "{narrow} ⊆ {wide}");
        assert!(set(&[narrow]).overlaps(&set(&[wide])), "{narrow} ∩ {wide}");
        if (narrow, wide) != ("gb", "uk") {
            assert!(
                !set(&[wide]).is_within(&set(&[narrow])),
                "{wide} ⊄ {narrow}"
            );
        }
    }
}

#[test]
fn what_only_sounds_european_is_not_in_the_eu() {
    for name in [
        "eu-west-2",
        "eu-central-2",
        "uksouth",
        "ukwest",
        "europe-west2",
        "europe-west6",
        "norwayeast",
        "switzerlandnorth",
        "uk",
        "ch",
        "no",
        "is",
        "li",
    ] {
        assert!(!set(&[name]).is_within(&set(&["eu"])), "{name}");
        assert!(
            !set(&["eu-west-1", name]).is_within(&set(&["eu"])),
            "{name} spoils the set"
        );
    }
}

#[test]
fn no_place_is_within_nothing() {
    let nowhere = Regions::default();
    assert!(!nowhere.is_within(&Regions::global()));
    assert!(!nowhere.overlaps(&Regions::global()));
    assert_eq!(nowhere.to_string(), "nowhere");
}

#[test]
fn names_are_read_as_clouds_write_them() {
    assert_eq!(set(&["Sweden Central"]), set(&["swedencentral"]));
    assert_eq!(set(&["EU"]), set(&["eu"]));
}

#[test]
fn an_unknown_name_is_an_error_with_the_nearest_known_one() {
    for (name, nearest) in [
        ("eu-wset-1", Some("eu-west-1")),
        ("germanywestcentrl", Some("germanywestcentral")),
        ("europe-west03", Some("europe-west3")),
        ("gloabl", Some("global")),
        ("apac", None),
        ("xx", None),
        ("", None),
    ] {
        let error = name.parse::<Regions>().expect_err(name);
        assert_eq!(error.nearest(), nearest, "{name}");
        assert_eq!(error.name(), name);
    }
}

#[test]
fn a_set_is_summed_up_for_people() {
    for (names, text, summary) in [
        (&["eu-west-1"][..], "eu-west-1", "eu-west-1"),
        (&["de", "eu-central-1"], "de", "eu"),
        (
            &["eu-west-1", "eu-west-2"],
            "eu-west-1, eu-west-2",
            "eu, uk",
        ),
        (&["us-east-1", "us-west-2"], "us-east-1, us-west-2", "us"),
        (&["eu", "ch"], "eu, ch", "eu, ch"),
        (&["global", "us-east-1"], "global", "global"),
    ] {
        assert_eq!(set(names).to_string(), text);
        assert_eq!(set(names).summary(), summary);
    }
}
