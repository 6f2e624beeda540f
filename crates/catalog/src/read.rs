//! Catalogue files, in our format or in LiteLLM's.

mod json;
mod litellm;
mod ours;
mod parts;

use serde_json::value::RawValue;

use self::json::{Mistake, place};
use crate::{Facts, InvalidCatalog};

/// What a file says.
#[derive(Default)]
pub(crate) struct File {
    pub(crate) entries: Vec<(String, Facts)>,
    pub(crate) remarks: Vec<String>,
    /// Which prices had to be rounded up.
    rounded: Vec<String>,
}

impl File {
    fn round(&mut self, key: &str, id: &str) {
        self.rounded.push(format!("`{key}` of `{id}`"));
    }

    /// One remark for all of them: a file may have a hundred.
    fn remark_on_rounded(&mut self) {
        const FINER: &str = "finer than a nano-dollar per million tokens: rounded up";
        match &*self.rounded {
            [] => {}
            [one] => self.remarks.push(format!("{one} is {FINER}")),
            [first, others @ ..] => {
                let others = others.len();
                self.remarks
                    .push(format!("{first} and {others} more prices are {FINER}"));
            }
        }
    }
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
    file.remark_on_rounded();
    for remark in &mut file.remarks {
        *remark = format!("{name}: {remark}");
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
