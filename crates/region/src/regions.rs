//! The vocabulary: cloud regions, the countries they lie in, and the jurisdictions that those make up.

mod jurisdictions;
mod nearest;
mod table;
mod unknown;

use std::fmt;
use std::str::FromStr;

use self::jurisdictions::{COUNTRY_OF, EU_SET, GLOBAL, JURISDICTIONS};
pub(crate) use self::nearest::nearest;
use self::table::{CLOUDS, COUNTRIES};
pub use self::unknown::UnknownRegion;

/// Whose region it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cloud {
    Aws,
    Azure,
    Gcp,
}

/// A set of places: cloud regions, countries, jurisdictions.
///
/// A name is one of
///
/// - a cloud region: AWS `eu-central-1`, Azure `germanywestcentral`, Google Cloud `europe-west3`;
/// - a country by its ISO code, such as `de`; `uk` is `gb`;
/// - a jurisdiction: `eu`, `eea` (the EU with `is`, `li`, `no`), `us`, `uk`, `ch`, `us-gov` (the regions that AWS and
///   Azure keep for the government), `global` (anywhere).
///
/// A region is within its country and a country within its jurisdictions, never the other way round: a rule that
/// names `eu-central-1` does not allow everything in `de`. Names of areas without a law of their own (`apac`, `latam`)
/// are not known. Case does not matter, nor do the blanks in which Azure writes `Sweden Central`.
///
/// It is plain bits: copying and comparing sets costs no allocation.
///
/// ```
/// use backstop_region::Regions;
///
/// let eu: Regions = "eu".parse()?;
/// let eu_profile = Regions::of(["eu-central-1", "eu-west-1", "eu-west-2"])?;
/// assert!(!eu_profile.is_within(&eu), "eu-west-2 is London");
/// assert!(Regions::of(["eu-central-1", "fr"])?.is_within(&eu));
///
/// let error = Regions::of(["eu-cental-1"]).unwrap_err();
/// assert_eq!(error.to_string(), "unknown region `eu-cental-1`: did you mean `eu-central-1`?");
/// # Ok::<(), backstop_region::UnknownRegion>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Regions {
    countries: [u64; 4],
    /// Regions that are named themselves.
    clouds: [u64; 3],
}

impl Regions {
    pub(crate) const fn none() -> Self {
        Self {
            countries: [0; 4],
            clouds: [0; 3],
        }
    }

    /// Anywhere.
    #[must_use]
    pub const fn global() -> Self {
        GLOBAL
    }

    /// All of these together.
    ///
    /// # Errors
    ///
    /// [`UnknownRegion`] for a name that is not known.
    pub fn of<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Result<Self, UnknownRegion> {
        let mut all = Self::none();
        for name in names {
            all = all.or(&name.as_ref().parse()?);
        }
        Ok(all)
    }

    /// The one region of `cloud` with this name.
    pub(crate) fn of_cloud(cloud: Cloud, name: &str) -> Result<Self, UnknownRegion> {
        let wanted = normal(name);
        let known = || CLOUDS.iter().filter(|known| known.1 == cloud);
        match CLOUDS
            .iter()
            .position(|known| known.1 == cloud && known.0 == wanted)
        {
            Some(index) => Ok(Self::of_index(index)),
            None => Err(UnknownRegion::new(name, known().map(|known| known.0))),
        }
    }

    /// The countries that it lies in, as a whole each.
    pub(crate) fn in_full_countries(&self) -> Self {
        let mut full = *self;
        for index in self.cloud_indices() {
            full.add_country(COUNTRY_OF[index] as usize);
        }
        full.clouds = [0; 3];
        full
    }

    const fn of_index(index: usize) -> Self {
        let mut one = Self::none();
        one.clouds[index / 64] |= 1 << (index % 64);
        one
    }

    fn add_country(&mut self, index: usize) {
        self.countries[index / 64] |= 1 << (index % 64);
    }

