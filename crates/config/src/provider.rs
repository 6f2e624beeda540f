//! Which provider a deployment's model string means, and what that provider needs.

use backstop::region::Derivation;

use crate::error::{ConfigError, Place, nearest};
use crate::facts::Known;
use crate::host;
use crate::read::Section;
use crate::schema::{AwsCredentials, BedrockConfig, DeploymentConfig, ProviderConfig};
use crate::source::Environment;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    OpenAi,
    Anthropic,
    Bedrock,
}

const PREFIXES: [(&str, Prefix); 3] = [
    ("openai", Prefix::OpenAi),
    ("anthropic", Prefix::Anthropic),
    ("bedrock", Prefix::Bedrock),
];

/// Prefixes of LiteLLM's that we know of and do not have.
const LATER: [&str; 17] = [
    "azure",
    "cohere",
    "deepseek",
    "fireworks_ai",
    "gemini",
    "groq",
    "huggingface",
    "hosted_vllm",
    "mistral",
    "ollama",
    "ollama_chat",
    "openai_compatible",
    "openrouter",
    "perplexity",
    "together_ai",
    "vertex_ai",
    "xai",
];

/// How the models of a provider are named, for strings without a prefix.
const BARE: [(&str, Prefix); 14] = [
    ("gpt-", Prefix::OpenAi),
    ("chatgpt-", Prefix::OpenAi),
    ("o1", Prefix::OpenAi),
    ("o3", Prefix::OpenAi),
    ("o4", Prefix::OpenAi),
    ("ft:", Prefix::OpenAi),
    ("claude-", Prefix::Anthropic),
    ("anthropic.", Prefix::Bedrock),
    ("amazon.", Prefix::Bedrock),
    ("meta.", Prefix::Bedrock),
    ("us.", Prefix::Bedrock),
    ("eu.", Prefix::Bedrock),
    ("apac.", Prefix::Bedrock),
    ("global.", Prefix::Bedrock),
];

/// Splits `provider/model`; a name alone means who has such names, or who lists it in the catalogue.
pub(crate) fn split(
    name: &str,
    place: Place,
    catalog: &Known,
) -> Result<(Prefix, String), ConfigError> {
    let known = || PREFIXES.iter().map(|(prefix, _)| *prefix);
    let Some((prefix, model)) = name.split_once('/') else {
        if let Some((_, prefix)) = BARE.iter().find(|(start, _)| name.starts_with(start)) {
            return Ok((*prefix, name.to_owned()));
        }
        let listed = catalog.providers(name);
        let mut ours = PREFIXES
            .iter()
            .filter(|(prefix, _)| listed.contains(prefix));
        if let (Some((_, prefix)), None) = (ours.next(), ours.next()) {
            return Ok((*prefix, name.to_owned()));
        }
        if let Some(later) = LATER.iter().find(|later| listed.contains(later)) {
            return Err(unsupported(later, name, place));
        }
        let all = known()
            .map(|prefix| format!("{prefix}/{name}"))
            .collect::<Vec<_>>()
            .join(", ");
        let message = format!("the model `{name}` does not say which provider serves it");
        return Err(ConfigError::at(place, message).help(format!("write one of {all}")));
    };
    if model.is_empty() {
        return Err(ConfigError::at(
            place,
            format!("the model `{name}` has a provider but no model"),
        ));
    }
    if let Some((_, found)) = PREFIXES.iter().find(|(known, _)| *known == prefix) {
        let model = match found {
            Prefix::Bedrock => converse(model, name, place)?,
            Prefix::OpenAi | Prefix::Anthropic => model,
        };
        return Ok((*found, model.to_owned()));
    }
    if LATER.contains(&prefix) {
        return Err(unsupported(prefix, name, place));
    }
    let all = known().collect::<Vec<_>>().join(", ");
    let error = ConfigError::at(
        place,
        format!("unknown provider `{prefix}` in `{name}`; there are {all}"),
    );
    Err(match nearest(prefix, known().chain(LATER)) {
        Some(near) => error.help(format!("did you mean `{near}/{model}`?")),
        None => error,
    })
}

/// Bedrock's name of a model, which LiteLLM writes behind the API that it is called by: of those, Converse is ours.
fn converse<'a>(model: &'a str, name: &str, place: Place) -> Result<&'a str, ConfigError> {
    match model.split_once('/') {
        Some(("converse", model)) => Ok(model),
        // The name of a profile has one of its own.
        Some((what, model)) if !what.starts_with("arn:") => {
            let message = format!("`{what}` in `{name}` is not supported yet");
            let help = format!("models are called by Converse: write `bedrock/{model}`");
            Err(ConfigError::at(place, message).help(help))
        }
        _ => Ok(model),
    }
}

