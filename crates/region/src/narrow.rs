//! What callers say in headers. It can only narrow.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use crate::error::Unreadable;
use crate::{Labels, Policies, Regions, Require, Residency, Rule};

/// Narrows where a request is processed: names of [`Regions`], any of which will do, or of rules, all of which hold;
/// with commas between them. A name of both means both. Sent twice, it has to say the same.
pub const RESIDENCY: HeaderName = HeaderName::from_static("x-backstop-residency");

/// Claims classes of data, with commas between them.
pub const DATA_CLASS: HeaderName = HeaderName::from_static("x-backstop-data-class");

/// Claims where the user is.
pub const USER_REGION: HeaderName = HeaderName::from_static("x-backstop-user-region");

/// No name of ours is longer, and what is longer is nothing to repeat in a record.
const LONGEST: usize = 64;

/// The labels with what the headers claim.
pub(crate) fn claims(headers: &HeaderMap, mut labels: Labels) -> Result<Labels, Unreadable> {
    for name in names(headers, &DATA_CLASS) {
        labels = labels.claim_class(name?);
    }
    for name in names(headers, &USER_REGION) {
        let region = name?
            .parse()
            .map_err(|error| Unreadable::new(USER_REGION.as_str(), error))?;
        labels = labels.claim_user_region(region);
    }
    Ok(labels)
}

/// Whether there is anything to claim.
pub(crate) fn has_claims(headers: &HeaderMap) -> bool {
    headers.contains_key(DATA_CLASS) || headers.contains_key(USER_REGION)
}

/// What the caller restricts the request to.
pub(crate) fn residency(
    headers: &HeaderMap,
    policies: &Policies,
) -> Result<Option<Residency>, Unreadable> {
    let mut said: Option<Residency> = None;
    for value in headers.get_all(RESIDENCY) {
        let mut rules = Vec::new();
        let mut regions = Regions::none();
        for name in split(value, &RESIDENCY) {
            let name = name?;
            let rule = policies.find(name).ok();
            match name.parse::<Regions>() {
                // Whoever says `eu` may mean the place, whatever a rule of that name asks for: both hold.
                Ok(region) => regions = regions.or(&region),
                Err(_) if rule.is_some() => {}
                // Names of rules are the operator's: the error does not tell them.
                Err(error) => return Err(Unreadable::new(RESIDENCY.as_str(), error)),
            }
            rules.extend(rule);
        }
        if !regions.is_empty() {
            let name = format!("{RESIDENCY}: {regions}");
            let require = Require::new().processing(regions);
            rules.push(Arc::new(Rule::new(name).require(require)));
        }
        let residency = Residency::by(rules);
        if said.as_ref().is_some_and(|said| *said != residency) {
            return Err(Unreadable::new(
                RESIDENCY.as_str(),
                "sent more than once, with different values",
            ));
        }
        said = Some(residency);
    }
    Ok(said)
}

fn names<'a>(
    headers: &'a HeaderMap,
    header: &'a HeaderName,
) -> impl Iterator<Item = Result<&'a str, Unreadable>> {
    headers
        .get_all(header)
        .into_iter()
        .flat_map(move |value| split(value, header))
}

fn split<'a>(
    value: &'a http::HeaderValue,
    header: &'a HeaderName,
) -> impl Iterator<Item = Result<&'a str, Unreadable>> {
    // What is not text has one name, which is not understood.
    let text = value.to_str().unwrap_or_default();
    text.split(',').map(str::trim).map(move |name| {
        if name.is_empty() || name.len() > LONGEST {
            Err(Unreadable::new(header.as_str(), "not a list of names"))
        } else {
            Ok(name)
        }
    })
}
