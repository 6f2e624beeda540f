//! The rules of the house: which crate may depend on which, and how a crate is laid out.
//!
//! Each rule is one test. Crates go by their folder's name; a rule may name one that is yet to
//! come, and holds for it from its first day.

use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand, Package};
use std::fs;
use std::sync::LazyLock;

/// One idea each, usable alone.
const LAYERS: [&str; 12] = [
    "audit", "budget", "cache", "collect", "cooldown", "fallback", "fit", "prime", "region",
    "resume", "retry", "timeout",
];

const PROVIDERS: [&str; 4] = ["anthropic", "bedrock", "gemini", "openai"];

/// What layers and providers are made of or stand behind.
const BASE: [&str; 5] = ["catalog", "chat", "client", "core", "edge"];

/// Put together from the others.
const ASSEMBLIES: [&str; 5] = ["backstop", "config", "gateway", "sim", "store"];

#[test]
fn every_crate_has_its_place_in_these_rules() {
    let places = [&LAYERS[..], &PROVIDERS, &BASE, &ASSEMBLIES].concat();
    for (folder, _) in crates() {
        assert!(
            places.contains(&folder),
            "crates/{folder} is in no group of this file: add it to one, so that its rules hold"
        );
    }
}

#[test]
fn core_depends_on_nothing_of_ours() {
    assert_depends_only_on("core", &[]);
}

#[test]
fn the_client_depends_on_core_alone() {
    // For the failure that its errors carry.
    assert_depends_only_on("client", &["core"]);
}

#[test]
fn chat_and_the_catalog_depend_on_core_alone() {
    assert_depends_only_on("chat", &["core"]);
    assert_depends_only_on("catalog", &["core"]);
}

#[test]
fn the_edge_depends_on_chat_and_core_alone() {
    assert_depends_only_on("edge", &["chat", "core"]);
}

#[test]
fn providers_depend_on_chat_and_core_alone() {
    for provider in PROVIDERS {
        assert_depends_only_on(provider, &["chat", "core"]);
    }
}

#[test]
fn the_store_depends_on_what_has_the_traits_that_it_implements() {
    assert_depends_only_on("store", &["budget", "core"]);
}

#[test]
fn the_simulator_depends_on_nothing_of_ours() {
    // It is checked by the vendors' SDKs, so it shares no misreading with the dialects.
    assert_depends_only_on("sim", &[]);
}

#[test]
fn layers_depend_on_no_other_layer() {
    for layer in LAYERS {
        match layer {
            // Model facts: windows and capabilities.
            "fit" => assert_depends_only_on(layer, &["catalog", "core"]),
            // Collecting an answer, or continuing one, means reading it.
            "collect" | "resume" => assert_depends_only_on(layer, &["chat", "core"]),
            _ => assert_depends_only_on(layer, &["core"]),
        }
    }
}

#[test]
fn nothing_depends_on_the_gateway() {
    for (folder, package) in crates() {
        assert!(
            package
                .dependencies
                .iter()
                .all(|it| it.name != "backstop-gateway"),
            "crates/{folder} depends on the gateway: it is the top of the house, and a binary"
        );
    }
}

#[test]
fn core_knows_no_format_no_stack_and_no_io() {
    let core = find("core").expect("crates/core holds the vocabulary of all others");
    for dependency in normal(core) {
        let name = dependency.name.as_str();
        assert!(
            ![
                "serde",
                "serde_core",
                "serde_json",
                "tower",
                "hyper",
                "hyper-util"
            ]
            .contains(&name),
            "core depends on {name}: it holds words and no machinery"
        );
        for feature in &dependency.features {
            assert!(
                name != "tokio" || ["rt", "sync", "time"].contains(&feature.as_str()),
                "core uses tokio's `{feature}`: it takes only the clock, and does no I/O"
            );
        }
    }
}

#[test]
fn layers_choose_no_metrics_format_or_http_library() {
    for (folder, package) in crates().filter(|(folder, _)| LAYERS.contains(folder)) {
        for dependency in normal(package) {
            let name = dependency.name.as_str();
            // Records are written, and the documents of answers read and put together.
            let has_a_format = ["audit", "collect"].contains(&folder) && name == "serde";
            assert!(
                has_a_format || !["hyper", "metrics", "prometheus", "serde"].contains(&name),
                "backstop-{folder} depends on {name}: a layer works over any service, and is \
                 watched through its `Observe` hook"
            );
        }
    }
}

#[test]
fn packages_are_named_after_their_folder() {
    for (folder, package) in crates() {
        let expected = match folder {
            "backstop" => "backstop".to_owned(),
            _ => format!("backstop-{folder}"),
        };
        assert_eq!(package.name, expected, "the package in crates/{folder}");
    }
}

#[test]
fn crates_inherit_what_the_workspace_decides() {
    for (folder, package) in crates() {
        let manifest = fs::read_to_string(&package.manifest_path).expect("cargo has read it");
        for key in ["version", "edition", "rust-version", "license"] {
            let line = format!("{key}.workspace = true");
            assert!(
                manifest.lines().any(|it| it == line),
                "crates/{folder}/Cargo.toml lacks `{line}`: decided once, in the root"
            );
        }
        assert!(
            manifest.contains("[lints]\nworkspace = true\n"),
            "crates/{folder}/Cargo.toml does not take the workspace's lints"
        );
    }
}

#[test]
fn every_crate_has_a_readme() {
    for (folder, package) in crates() {
        let path = package.manifest_path.with_file_name("README.md");
        let readme = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("crates/{folder}/README.md: {error}"));
        assert_eq!(
            readme.lines().next(),
            Some(format!("# {}", package.name).as_str()),
            "the first line of crates/{folder}/README.md names the package"
        );
    }
}

/// Every package below `crates`, with its folder's name.
fn crates() -> impl Iterator<Item = (&'static str, &'static Package)> {
    static WORKSPACE: LazyLock<Metadata> = LazyLock::new(|| {
        MetadataCommand::new()
            .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
            .no_deps()
            .exec()
            .expect("cargo reads the manifests that it has just built from")
    });
    WORKSPACE.packages.iter().filter_map(|package| {
        let folder = package.manifest_path.parent()?;
        (folder.parent()?.file_name()? == "crates").then_some((folder.file_name()?, package))
    })
}

fn find(folder: &str) -> Option<&'static Package> {
    crates().find_map(|(name, package)| (name == folder).then_some(package))
}

/// What a user of the package compiles; tests and benches may depend on more.
fn normal(package: &Package) -> impl Iterator<Item = &Dependency> {
    package
        .dependencies
        .iter()
        .filter(|it| it.kind != DependencyKind::Development)
}

fn assert_depends_only_on(folder: &str, allowed: &[&str]) {
    let ours = find(folder).into_iter().flat_map(normal);
    for dependency in ours.filter(|it| it.path.is_some()) {
        let name = dependency.name.trim_start_matches("backstop-");
        assert!(
            allowed.contains(&name),
            "backstop-{folder} depends on {}: of this workspace it may use {allowed:?} only",
            dependency.name
        );
    }
}
