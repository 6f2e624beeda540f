//! The sets that names stand for, worked out by the compiler.

use super::Regions;
use super::table::{CLOUDS, COUNTRIES, EEA_ONLY, EU, US_GOV};

/// The country of each cloud region, as its place in [`COUNTRIES`].
pub(super) const COUNTRY_OF: [u8; CLOUDS.len()] = {
    let mut of = [0; CLOUDS.len()];
    let mut index = 0;
    while index < of.len() {
        of[index] = country(CLOUDS[index].2);
        index += 1;
    }
    of
};

/// All countries, and all regions without need to be named.
pub(super) const GLOBAL: Regions = {
    let mut all = Regions::none();
    let mut index = 0;
    while index < COUNTRIES.len() {
        all.countries[index / 64] |= 1 << (index % 64);
        index += 1;
    }
    all
};

pub(super) const EU_SET: Regions = of_countries(&EU, Regions::none());
const EEA_SET: Regions = of_countries(&EEA_ONLY, EU_SET);

const fn of_countries(codes: &[&str], mut set: Regions) -> Regions {
    let mut index = 0;
    while index < codes.len() {
        let country = country(codes[index]) as usize;
        set.countries[country / 64] |= 1 << (country % 64);
        index += 1;
    }
    set
}

/// The place of a code that is in the list. A typing mistake in the tables does not compile.
const fn country(code: &str) -> u8 {
    let code = code.as_bytes();
    let mut index = 0;
    while index < COUNTRIES.len() {
        let known = COUNTRIES[index].as_bytes();
        if known[0] == code[0] && known[1] == code[1] {
            return index as u8;
        }
        index += 1;
    }
    panic!("not an ISO 3166-1 code")
}

/// The set of places by the names of [`COUNTRIES`] and [`CLOUDS`] apart.
pub(super) const JURISDICTIONS: [(&str, Regions); 5] = [
    ("global", GLOBAL),
    ("eea", EEA_SET),
    ("eu", EU_SET),
    ("uk", of_countries(&["gb"], Regions::none())),
    ("us-gov", {
        let mut gov = Regions::none();
        let mut index = 0;
        while index < CLOUDS.len() {
            let mut named = 0;
            while named < US_GOV.len() {
                if same(CLOUDS[index].0, US_GOV[named]) {
                    gov.clouds[index / 64] |= 1 << (index % 64);
                }
                named += 1;
            }
            index += 1;
        }
        gov
    }),
];

const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut index = 0;
    while index < left.len() && index < right.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    left.len() == right.len()
}
