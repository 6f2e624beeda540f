//! A small value that satisfies a JSON schema: the arguments of tool calls and structured answers.

use serde_json::{Map, Value, json};

/// How deep a value nests; below it there is only `null`.
const DEPTH: usize = 12;

/// A value for `schema`: objects with all their properties, arrays of one item, the first of every choice.
///
/// Patterns, lengths and bounds other than `minimum` are not looked at.
pub(crate) fn sample(schema: &Value) -> Value {
    value(schema, schema, DEPTH)
}

fn value(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    let below = |schema: &Value| value(schema, root, depth - 1);

    if let Some(target) = schema["$ref"].as_str() {
        return target
            .strip_prefix('#')
            .and_then(|pointer| root.pointer(pointer))
            .map_or(Value::Null, below);
    }
    if let Some(constant) = schema.get("const") {
        return constant.clone();
    }
    let choices = ["enum", "anyOf", "oneOf", "allOf"];
    for name in choices {
        if let Some(first) = schema[name].get(0) {
            return if name == "enum" {
                first.clone()
            } else {
                below(first)
            };
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null"),
        kind => kind.as_str(),
    };
    match kind {
        Some("string") => json!("sim"),
        Some("integer") => json!(schema["minimum"].as_i64().unwrap_or(7)),
        Some("number") => json!(schema["minimum"].as_f64().unwrap_or(1.5)),
        Some("boolean") => json!(true),
        Some("array") => json!([below(&schema["items"])]),
        Some("null") => Value::Null,
        _ => {
            let properties = schema["properties"].as_object();
            let properties = properties.into_iter().flatten();
            Value::Object(
                properties
                    .map(|(name, schema)| (name.clone(), below(schema)))
                    .collect::<Map<_, _>>(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_what_the_schema_asks_for() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 3},
                "share": {"type": "number"},
                "warm": {"type": ["null", "boolean"]},
                "unit": {"enum": ["celsius", "kelvin"]},
                "tags": {"type": "array", "items": {"$ref": "#/$defs/Tag"}},
                "more": {"anyOf": [{"type": "object", "properties": {}}, {"type": "null"}]},
            },
            "$defs": {"Tag": {"type": "object", "properties": {"kind": {"const": "a"}}}},
        });
        assert_eq!(
            sample(&schema),
            json!({
                "city": "sim", "days": 3, "share": 1.5, "warm": true, "unit": "celsius",
                "tags": [{"kind": "a"}], "more": {},
            })
        );
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
        let text = sample(&schema).to_string();
        assert!(
            text.starts_with(r#"{"next":{"next""#) && text.contains("null"),
            "{text}"
        );
    }
}
