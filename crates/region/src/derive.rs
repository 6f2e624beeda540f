//! What can be known of a deployment from how it is called.

use std::borrow::Cow;

use crate::regions::Cloud;
use crate::{Evidence, Regions, UnknownRegion};

/// Where a deployment may process and store, as far as its provider's own rules tell: the widest that may happen.
///
/// ```
/// use backstop_region::{Derivation, Regions};
///
/// let london_too = Derivation::bedrock("eu-west-1", "eu.anthropic.claude-sonnet-4-6")?;
/// assert!(!london_too.processing().unwrap().is_within(&Regions::of(["eu"])?));
///
/// // The URL of an Azure deployment does not show its SKU, so the configuration has to say it.
/// let zone = Derivation::azure("DataZoneStandard", "swedencentral")?;
/// assert!(zone.processing().unwrap().is_within(&Regions::of(["eu"])?));
/// assert!(Derivation::azure("GlobalStandard", "swedencentral")?.processing() == Some(Regions::global()));
/// # Ok::<(), backstop_region::UnknownRegion>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Derivation {
    processing: Option<Regions>,
    storage: Option<Regions>,
    /// Where it is called: the prompt passes there, whatever else is known.
    called: Regions,
    evidence: Option<Evidence>,
    why: Cow<'static, str>,
}

/// The members that a profile of each geography may have, over all models. From the AWS CDK's and Bedrock's pages on
/// inference profiles; London and Zurich take part in `eu.`, the Emirates in `apac.`.
const GEOGRAPHIES: [(&str, &[&str]); 8] = [
    ("us", &["us-east-1", "us-east-2", "us-west-1", "us-west-2"]),
    (
        "eu",
        &[
            "eu-central-1",
            "eu-central-2",
            "eu-north-1",
            "eu-south-1",
            "eu-south-2",
            "eu-west-1",
            "eu-west-2",
            "eu-west-3",
        ],
    ),
    (
        "apac",
        &[
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
        ],
    ),
    ("jp", &["ap-northeast-1", "ap-northeast-3"]),
    ("au", &["ap-southeast-2", "ap-southeast-4"]),
    ("in", &["ap-south-1", "ap-south-2"]),
    ("us-gov", &["us-gov-east-1", "us-gov-west-1"]),
    ("global", &[]),
];

/// Who makes models on Bedrock: what a model's id begins with if it names no geography.
const VENDORS: [&str; 19] = [
    "ai21",
    "amazon",
    "anthropic",
    "cohere",
    "deepseek",
    "google",
    "guardrail",
    "luma",
    "meta",
    "minimax",
    "mistral",
    "moonshot",
    "moonshotai",
    "nvidia",
    "openai",
    "qwen",
    "stability",
    "writer",
    "zai",
];

impl Derivation {
    const fn new(
        processing: Option<Regions>,
        storage: Option<Regions>,
        evidence: Evidence,
        why: Cow<'static, str>,
    ) -> Self {
        Self {
            processing,
            storage,
            called: Regions::none(),
            evidence: Some(evidence),
            why,
        }
    }

    /// Nothing can be known: a provider that offers no choice we know of, or that another stands behind.
    pub const fn unknown() -> Self {
        Self {
            processing: None,
            storage: None,
            called: Regions::none(),
            evidence: None,
            why: Cow::Borrowed("it"),
        }
    }

    /// Nothing but where it is called.
    fn called(region: Regions) -> Self {
        Self {
            called: region,
            ..Self::unknown()
        }
    }

