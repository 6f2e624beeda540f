//! JSON to the SDK's documents and back.

use std::collections::HashMap;

use aws_smithy_types::{Document, Number};
use serde_json::Value;

/// JSON text as a document.
///
/// The SDK keeps objects in hash maps, so the order of keys is lost on the way.
pub(crate) fn parse(json: &str) -> Result<Document, serde_json::Error> {
    serde_json::from_str(json).map(from_value)
}

/// An object of these members.
pub(crate) fn object<const N: usize>(members: [(&str, Document); N]) -> Document {
    Document::Object(HashMap::from(
        members.map(|(name, value)| (name.to_owned(), value)),
    ))
}

/// A document as JSON text; its keys in alphabetical order.
pub(crate) fn to_json(document: &Document) -> String {
    to_value(document).to_string()
}

fn from_value(value: Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(bool) => Document::Bool(bool),
        Value::Number(number) => Document::Number(match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Number::PosInt(number),
            (None, Some(number)) => Number::NegInt(number),
            (None, None) => Number::Float(number.as_f64().unwrap_or(f64::NAN)),
        }),
        Value::String(text) => Document::String(text),
        Value::Array(items) => Document::Array(items.into_iter().map(from_value).collect()),
        Value::Object(members) => Document::Object(
            members
                .into_iter()
                .map(|(name, value)| (name, from_value(value)))
                .collect(),
        ),
    }
}

fn to_value(document: &Document) -> Value {
    match document {
        Document::Null => Value::Null,
        Document::Bool(bool) => Value::Bool(*bool),
        Document::Number(Number::PosInt(number)) => Value::from(*number),
        Document::Number(Number::NegInt(number)) => Value::from(*number),
        Document::Number(Number::Float(number)) => Value::from(*number),
        Document::String(text) => Value::from(text.as_str()),
        Document::Array(items) => items.iter().map(to_value).collect(),
        Document::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), to_value(value)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let json = r#"{"a":[1,-2,0.5,"x",null,true],"b":{"c":18446744073709551615}}"#;
        assert_eq!(to_json(&parse(json).expect("JSON")), json);
    }
}
