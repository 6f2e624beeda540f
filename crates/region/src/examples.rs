//! Rules to begin with. Each is ordinary code around [`Rule`]: copy one, and change what does not fit.
//!
//! In a configuration file they are
//!
//! ```yaml
//! residency:
//!   rules:
//!     - {name: eu-only, require: {processing: [eu], storage: [eu]}}
//!     - {name: eu-pii, match: {user_region: [eea], data_class: [pii]}, require: {processing: [eu], storage: [eu], compliance: [dpa, no_training]}}
//!     - {name: us-health, match: {data_class: [phi], user_region: [us]}, require: {processing: [us], compliance: [baa, zdr]}}
//!     - {name: zero-retention, match: {tag: [zero-retention]}, require: {compliance: [zdr]}}
//! ```
//!
//! ```
//! use backstop_region::{Labels, Policies, examples};
//!
//! let policies = Policies::new([examples::eu_pii(), examples::us_health(), examples::zero_retention()])?;
//! let held = policies.decide("gpt-4o", &Labels::new().tags(["zero-retention"]).claim_class("pii"))?;
//! assert_eq!(held.unwrap().names(), "eu-pii, zero-retention");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::{Match, Regions, Require, Rule};

/// Every request: processed and stored in the EU.
pub fn eu_only() -> Rule {
    Rule::new("eu-only").require(in_eu())
}

/// Personal data of users in the EEA: processed and stored in the EU, under a data processing agreement, and not used
/// for training.
pub fn eu_pii() -> Rule {
    Rule::new("eu-pii")
        .matching(Match::new().user_region(known("eea")).data_class(["pii"]))
        .require(in_eu().marks(["dpa", "no_training"]))
}

/// Health data of users in the US: processed there, under a business associate agreement and with zero retention.
pub fn us_health() -> Rule {
    Rule::new("us-health")
        .matching(Match::new().data_class(["phi"]).user_region(known("us")))
        .require(Require::new().processing(known("us")).marks(["baa", "zdr"]))
}

/// Requests with the tag `zero-retention`: only where nothing is kept.
pub fn zero_retention() -> Rule {
    Rule::new("zero-retention")
        .matching(Match::new().tag(["zero-retention"]))
        .require(Require::new().marks(["zdr"]))
}

fn in_eu() -> Require {
    Require::new().processing(known("eu")).storage(known("eu"))
}

fn known(name: &str) -> Regions {
    name.parse().expect("a name of the table")
}