    /// Bedrock, called in AWS region `source` with this model id, profile id or ARN.
    ///
    /// A bare model id runs in the source region; a profile in any member of its geography, and its source region.
    /// Application profiles hide both model and geography: nothing is known of them, nor of prefixes that are not in
    /// the table. Where a guardrail of another geography is used, take both [together](Self::with).
    ///
    /// # Errors
    ///
    /// [`UnknownRegion`] if AWS has no such region.
    pub fn bedrock(source: &str, model: &str) -> Result<Self, UnknownRegion> {
        let source = Regions::of_cloud(Cloud::Aws, source)?;
        let (source, model) = match arn(model) {
            None => (source, model),
            Some((region, "foundation-model" | "inference-profile", id)) => {
                (source.or(&Regions::of_cloud(Cloud::Aws, region)?), id)
            }
            Some((region, "provisioned-model", _)) => {
                let place = source.or(&Regions::of_cloud(Cloud::Aws, region)?);
                return Ok(Self::endpoint(place, "the provisioned model"));
            }
            Some(_) => return Ok(Self::called(source)),
        };
        let (first, rest) = model.split_once('.').unwrap_or((model, ""));
        if VENDORS.contains(&first) {
            return Ok(Self::endpoint(source, "the source region"));
        }
        let vendor = rest.split('.').next().unwrap_or_default();
        let geography = GEOGRAPHIES.iter().find(|known| known.0 == first);
        Ok(match geography {
            Some((name, members)) if VENDORS.contains(&vendor) => {
                let members = match *name {
                    "global" => Regions::global(),
                    _ => Regions::of(*members)?.or(&source),
                };
                let why = format!("the inference profile `{name}.`").into();
                Self {
                    called: source,
                    ..Self::new(Some(members), Some(members), Evidence::Profile, why)
                }
            }
            _ => Self::called(source),
        })
    }

    /// Puts the members that the provider itself names (`bedrock:GetInferenceProfile`) in place of the table's.
    ///
    /// The region that is called belongs to them in any case. Sets differ by model and grow: ask again from time to
    /// time.
    pub fn resolved(mut self, members: Regions) -> Self {
        let members = members.or(&self.called);
        self.processing = Some(members);
        self.storage = Some(members);
        self.evidence = Some(Evidence::Profile);
        self.why = "the resolved profile".into();
        self
    }

    /// Azure OpenAI: a deployment of this SKU in a resource of this region.
    ///
    /// `Global…` processes anywhere, `DataZone…` within the EU or the US, and the regional SKUs within the geography
    /// of the resource; data at rest stays in that geography. Nothing is known of another SKU, nor of a data zone
    /// elsewhere.
    ///
    /// # Errors
    ///
    /// [`UnknownRegion`] if Azure has no such region.
    pub fn azure(sku: &str, region: &str) -> Result<Self, UnknownRegion> {
        let region = Regions::of_cloud(Cloud::Azure, region)?;
        let geography = azure_geography(&region);
        let zone = ["eu", "us"]
            .map(|zone| zone.parse().unwrap_or_default())
            .into_iter()
            .find(|zone| region.is_within(zone));
        let processing = match &*sku.to_ascii_lowercase() {
            "globalstandard" | "globalprovisioned" | "globalprovisionedmanaged" | "globalbatch" => {
                Regions::global()
            }
            "datazonestandard"
            | "datazoneprovisioned"
            | "datazoneprovisionedmanaged"
            | "datazonebatch" => match zone {
                Some(zone) => zone,
                None => return Ok(Self::called(region)),
            },
            "standard" | "provisioned" | "provisionedmanaged" => geography,
            _ => return Ok(Self::called(region)),
        };
        let why = format!("the SKU `{sku}`").into();
        Ok(Self::new(
            Some(processing),
            Some(geography),
            Evidence::Sku,
            why,
        ))
    }

    /// Vertex AI at this location: a region, `us`, `eu`, or `global`.
    ///
    /// Google names the place of processing for its regions in America, Asia, Australia and Europe; nothing is known
    /// of the others, nor of `global`'s, which is anywhere.
    ///
    /// # Errors
    ///
    /// [`UnknownRegion`] if Google Cloud has no such location.
    pub fn vertex(location: &str) -> Result<Self, UnknownRegion> {
        let place = match location {
            "global" | "us" | "eu" => location.parse()?,
            region => Regions::of_cloud(Cloud::Gcp, region)?,
        };
        if location.starts_with("me-") || location.starts_with("africa-") {
            return Ok(Self::called(place));
        }
        let why = format!("the location `{location}`").into();
        Ok(Self::new(Some(place), Some(place), Evidence::Endpoint, why))
    }