    /// These and those.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let mut all = *self;
        for (bits, more) in all.countries.iter_mut().zip(other.countries) {
            *bits |= more;
        }
        for (bits, more) in all.clouds.iter_mut().zip(other.clouds) {
            *bits |= more;
        }
        all
    }

    /// Whether there is no place in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::none()
    }

    /// Whether every place in it lies in `allowed`. A set without a place is within none.
    #[must_use]
    pub fn is_within(&self, allowed: &Self) -> bool {
        let countries = self.countries.iter().zip(allowed.countries);
        !self.is_empty()
            && countries.fold(0, |rest, (bits, allowed)| rest | (bits & !allowed)) == 0
            && self.cloud_indices().all(|index| allowed.has_cloud(index))
    }

    /// Whether some place lies in both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let mut countries = self.countries.iter().zip(other.countries);
        countries.any(|(bits, others)| bits & others != 0)
            || self.cloud_indices().any(|index| other.has_cloud(index))
            || other.cloud_indices().any(|index| self.has_cloud(index))
    }

    /// What of it lies outside of `other`.
    #[must_use]
    pub(crate) fn outside(&self, other: &Self) -> Self {
        let mut rest = *self;
        for (bits, others) in rest.countries.iter_mut().zip(other.countries) {
            *bits &= !others;
        }
        for index in self.cloud_indices().filter(|&index| other.has_cloud(index)) {
            rest.clouds[index / 64] &= !(1 << (index % 64));
        }
        rest
    }

    fn has_cloud(&self, index: usize) -> bool {
        let country = COUNTRY_OF[index] as usize;
        self.clouds[index / 64] >> (index % 64) & 1 == 1 || self.has_country(country)
    }

    fn has_country(&self, index: usize) -> bool {
        self.countries[index / 64] >> (index % 64) & 1 == 1
    }

    fn cloud_indices(&self) -> impl Iterator<Item = usize> {
        ones(self.clouds)
    }

    /// The same in a word or two, for a header or a column: the region if it is a single one, else the jurisdictions
    /// and countries that it touches.
    #[must_use]
    pub fn summary(&self) -> String {
        let no_countries = self.countries == [0; 4];
        if no_countries && self.cloud_indices().count() == 1 {
            return self.to_string();
        }
        let touched = self.in_full_countries();
        if touched.overlaps(&EU_SET) {
            touched.or(&EU_SET).to_string()
        } else {
            touched.to_string()
        }
    }

    /// Every name that is known, for help texts.
    pub fn names() -> impl Iterator<Item = &'static str> {
        JURISDICTIONS
            .iter()
            .map(|known| known.0)
            .chain(COUNTRIES)
            .chain(CLOUDS.iter().map(|known| known.0))
    }
}

/// Where the bits stand that are set.
fn ones<const N: usize>(words: [u64; N]) -> impl Iterator<Item = usize> {
    words.into_iter().enumerate().flat_map(|(at, mut word)| {
        std::iter::from_fn(move || {
            let bit = word.trailing_zeros() as usize;
            (word != 0).then(|| {
                word &= word - 1;
                at * 64 + bit
            })
        })
    })
}

/// As the tables write it: Azure's answers say `Sweden Central`.
fn normal(name: &str) -> String {
    let mut name: String = name.split_whitespace().collect();
    name.make_ascii_lowercase();
    name
}

impl FromStr for Regions {
    type Err = UnknownRegion;

    fn from_str(name: &str) -> Result<Self, UnknownRegion> {
        let wanted = normal(name);
        if let Some(known) = JURISDICTIONS.iter().find(|known| known.0 == wanted) {
            return Ok(known.1);
        }
        if let Ok(index) = COUNTRIES.binary_search(&&*wanted) {
            let mut one = Self::none();
            one.add_country(index);
            return Ok(one);
        }
        match CLOUDS.iter().position(|known| known.0 == wanted) {
            Some(index) => Ok(Self::of_index(index)),
            None => Err(UnknownRegion::new(name, Self::names())),
        }
    }
}

impl fmt::Display for Regions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nowhere");
        }
        let mut first = true;
        let mut write = |name: &str| {
            let comma = if std::mem::take(&mut first) { "" } else { ", " };
            write!(f, "{comma}{name}")
        };
        let mut rest = *self;
        for (name, known) in &JURISDICTIONS {
            let countries = known.countries.iter().zip(rest.countries);
            if known.clouds == [0; 3] && countries.clone().all(|(known, rest)| known & !rest == 0) {
                write(name)?;
                for (bits, known) in rest.countries.iter_mut().zip(known.countries) {
                    *bits &= !known;
                }
            }
        }
        for index in ones(rest.countries) {
            write(COUNTRIES[index])?;
        }
        for index in self.cloud_indices() {
            if !self.has_country(COUNTRY_OF[index] as usize) {
                write(CLOUDS[index].0)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Regions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regions({self})")
    }
}

#[cfg(test)]
mod tests;
