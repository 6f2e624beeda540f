//! Keys that we know of: those of LiteLLM's that we do not have, and where our own belong.

/// LiteLLM's own keys, from its configuration reference, that Backstop does not have.
pub(crate) const LITELLM: &[&str] = &[
    "access_control_allow_origins",
    "alert_types",
    "alerting",
    "alerting_threshold",
    "allow_requests_on_db_unavailable",
    "allowed_fails_policy",
    "allowed_routes",
    "api_version",
    "assistants_config",
    "aws_profile_name",
    "aws_role_name",
    "aws_session_name",
    "aws_web_identity_token",
    "azure_ad_token",
    "background_health_checks",
    "base_model",
    "budget_duration",
    "cache",
    "cache_params",
    "cache_responses",
    "callbacks",
    "client_ttl",
    "configurable_clientside_auth_params",
    "custom_auth",
    "custom_llm_provider",
    "custom_pricing",
    "database_connection_pool_limit",
    "database_url",
    "debug_level",
    "default_team_settings",
    "enable_jwt_auth",
    "enable_pre_call_checks",
    "enable_tag_filtering",
    "enforce_user_param",
    "environment_variables",
    "extra_body",
    "extra_headers",
    "failure_callback",
    "files_settings",
    "guardrails",
    "health_check_interval",
    "health_check_model",
    "json_logs",
    "max_budget",
    "max_parallel_requests",
    "max_retries",
    "max_tokens",
    "mcp_servers",
    "mode",
    "model_group_alias",
    "model_group_retry_policy",
    "mock_response",
    "num_retries_per_request",
    "organization_id",
    "pass_through_endpoints",
    "polling_interval",
    "provider_budget_config",
    "redis_host",
    "redis_password",
    "redis_port",
    "redis_url",
    "retry_policy",
    "router_general_settings",
    "salt_key",
    "set_verbose",
    "success_callback",
    "tags",
    "temperature",
    "top_p",
    "turn_off_message_logging",
    "use_azure_ad",
    "vector_store_registry",
    "vertex_credentials",
    "vertex_location",
    "vertex_project",
];

/// Where keys belong that are often looked for elsewhere; what holds for all deployments comes last.
const HOMES: &[(&[&str], &[&str])] = &[
    (
        &["litellm_params"],
        &[
            "api_base",
            "api_key",
            "aws_region_name",
            "collect_streams",
            "model",
            "order",
            "weight",
        ],
    ),
    (
        &["model_info"],
        &["compliance", "id", "region", "residency"],
    ),
    (
        &["litellm_params", "router_settings"],
        &["mid_stream", "stream_timeout", "timeout"],
    ),
    (
        &["model_info", "router_settings"],
        &["allowed_fails", "cooldown_time"],
    ),
    (
        &["router_settings"],
        &[
            "auth_error",
            "content_policy_fallbacks",
            "context_window_fallbacks",
            "deadline",
            "default_fallbacks",
            "disable_cooldowns",
            "fallbacks",
            "num_retries",
            "patience",
            "retry_after",
            "retry_on",
            "routing_strategy",
        ],
    ),
    (
        &["general_settings"],
        &[
            "expose_attempts",
            "expose_served_by",
            "master_key",
            "max_request_size_mb",
        ],
    ),
];

/// The sections that are easily taken for each other.
const ALIKE: [&str; 7] = [
    "the configuration",
    "model_list",
    "litellm_params",
    "model_info",
    "litellm_settings",
    "router_settings",
    "general_settings",
];

/// The sections that `key` belongs in, where there are any and it was looked for in `section`.
pub(crate) fn homes(section: &str, key: &str) -> &'static [&'static str] {
    let found = HOMES.iter().find(|(_, keys)| keys.contains(&key));
    match found {
        Some((homes, _)) if ALIKE.contains(&section) && !homes.contains(&section) => homes,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Environment};

    #[test]
    fn every_key_is_known_where_it_is_said_to_belong() {
        let environment = Environment::given([("AWS_REGION", "us-east-1")]);
        for (sections, keys) in HOMES {
            for (section, key) in sections
                .iter()
                .flat_map(|section| keys.iter().map(move |key| (*section, *key)))
            {
                // It is there and says nothing, so that only its name can be wrong.
                let (mut params, mut rest) = (String::new(), String::new());
                if key != "model" {
                    params = "model: bedrock/amazon.nova-pro-v1:0,".to_owned();
                }
                match section {
                    "litellm_params" => params += &format!("{key}: "),
                    "model_info" => rest = format!(", model_info: {{{key}: }}"),
                    _ => {}
                }
                let mut text = format!(
                    "model_list: [{{model_name: a, litellm_params: {{{params}}}{rest}}}]\n"
                );
                if section.ends_with("_settings") {
                    text += &format!("{section}: {{{key}: }}\n");
                }
                let result = Config::parse("b.yaml", &text, &environment);
                assert_eq!(result.is_ok(), key != "model", "{text}{result:?}");
            }
        }
    }
}
