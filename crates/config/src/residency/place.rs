//! Where a deployment is: derived from how it is called, and declared in its `model_info`.

use backstop::region::{self, Date, Declaration, Derivation, Evidence, Mark, UnknownRegion};

use super::{regions, unknown};
use crate::document::{Node, Value};
use crate::error::{ConfigError, Place};
use crate::host;
use crate::read::{Section, text};
use crate::schema::{Named, ProviderConfig};
use crate::source::Environment;

/// What a deployment says about residency.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    /// Where it is, as far as that holds.
    pub(crate) place: region::Place,
    /// The rule for whoever asks for its model.
    pub(crate) rule: Option<Named>,
}

/// What is claimed, and where in the file.
type Claim = Option<(region::Regions, Place)>;

#[derive(Default)]
struct Claims {
    processing: Claim,
    storage: Claim,
    evidence: Option<Evidence>,
    members: Claim,
    /// Whether `processing` is said of storage, too.
    everything: bool,
}

/// Reads `region`, `compliance` and `residency` of a deployment that is called like this; `called` is where the
/// configuration says so.
pub(crate) fn declared(
    provider: &ProviderConfig,
    model: &str,
    called: Place,
    info: Option<&mut Section<'_>>,
) -> Result<Declared, ConfigError> {
    let derived = derive(provider, model).map_err(|error| unknown(&error, called))?;
    let Some(info) = info else {
        let place = check(Declaration::new(derived), called)?;
        return Ok(Declared { place, rule: None });
    };
    let environment = info.environment();
    let claims = match info.take("region") {
        None => Claims::default(),
        Some(node) => claims(node, environment)?,
    };
    let marks = match info.list("compliance")? {
        None => Vec::new(),
        Some((list, _)) => list
            .into_iter()
            .map(|node| mark(node, environment))
            .collect::<Result<_, _>>()?,
    };
    let rule = info.text("residency")?;
    let rule = rule.map(|(name, place)| Named { name, place });

    let derived = match claims.members {
        None => derived,
        Some((members, place)) => resolved(derived, members, provider, place)?,
    };
    let stores_somewhere = derived.storage().is_some();
    let mut declaration = Declaration::new(derived);
    if let Some((regions, place)) = claims.processing {
        declaration = declaration.processing(regions);
        // Alone first: an error has to say which of the claims is wrong.
        check(declaration.clone(), place)?;
    }
    let mut place = called;
    let storage = match claims.storage {
        // What is known of where it stores need not be said again.
        None if claims.everything && !stores_somewhere => claims.processing,
        storage => storage,
    };
    if let Some((regions, claimed)) = storage {
        declaration = declaration.storage(regions);
        place = claimed;
    }
    if let Some(evidence) = claims.evidence {
        declaration = declaration.evidence(evidence);
    }
    declaration = marks.into_iter().fold(declaration, Declaration::mark);
    let place = check(declaration, place)?;
    Ok(Declared { place, rule })
}

fn derive(provider: &ProviderConfig, model: &str) -> Result<Derivation, UnknownRegion> {
    Ok(match provider {
        ProviderConfig::OpenAi { base, .. } => {
            let host = host::of(base.as_deref().unwrap_or("https://api.openai.com"));
            if host::is_within(&host, "api.openai.com") {
                Derivation::openai(&host)
            } else {
                Derivation::self_hosted(model)
            }
        }
        // Others speak its format too. Whoever asks for one of its places means Anthropic, behind whatever address.
        ProviderConfig::Anthropic {
            base,
            inference_geo,
            ..
        } => {
            let host = host::of(base.as_deref().unwrap_or("https://api.anthropic.com"));
            if host::is_within(&host, "anthropic.com") || inference_geo.is_some() {
                Derivation::anthropic(*inference_geo)
            } else {
                Derivation::self_hosted(model)
            }
        }
        ProviderConfig::Bedrock(bedrock) => Derivation::bedrock(&bedrock.region, model)?,
    })
}

/// `members` say what the provider itself says of a profile; what is no profile has none.
fn resolved(
    derived: Derivation,
    members: region::Regions,
    provider: &ProviderConfig,
    place: Place,
) -> Result<Derivation, ConfigError> {
    let alone = check(Declaration::new(derived.clone()), place)?;
    let is_profile = matches!(provider, ProviderConfig::Bedrock(_))
        && (alone.processing().is_none() || alone.evidence() == Evidence::Profile);
    if is_profile {
        return Ok(derived.resolved(members));
    }
    let message = "`members` are the regions of an inference profile of Bedrock, and this is none";
    Err(ConfigError::at(place, message).help("use `processing`"))
}

fn check(declaration: Declaration, place: Place) -> Result<region::Place, ConfigError> {
    declaration.check().map_err(|error| {
        ConfigError::at(place, format!("the deployment {error}"))
            .help("claim all of it, or call the provider in another way")
    })
}

/// `eu-west-1` or a list of regions, for all that is done there, or `{processing, storage, evidence, members}`.
fn claims(node: Node, environment: &Environment) -> Result<Claims, ConfigError> {
    if !matches!(node.value, Value::Map(_)) {
        let place = node.place;
        return Ok(Claims {
            processing: Some((regions(node, "region", environment)?, place)),
            everything: true,
            ..Claims::default()
        });
    }
    let mut section = Section::of(node, "region", environment)?;
    let mut claim = |key| {
        section
            .take(key)
            .map(|node| {
                let place = node.place;
                Ok((regions(node, key, environment)?, place))
            })
            .transpose()
    };
    let (processing, storage, members) =
        (claim("processing")?, claim("storage")?, claim("members")?);
    let evidence = section.choice(
        "evidence",
        &[
            ("contract", Evidence::Contract),
            ("endpoint", Evidence::Endpoint),
            ("sku", Evidence::Sku),
            ("profile", Evidence::Profile),
        ],
    )?;
    section.finish()?;
    Ok(Claims {
        processing,
        storage,
        evidence,
        members,
        everything: false,
    })
}

/// `baa`, or `{name: baa, until: 2027-03-01}`.
fn mark(node: Node, environment: &Environment) -> Result<Mark, ConfigError> {
    if !matches!(node.value, Value::Map(_)) {
        return Ok(Mark::new(&text(node, "compliance", environment)?.0));
    }
    let mut section = Section::of(node, "compliance", environment)?;
    let mut mark = Mark::new(&section.required_text("name")?.0);
    if let Some((until, place)) = section.text("until")? {
        let last: Date = until
            .parse()
            .map_err(|error| ConfigError::at(place, format!("`until`: {error}")))?;
        mark = mark.until(last);
    }
    section.finish()?;
    Ok(mark)
}