fn unsupported(prefix: &str, name: &str, place: Place) -> ConfigError {
    let message = format!("the provider `{prefix}` of `{name}` is not supported yet");
    let help = "a server that speaks OpenAI's format is reached as `openai/…` with `api_base`";
    ConfigError::at(place, message).help(help)
}

/// Reads what the provider needs.
pub(crate) fn read(
    prefix: Prefix,
    params: &mut Section<'_>,
) -> Result<ProviderConfig, ConfigError> {
    let place = params.place();
    let key = params.secret("api_key")?;
    let base = params.text("api_base")?;
    if let Some((base, place)) = &base {
        check_url("api_base", base, *place)?;
    }
    let missing = |provider: &str, variable: &str| {
        ConfigError::at(
            place,
            format!("`api_key` is missing for a deployment at {provider}"),
        )
        .help(format!("write `api_key: os.environ/{variable}`"))
    };
    let base = base.map(|(base, _)| base);
    // A provider's usual variable is for the provider alone: another host is told what the file says, if anything.
    let usual = |name, domain| {
        let is_there = base
            .as_deref()
            .is_none_or(|base| host::is_within(&host::of(base), domain));
        let key = is_there.then(|| params.environment().variable(name))?;
        key.map(Into::into)
    };
    match prefix {
        Prefix::OpenAi => {
            let key = key.or_else(|| usual("OPENAI_API_KEY", "openai.com"));
            // A server of one's own may need no key; OpenAI's does.
            if key.is_none() && base.is_none() {
                let error = missing("OpenAI", "OPENAI_API_KEY");
                return Err(params.missing("api_key", error));
            }
            let organization = params.text("organization")?.map(|(text, _)| text);
            Ok(ProviderConfig::OpenAi {
                key,
                base,
                organization,
            })
        }
        Prefix::Anthropic => {
            let key = key
                .or_else(|| usual("ANTHROPIC_API_KEY", "anthropic.com"))
                .ok_or_else(|| {
                    let error = missing("Anthropic", "ANTHROPIC_API_KEY");
                    params.missing("api_key", error)
                })?;
            let inference_geo =
                params.choice("inference_geo", &[("us", "us"), ("global", "global")])?;
            Ok(ProviderConfig::Anthropic {
                key,
                base,
                inference_geo,
            })
        }
        Prefix::Bedrock => bedrock(params, base),
    }
}

fn bedrock(params: &mut Section<'_>, base: Option<String>) -> Result<ProviderConfig, ConfigError> {
    let place = params.place();
    let environment = params.environment();
    let (endpoint, endpoint_place) = match params.text("aws_bedrock_runtime_endpoint")? {
        Some((endpoint, place)) => {
            check_url("aws_bedrock_runtime_endpoint", &endpoint, place)?;
            (Some(endpoint), place)
        }
        None => (base, place),
    };
    let region = params
        .text("aws_region_name")?
        .map(|(region, _)| region)
        .or_else(|| environment.variable("AWS_REGION"))
        .or_else(|| environment.variable("AWS_DEFAULT_REGION"))
        .ok_or_else(|| {
            let error = ConfigError::at(
                place,
                "`aws_region_name` is missing for a deployment at Bedrock",
            )
            .help("write `aws_region_name: us-east-1`, or set AWS_REGION");
            params.missing("aws_region_name", error)
        })?;
    let elsewhere = endpoint
        .as_deref()
        .and_then(region_of)
        .filter(|named| !named.eq_ignore_ascii_case(&region));
    if let Some(named) = elsewhere {
        let message = format!("the endpoint is in `{named}`, but the region is `{region}`");
        return Err(ConfigError::at(endpoint_place, message)
            .help("requests are signed for one region, and what is known of a deployment's place follows from it"));
    }
    let access_key_id = params.secret("aws_access_key_id")?;
    let secret_access_key = params.secret("aws_secret_access_key")?;
    let session_token = params.secret("aws_session_token")?;
    let credentials = match (access_key_id, secret_access_key) {
        (Some(access_key_id), Some(secret_access_key)) => Some(AwsCredentials {
            access_key_id,
            secret_access_key,
            session_token,
        }),
        (None, None) if session_token.is_none() => None,
        _ => {
            let message = "`aws_access_key_id` and `aws_secret_access_key` go together";
            return Err(ConfigError::at(place, message)
                .help("give both, or neither for AWS's default chain"));
        }
    };
    Ok(ProviderConfig::Bedrock(BedrockConfig {
        region,
        endpoint,
        credentials,
    }))
}

