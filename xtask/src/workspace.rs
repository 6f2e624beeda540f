//! What `cargo metadata` knows about this workspace.

use crate::{Result, process};
use serde_json::Value;
use std::path::PathBuf;

#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    packages: Vec<Value>,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self> {
        let output = process::cargo(["metadata", "--no-deps", "--format-version=1"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let mut metadata: Value = serde_json::from_slice(&output.stdout)?;
        let path = |key: &str| metadata[key].as_str().map(PathBuf::from);
        Ok(Self {
            root: path("workspace_root").ok_or("metadata without workspace_root")?,
            target: path("target_directory").ok_or("metadata without target_directory")?,
            packages: match metadata["packages"].take() {
                Value::Array(packages) => packages,
                _ => return Err("metadata without packages".into()),
            },
        })
    }

    /// The names of a package's features, `default` excepted.
    pub(crate) fn features(&self, package: &str) -> Result<Vec<&str>> {
        let features = self.packages.iter().find(|it| it["name"] == package);
        let features = features
            .and_then(|it| it["features"].as_object())
            .ok_or_else(|| format!("no package `{package}` in this workspace"))?;
        Ok(features
            .keys()
            .map(String::as_str)
            .filter(|name| *name != "default")
            .collect())
    }
}
