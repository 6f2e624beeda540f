//! Where values that are not in the file itself come from.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// What `os.environ/NAME` and `file:/path` refer to.
pub struct Environment {
    variables: Variables,
    /// The files that were read, to watch.
    files: RefCell<Vec<PathBuf>>,
}

enum Variables {
    Process,
    Given(BTreeMap<String, String>),
}

impl Environment {
    /// The process's own environment.
    #[must_use]
    pub fn process() -> Self {
        Self {
            variables: Variables::Process,
            files: RefCell::default(),
        }
    }

    /// These variables and no others, as for a test.
    #[must_use]
    pub fn given<K: Into<String>, V: Into<String>>(
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self {
            variables: Variables::Given(variables),
            files: RefCell::default(),
        }
    }

    /// The variable `name`, if it is set and not empty.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let value = match &self.variables {
            Variables::Process => std::env::var(name).ok(),
            Variables::Given(variables) => variables.get(name).cloned(),
        };
        value.filter(|value| !value.is_empty())
    }

    /// The files that values were read from, so far.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.files.borrow().clone()
    }

    pub(crate) fn resolve(&self, text: String) -> Result<String, String> {
        if let Some(name) = text.strip_prefix("os.environ/") {
            let value = self.variable(name).ok_or_else(|| {
                format!("the environment variable `{name}` is not set; export it, or name another")
            })?;
            // Secrets are put into variables with the end of their file's line.
            return Ok(value.trim_end_matches(['\r', '\n']).to_owned());
        }
        if let Some(name) = placeholder(&text) {
            return Err(format!(
                "`${{{name}}}` stands for itself here; the environment is read by `os.environ/{name}`"
            ));
        }
        if let Some(path) = text.strip_prefix("file:") {
            return self.read(Path::new(path));
        }
        if text.starts_with("exec:") {
            return Err(
                "values by `exec:` are not supported yet; use `os.environ/NAME` or `file:/path`"
                    .to_owned(),
            );
        }
        Ok(text)
    }

    /// The text of a file, which is watched from now on.
    pub(crate) fn watched(&self, path: &Path) -> Result<String, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("the file {} cannot be read: {error}", path.display()))?;
        self.files.borrow_mut().push(path.to_owned());
        Ok(text)
    }

    fn read(&self, path: &Path) -> Result<String, String> {
        let text = self.watched(path)?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(format!("the file {} is empty", path.display()));
        }
        Ok(text.to_owned())
    }
}

/// The name in `${NAME}`, which is what other tools put the environment in by.
fn placeholder(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(is_name)).then_some(name)
}

/// Never shows values: some are secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}
