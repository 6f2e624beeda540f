//! Catalogue files, in our format or in LiteLLM's.

mod json;
mod litellm;
mod ours;

use serde_json::value::RawValue;

use self::json::{Mistake, place};
use crate::{Facts, InvalidCatalog};

/// What a file says.
#[derive(Default)]
pub(crate) struct File {
    pub(crate) entries: Vec<(String, Facts)>,
    pub(crate) remarks: Vec<String>,
}

pub(crate) fn file(name: &str, text: &str) -> Result<File, InvalidCatalog> {
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| {
        InvalidCatalog::new(name, error.line(), error.column(), json::syntax(&error))
    })?;
    let read = match whole.get().as_bytes().first() {
        Some(b'[') => ours::read(whole),
        Some(b'{') => litellm::read(whole),
        _ => Err(Mistake::at(
            whole,
            "neither a list of models nor an object of them",
        )),
    };
    let mut file = read.map_err(|mistake| {
        let (line, column) = place(text, mistake.at);
        InvalidCatalog::new(name, line, column, mistake.message)
    })?;
    for remark in &mut file.remarks {
        *remark = format!("{name}: {remark}");
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
