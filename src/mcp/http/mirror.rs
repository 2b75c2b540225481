//! Header fields that repeat parts of a message, so that what lies on its way need not read it (2026-07-28).

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::mcp::link::Sent;

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: &str = "Mcp-Name";
const PARAM: &str = "Mcp-Param-";
/// The keyword of a schema that asks for a parameter to be repeated.
const KEYWORD: &str = "x-mcp-header";
/// A parameter that a tool wants repeated: where it is in the arguments, and the header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mcp) struct Repeated {
    path: Vec<String>,
    field: String,
}

/// The fields of a request.
pub(super) fn headers(sent: &Sent) -> HeaderMap {
    let field = |(name, value): &(String, String)| {
        let name = HeaderName::try_from(name).ok()?;
        Some((name, HeaderValue::try_from(value).ok()?))
    };
    let mut headers: HeaderMap = sent.mirrored.iter().filter_map(field).collect();
    headers.insert(METHOD, HeaderValue::from_static(sent.method));
    headers
}

/// What the header of a tool call repeats.
pub(in crate::mcp) fn call(
    tool: &str,
    arguments: &RawValue,
    repeated: &[Repeated],
) -> Vec<(String, String)> {
    let mut fields = vec![(NAME.to_owned(), encoded(tool))];
    if repeated.is_empty() {
        return fields;
    }
    let arguments: Value = serde_json::from_str(arguments.get()).unwrap_or_default();
    for Repeated { path, field } in repeated {
        let value = path
            .iter()
            .try_fold(&arguments, |value, key| value.get(key));
        let text = match value {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(flag)) => flag.to_string(),
            Some(Value::Number(number)) => number.to_string(),
            _ => continue,
        };
        fields.push((format!("{PARAM}{field}"), encoded(&text)));
    }
    fields
}

/// A value as a header can carry it: as it is, or its UTF-8 in base64 between two marks.
fn encoded(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let is_padded = text.starts_with(' ') || text.ends_with(' ');
    let is_marked = text.starts_with("=?base64?") && text.ends_with("?=");
    if is_plain && !is_padded && !is_marked {
        return text.to_owned();
    }
    format!("=?base64?{}?=", STANDARD.encode(text))
}

/// The parameters that a schema wants repeated, or what is wrong with its wish.
pub(in crate::mcp) fn repeated(schema: &Value) -> Result<Arc<[Repeated]>, String> {
    let mut found = Found::default();
    found.walk(schema, Some(&mut Vec::new()))?;
    Ok(found.repeated.into())
}

#[derive(Default)]
struct Found {
    repeated: Vec<Repeated>,
    fields: HashSet<String>,
}

impl Found {
    /// `path` leads from the root through `properties` alone; elsewhere a wish cannot be fulfilled.
    fn walk(&mut self, schema: &Value, path: Option<&mut Vec<String>>) -> Result<(), String> {
        match (schema, path) {
            (Value::Object(object), Some(path)) => {
                if let Some(wish) = object.get(KEYWORD) {
                    self.add(object, wish, path)?;
                }
                for (key, value) in object {
                    match (key.as_str(), value) {
                        ("properties", Value::Object(properties)) => {
                            for (name, property) in properties {
                                path.push(name.clone());
                                self.walk(property, Some(&mut *path))?;
                                path.pop();
                            }
                        }
                        // These hold values, not schemas.
                        ("default" | "const" | "enum" | "examples" | KEYWORD, _) => {}
                        _ => self.walk(value, None)?,
                    }
                }
                Ok(())
            }
            (Value::Object(object), None) => {
                // A property may well have that name.
                if object.get(KEYWORD).is_some_and(Value::is_string) {
                    return Err(format!("{KEYWORD} stands where no parameter always is"));
                }
                object.values().try_for_each(|value| self.walk(value, None))
            }
            (Value::Array(items), _) => items.iter().try_for_each(|value| self.walk(value, None)),
            _ => Ok(()),
        }
    }

    fn add(
        &mut self,
        property: &serde_json::Map<String, Value>,
        wish: &Value,
        path: &[String],
    ) -> Result<(), String> {
        let place = path.join(".");
        let Some(field) = wish.as_str().filter(|field| is_token(field)) else {
            return Err(format!(
                "{KEYWORD} of {place} is not the name of a header field"
            ));
        };
        if path.is_empty() {
            return Err(format!("{KEYWORD} is on no parameter"));
        }
        if !matches!(
            property.get("type").and_then(Value::as_str),
            Some("string" | "integer" | "boolean")
        ) {
            return Err(format!(
                "{KEYWORD} is on {place}, which is no text, integer or boolean"
            ));
        }
        if !self.fields.insert(field.to_ascii_lowercase()) {
            return Err(format!("{KEYWORD} {field} is there twice"));
        }
        self.repeated.push(Repeated {
            path: path.to_vec(),
            field: field.to_owned(),
        });
        Ok(())
    }
}

/// `token` of RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests may
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(schema: &Value, arguments: &Value) -> Vec<(String, String)> {
        let arguments = RawValue::from_string(arguments.to_string()).unwrap();
        call("tool", &arguments, &repeated(schema).unwrap())
    }

    #[test]
    fn values_are_encoded_as_the_specification_shows() {
        for (value, right) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            assert_eq!(encoded(value), right, "{value:?}");
        }
    }

    #[test]
    fn parameters_are_repeated_where_they_are_there() {
        let schema = json!({ "type": "object", "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "deep": { "type": "object", "properties": {
                "n": { "type": "integer", "x-mcp-header": "N" },
            } },
            "flag": { "type": "boolean", "x-mcp-header": "Flag" },
            "x-mcp-header": { "type": "string" },
        } });
        let arguments = json!({ "region": "eu", "deep": { "n": -7 }, "flag": null });
        let right = [
            ("Mcp-Name", "tool"),
            ("Mcp-Param-Region", "eu"),
            ("Mcp-Param-N", "-7"),
        ];
        let right = right.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(fields(&schema, &arguments), right);
    }

    #[test]
    fn wishes_that_cannot_be_fulfilled_are_told() {
        let of = |property: Value| json!({ "properties": { "a": property } });
        let string = |field: &str| json!({ "type": "string", "x-mcp-header": field });
        for schema in [
            of(string("")),
            of(string("a b")),
            of(string("a\r\nb")),
            of(json!({ "type": "string", "x-mcp-header": 1 })),
            of(json!({ "type": "number", "x-mcp-header": "N" })),
            of(json!({ "type": "array", "items": string("I") })),
            of(json!({ "oneOf": [string("O")] })),
            json!({ "type": "object", "x-mcp-header": "Root" }),
            json!({ "$defs": { "d": string("D") } }),
            json!({ "properties": { "a": string("Same"), "b": string("same") } }),
        ] {
            assert!(repeated(&schema).is_err(), "{schema}");
        }
    }
}