/// A line for each deployment that is not shown the key which everybody has in a variable, as it is another host.
pub(crate) fn remarks(deployments: &[DeploymentConfig], environment: &Environment) -> Vec<String> {
    let Some(_) = environment.variable("OPENAI_API_KEY") else {
        return Vec::new();
    };
    let is_shown_none = |deployment: &&DeploymentConfig| {
        let provider = &deployment.provider;
        matches!(provider, ProviderConfig::OpenAi { key: None, .. })
    };
    let deployments = deployments.iter().filter(is_shown_none);
    deployments
        .map(|deployment| {
            format!(
                "the deployment `{}` is shown no key, for its `api_base` is not OpenAI's; \
                 if it needs one, write `api_key: os.environ/OPENAI_API_KEY` or another",
                deployment.id
            )
        })
        .collect()
}

/// The region that the address of an endpoint of AWS's own names.
fn region_of(endpoint: &str) -> Option<String> {
    let host = host::of(endpoint);
    let is_aws = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];
    if !is_aws.iter().any(|domain| host.ends_with(domain)) {
        return None;
    }
    let is_region = |label: &&str| Derivation::bedrock(label, "").is_ok();
    host.split('.').find(is_region).map(str::to_owned)
}

/// What is added to a base.
const OPERATIONS: [&str; 2] = ["/chat/completions", "/v1/messages"];

fn check_url(key: &str, url: &str, place: Place) -> Result<(), ConfigError> {
    let path = url.trim_end_matches('/');
    if let Some(operation) = OPERATIONS.iter().find(|end| path.ends_with(**end)) {
        let message = format!("`{key}` ends in `{operation}`, which is added to it");
        return Err(ConfigError::at(place, message).help("leave that out"));
    }
    // The value is not shown: somebody may have put a key there.
    let wrong = |what: &str| Err(ConfigError::at(place, format!("`{key}` must {what}")));
    match url.parse::<http::Uri>() {
        Ok(uri) if uri.authority().is_some_and(|at| at.as_str().contains('@')) => {
            wrong("not hold a user or a password")
        }
        Ok(uri)
            if matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some()
                && uri.query().is_none() =>
        {
            Ok(())
        }
        _ => wrong("be a URL such as https://host/v1, without a query"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn provider(model: &str, base: &str) -> Result<ProviderConfig, ConfigError> {
        let text =
            format!("model_list: [{{model_name: a, litellm_params: {{model: {model}{base}}}}}]");
        let keys = [("OPENAI_API_KEY", "sk-1"), ("ANTHROPIC_API_KEY", "sk-2")];
        let config = Config::parse("b.yaml", &text, &Environment::given(keys))?;
        Ok(config.deployments[0].provider.clone())
    }

    #[test]
    fn who_is_shown_no_key_is_told() {
        let text = "model_list:\n\
            - {model_name: a, litellm_params: {model: openai/llama, api_base: 'http://10.0.0.5/v1'}}\n\
            - {model_name: b, litellm_params: {model: openai/gpt-4o, api_key: sk-3}}\n";
        let remarks = |environment: Environment| {
            let config = Config::parse("b.yaml", text, &environment).expect("sound");
            config.remarks().to_vec()
        };
        assert_eq!(remarks(Environment::given([("HOME", "/")])), [""; 0]);
        let told = remarks(Environment::given([("OPENAI_API_KEY", "sk-1")]));
        let [told] = &*told else {
            panic!("{told:?}");
        };
        assert!(
            told.starts_with("the deployment `openai/llama` is shown no key"),
            "{told}"
        );
        assert!(!told.contains("sk-1"), "{told}");
    }

    #[test]
    fn the_usual_key_goes_to_the_provider_alone() {
        for (base, is_sent) in [
            ("", true),
            (", api_base: 'https://api.openai.com/v1'", true),
            (", api_base: 'https://EU.api.OpenAI.com/v1'", true),
            (", api_base: 'http://10.0.0.5:8000/v1'", false),
            (", api_base: 'https://notopenai.com/v1'", false),
            (", api_base: 'https://openai.com.example/v1'", false),
        ] {
            match provider("openai/gpt-4o", base) {
                Ok(ProviderConfig::OpenAi { key, .. }) => {
                    assert_eq!(key.is_some(), is_sent, "{base}")
                }
                other => panic!("{other:?}"),
            }
        }
        let claude = |base| provider("anthropic/claude-sonnet-4-6", base);
        assert!(claude("").is_ok());
        assert!(claude(", api_base: 'https://api.anthropic.com'").is_ok());
        let error = claude(", api_base: 'https://ai.example.com/anthropic'").expect_err("no key");
        assert!(
            error.to_string().contains("`api_key` is missing"),
            "{error}"
        );
    }
}
