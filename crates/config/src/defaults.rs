//! A configuration for somebody who has keys and no file.

use std::fmt::Write;

use crate::error::ConfigError;
use crate::source::Environment;

/// The variables that say that a provider can be asked, the model that is asked then, and the variable that says
/// where, as the providers' own libraries read it; AWS's reads its own.
const PROVIDERS: [(&str, &str, &str); 3] = [
    ("OPENAI_API_KEY", "openai/gpt-4o", "OPENAI_BASE_URL"),
    (
        "ANTHROPIC_API_KEY",
        "anthropic/claude-sonnet-4-6",
        "ANTHROPIC_BASE_URL",
    ),
    ("AWS_ACCESS_KEY_ID", "anthropic.claude-sonnet-4-6", ""),
];

/// Any of these says that AWS's own chain will find a credential.
const AWS: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
];

/// The inference profile that a region can call: one of another geography is refused.
fn profile(region: &str) -> &'static str {
    ["us-gov", "us", "eu"]
        .into_iter()
        .find(|geography| region.starts_with(&format!("{geography}-")))
        .unwrap_or("global")
}

pub(crate) fn document(environment: &Environment) -> Result<String, ConfigError> {
    let mut text = String::from("model_list:\n");
    let mut found = false;
    for (variable, model, base) in PROVIDERS {
        let is_bedrock = variable.starts_with("AWS");
        let mut names = AWS.iter().filter(|_| is_bedrock).chain(Some(&variable));
        let set = names.any(|name| environment.variable(name).is_some());
        if !set {
            continue;
        }
        found = true;
        text += "  - model_name: default\n    litellm_params:\n";
        if is_bedrock {
            // The SDK finds the credentials; it needs a region to find the endpoint.
            let region = ["AWS_REGION", "AWS_DEFAULT_REGION"]
                .into_iter()
                .find_map(|name| environment.variable(name))
                .unwrap_or_else(|| "us-east-1".to_owned());
            let profile = profile(&region);
            let _ = writeln!(text, "      model: bedrock/{profile}.{model}");
            let _ = writeln!(text, "      aws_region_name: {region}");
        } else {
            let _ = writeln!(text, "      model: {model}");
            let _ = writeln!(text, "      api_key: os.environ/{variable}");
            if environment.variable(base).is_some() {
                let _ = writeln!(text, "      api_base: os.environ/{base}");
            }
        }
    }
    if found {
        return Ok(text);
    }
    Err(ConfigError::new(
        "there is no configuration and no provider: set OPENAI_API_KEY, ANTHROPIC_API_KEY or AWS_ACCESS_KEY_ID, \
         or name a file with --config; GEMINI_API_KEY is not supported yet",
    )
    .help("to see it work without any key, run `backstop demo`"))
}
