//! `GET /v1/models`: the names that can be asked for, in OpenAI's format.

use std::sync::Arc;

use backstop_core::{BoxError, Failure, FailureKind, Reach};
use backstop_edge::Rejection;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::Serialize;

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

impl<'a> Model<'a> {
    /// `created` is when the gateway was started, in seconds of the Unix clock: clients insist on some time.
    fn new(id: &'a str, created: u64) -> Self {
        Self {
            id,
            object: "model",
            created,
            owned_by: "backstop",
        }
    }
}

pub(crate) fn list(names: &[Arc<str>], created: u64) -> Bytes {
    let data = names.iter().map(|name| Model::new(name, created)).collect();
    json(&List {
        object: "list",
        data,
    })
}

/// One model; `escaped` is its name as it stands in a path.
pub(crate) fn one(names: &[Arc<str>], escaped: &str, created: u64) -> Result<Bytes, Rejection> {
    let name = percent_decode_str(escaped).decode_utf8_lossy();
    if names.iter().any(|known| **known == *name) {
        return Ok(json(&Model::new(&name, created)));
    }
    let unknown = Failure::new(FailureKind::ModelNotFound)
        .with_reach(Reach::Refused)
        .with_detail(format!(
            "the model `{name}` is not configured here; GET /v1/models lists those that are"
        ));
    Err(Rejection::of(&BoxError::from(unknown)))
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value)
        .expect("names and numbers are JSON")
        .into()
}
