//! Configurations of simulated deployments.

/// One deployment, whose provider is simulated: see [`deployment`].
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    model_name: String,
    model: String,
    id: Option<String>,
    params: String,
    info: String,
}

/// A deployment of `model`, such as `openai/gpt-4o+500`, in the group `model_name`.
pub(crate) fn deployment(model_name: &str, model: &str) -> Deployment {
    Deployment {
        model_name: model_name.to_owned(),
        model: model.to_owned(),
        id: None,
        params: String::new(),
        info: String::new(),
    }
}

impl Deployment {
    /// Its group.
    pub(crate) fn group(mut self, model_name: &str) -> Self {
        self.model_name = model_name.to_owned();
        self
    }

    /// What its group is called.
    pub(crate) fn name(&self) -> &str {
        &self.model_name
    }

    /// Its id; else its model.
    pub(crate) fn id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// One more of `litellm_params`, such as `timeout: 0.2`. One of the usual is replaced.
    pub(crate) fn param(mut self, line: &str) -> Self {
        self.params += &format!("\n      {line}");
        self
    }

    /// One more of `model_info`, such as `allowed_fails: 1`.
    pub(crate) fn info(mut self, line: &str) -> Self {
        self.info += &format!("\n      {line}");
        self
    }

    fn yaml(&self) -> String {
        let Self {
            model_name,
            model,
            id,
            params,
            info,
        } = self;
        let usual: &[&str] = match model.split('/').next() {
            Some("openai") => &["api_key: sk-openai", "api_base: os.environ/OPENAI_BASE"],
            Some("anthropic") => &[
                "api_key: sk-anthropic",
                "api_base: os.environ/ANTHROPIC_BASE",
            ],
            Some("bedrock") => &[
                "aws_region_name: us-east-1",
                "aws_access_key_id: AKIASIMULATED",
                "aws_secret_access_key: simulated",
                "aws_bedrock_runtime_endpoint: os.environ/BEDROCK_BASE",
            ],
            _ => &[],
        };
        let mut yaml = format!(
            "  - model_name: {model_name}\n    litellm_params:\n      model: {model}{params}\n"
        );
        for line in usual {
            let key = line.split(':').next().expect("a key");
            if !params.contains(&format!("\n      {key}:")) {
                yaml += &format!("      {line}\n");
            }
        }
        if id.is_some() || !info.is_empty() {
            let id = id
                .as_ref()
                .map(|id| format!("\n      id: {id}"))
                .unwrap_or_default();
            yaml += &format!("    model_info:{id}{info}\n");
        }
        yaml
    }
}

/// A configuration of these deployments; `more` holds its other sections.
pub(crate) fn config(deployments: &[Deployment], more: &str) -> String {
    let models: String = deployments.iter().map(Deployment::yaml).collect();
    format!("model_list:\n{models}{more}\n")
}
