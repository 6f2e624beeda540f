//! The names under which one model goes.

use crate::Family;

/// The provider's name as catalogue ids spell it.
pub(crate) fn provider(name: &str) -> &str {
    match name {
        "bedrock_converse" => "bedrock",
        // LiteLLM names the publisher too: `vertex_ai-anthropic_models`.
        name if name.starts_with("vertex_ai") => "vertex_ai",
        name => name,
    }
}

/// The catalogue ids that may hold the facts of a provider's model, the most exact one first, and whether its price
/// holds too.
pub(crate) fn ids(provider: &str, model: &str) -> Vec<(String, bool)> {
    // Which model an inference profile stands for, its ARN does not say.
    if model.starts_with("arn:") {
        return Vec::new();
    }
    let provider = self::provider(provider);
    let mut ids = Vec::new();
    let mut spellings = |model: &str, priced: bool| {
        let unversioned = if provider == "bedrock" {
            without_version(model)
        } else {
            model
        };
        for name in [
            model,
            unversioned,
            without_date(model),
            without_date(unversioned),
        ] {
            let id = format!("{provider}/{name}");
            if ids.iter().all(|(known, _)| *known != id) {
                ids.push((id, priced));
            }
        }
    };
    // Behind a `+` stand the faults that the simulator is asked for: the model that it plays is the one before.
    let played = model.split_once('+').map(|(model, _)| model);
    for model in [Some(model), played].into_iter().flatten() {
        spellings(model, true);
        if provider == "bedrock"
            && let Some(rest) = without_profile(model)
        {
            // A region may cost more than the model does elsewhere.
            spellings(rest, false);
        }
    }
    ids
}

/// Without the geography of an inference profile: `eu.anthropic.claude…`.
fn without_profile(model: &str) -> Option<&str> {
    const GEOGRAPHIES: [&str; 10] = [
        "us", "eu", "apac", "global", "jp", "au", "ca", "us-gov", "sa", "in",
    ];
    let (geography, rest) = model.split_once('.')?;
    (GEOGRAPHIES.contains(&geography) && rest.contains('.')).then_some(rest)
}

/// Without Bedrock's version: `-v1:0`, `:0` or `-v1`.
fn without_version(model: &str) -> &str {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let model = match model.rsplit_once(':') {
        Some((rest, revision)) if digits(revision) => rest,
        _ => model,
    };
    match model.rsplit_once("-v") {
        Some((rest, version)) if digits(version) => rest,
        _ => model,
    }
}

/// Without the day of a snapshot: `-20250929`, `-2024-08-06`, `@20250929`, `-latest`.
fn without_date(model: &str) -> &str {
    if let Some((rest, _)) = model.rsplit_once('@') {
        return rest;
    }
    if let Some(rest) = model.strip_suffix("-latest") {
        return rest;
    }
    let shapes: [&[u8]; 2] = [b"-00000000", b"-0000-00-00"];
    for shape in shapes {
        let at = model.len().saturating_sub(shape.len());
        let is_shape = model.len() > shape.len()
            && model.as_bytes()[at..]
                .iter()
                .zip(shape)
                .all(|(byte, shape)| match shape {
                    b'0' => byte.is_ascii_digit(),
                    sign => byte == sign,
                });
        if is_shape {
            return &model[..at];
        }
    }
    model
}

/// Whether an answer has room beside the largest prompt: the tables give the two apart for these.
pub(crate) fn output_apart(family: Family, model: &str) -> bool {
    match family {
        Family::Gemini => true,
        Family::OpenAi => model.contains("gpt-5") || model.contains("gpt-6"),
        Family::Anthropic | Family::Nova | Family::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(provider: &str, model: &str) -> Vec<String> {
        ids(provider, model).into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn exact_names_come_first() {
        assert_eq!(
            names("openai", "gpt-4o-2024-08-06"),
            ["openai/gpt-4o-2024-08-06", "openai/gpt-4o"]
        );
        assert_eq!(
            names("vertex_ai-anthropic_models", "claude-haiku-4-5@20251001"),
            [
                "vertex_ai/claude-haiku-4-5@20251001",
                "vertex_ai/claude-haiku-4-5"
            ]
        );
        assert_eq!(names("openai", "o1"), ["openai/o1"]);
        assert_eq!(
            names("openai", "o1+slow=20+cut=5"),
            ["openai/o1+slow=20+cut=5", "openai/o1"]
        );
        assert_eq!(names("x", ""), ["x/"]);
        assert_eq!(names("x", "-20250929"), ["x/-20250929"]);
        assert_eq!(names("x", "é-2025é0929"), ["x/é-2025é0929"]);
    }

    #[test]
    fn a_profile_tells_the_model_and_not_the_price() {
        let ids = ids("bedrock_converse", "jp.anthropic.claude-x-20250929-v1:0");
        let ids: Vec<_> = ids.iter().map(|(id, priced)| (&**id, *priced)).collect();
        assert_eq!(
            ids,
            [
                ("bedrock/jp.anthropic.claude-x-20250929-v1:0", true),
                ("bedrock/jp.anthropic.claude-x-20250929", true),
                ("bedrock/jp.anthropic.claude-x", true),
                ("bedrock/anthropic.claude-x-20250929-v1:0", false),
                ("bedrock/anthropic.claude-x-20250929", false),
                ("bedrock/anthropic.claude-x", false),
            ]
        );
        assert!(
            names(
                "bedrock",
                "arn:aws:bedrock:eu-west-1:1:application-inference-profile/x"
            )
            .is_empty()
        );
        assert_eq!(names("bedrock", "us.custom"), ["bedrock/us.custom"]);
        assert_eq!(
            names("bedrock", "in.anthropic.claude-x"),
            [
                "bedrock/in.anthropic.claude-x",
                "bedrock/anthropic.claude-x"
            ]
        );
    }
}