    /// The Gemini Developer API: anywhere.
    pub const fn gemini() -> Self {
        Self::anywhere("the Gemini Developer API")
    }

    /// OpenAI at this host.
    ///
    /// The regional hosts `us.` and `eu.` process and store in their region, `eu.` being the EEA and Switzerland;
    /// `ae.`, `au.`, `in.` and `jp.` promise storage alone. Nothing is known of another host: what `api.openai.com`
    /// does depends on the project.
    pub fn openai(host: &str) -> Self {
        let host = host.to_ascii_lowercase();
        let regional = |names: &[&str]| Regions::of(names).ok();
        let (processing, storage) = match host.strip_suffix(".api.openai.com") {
            Some("us") => (regional(&["us"]), regional(&["us"])),
            Some("eu") => (regional(&["eea", "ch"]), regional(&["eea", "ch"])),
            Some(country @ ("ae" | "au" | "in" | "jp")) => (None, regional(&[country])),
            _ => return Self::unknown(),
        };
        let why = format!("the host `{host}`").into();
        Self::new(processing, storage, Evidence::Endpoint, why)
    }

    /// Anthropic's own API with this `inference_geo`: the United States for `us`, else anywhere. It has no European
    /// choice. Where it stores is the workspace's setting, so unknown.
    pub fn anthropic(inference_geo: Option<&str>) -> Self {
        match inference_geo {
            Some("us") => Self::new(
                "us".parse().ok(),
                None,
                Evidence::Endpoint,
                "`inference_geo: us`".into(),
            ),
            _ => Self {
                storage: None,
                ..Self::anywhere("Anthropic's API without `inference_geo: us`")
            },
        }
    }

    /// A server of the operator's own, which runs this model: unknown until declared. Ollama's `-cloud` models leave
    /// the host: anywhere.
    pub fn self_hosted(model: &str) -> Self {
        match model.ends_with("-cloud") || model.ends_with(":cloud") {
            true => Self::anywhere("a `-cloud` model"),
            false => Self::unknown(),
        }
    }

    const fn anywhere(why: &'static str) -> Self {
        let global = Some(Regions::global());
        Self::new(global, global, Evidence::Endpoint, Cow::Borrowed(why))
    }

    fn endpoint(place: Regions, why: &'static str) -> Self {
        Self::new(Some(place), Some(place), Evidence::Endpoint, why.into())
    }

    /// This one and a further service that sees the same prompt. Unknown if either is.
    pub fn with(self, other: &Self) -> Self {
        let both = |one: Option<Regions>, two: Option<Regions>| Some(one?.or(&two?));
        Self {
            processing: both(self.processing, other.processing),
            storage: both(self.storage, other.storage),
            called: self.called.or(&other.called),
            evidence: self.evidence,
            why: format!("{} with {}", self.why, other.why).into(),
        }
    }

    /// Where it may process, if anything is known of that.
    #[must_use]
    pub const fn processing(&self) -> Option<Regions> {
        self.processing
    }

    /// Where it may store, if anything is known of that.
    #[must_use]
    pub const fn storage(&self) -> Option<Regions> {
        self.storage
    }

    pub(crate) const fn called_in(&self) -> Regions {
        self.called
    }

    pub(crate) const fn evidence(&self) -> Option<Evidence> {
        self.evidence
    }

    pub(crate) fn why(&self) -> &str {
        &self.why
    }
}

/// Azure's geographies are countries, but for these two.
fn azure_geography(region: &Regions) -> Regions {
    let country = region.in_full_countries();
    [["ie", "nl"], ["hk", "sg"]]
        .into_iter()
        .filter_map(|pair| Regions::of(pair).ok())
        .find(|pair| country.is_within(pair))
        .unwrap_or(country)
}

/// The region, type and id of a Bedrock resource's ARN.
fn arn(model: &str) -> Option<(&str, &str, &str)> {
    let mut parts = model.strip_prefix("arn:")?.splitn(5, ':');
    let [_partition, _service, region, _account, resource] =
        std::array::from_fn(|_| parts.next().unwrap_or_default());
    let (kind, id) = resource.split_once('/').unwrap_or((resource, ""));
    Some((region, kind, id))
}
