//! What an API answers to a request for instances: a list, read one by one so that one odd entry spoils no other.

use serde_json::{Map, Value};

use crate::mcp::excerpt;

/// Bytes of an unusable answer that may be shown.
const START: usize = 4 << 10;
/// Characters of it, and of a detail, that are.
const EXCERPT: usize = 120;
/// Details of an instance that are shown.
const DETAILS: usize = 16;
/// Parts of names whose values are nobody's business.
const SECRET: [&str; 7] = [
    "token",
    "secret",
    "password",
    "passwd",
    "key",
    "auth",
    "credential",
];

/// An instance as the API describes it, as far as it does.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Item {
    pub id: Option<String>,
    pub url: Option<String>,
    /// `instance_id` and the plain values of `additional_details`, fit to be shown.
    pub details: Vec<(String, String)>,
}

/// Takes out of a text what must not be shown.
pub(super) type Scrub<'a> = &'a dyn Fn(String) -> String;

/// The instances of an answer.
///
/// # Errors
/// What it is instead, as the end of a sentence.
pub(super) fn items(body: &[u8], scrub: Scrub) -> Result<Vec<Item>, String> {
    let value: Value = serde_json::from_slice(body).map_err(|_| {
        let text = String::from_utf8_lossy(&body[..body.len().min(START)]);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("not with JSON: {}", shown(text, scrub))
    })?;
    match value {
        Value::Array(list) => Ok(list.iter().map(|value| item(value, scrub)).collect()),
        other => {
            let text = shown(other.to_string(), scrub);
            Err(format!("not with a list of instances: {text}"))
        }
    }
}

fn item(value: &Value, scrub: Scrub) -> Item {
    let mut details = vec![];
    if let Some(name) = text(&value["instance_id"]) {
        details.push(("instance id of the API".to_owned(), shown(name, scrub)));
    }
    if let Value::Object(more) = &value["additional_details"] {
        details.extend(plain(more, scrub));
    }
    Item {
        id: text(&value["remote_instance_id"]).filter(|id| !id.is_empty()),
        url: value["mcp_endpoint_url"].as_str().map(str::to_owned),
        details,
    }
}

/// Some count their instances.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn plain(details: &Map<String, Value>, scrub: Scrub) -> impl Iterator<Item = (String, String)> {
    let is_secret = |name: &str| {
        let name = name.to_lowercase();
        SECRET.iter().any(|part| name.contains(part))
    };
    let pair = move |(name, value): (&String, &Value)| {
        let value = match value {
            Value::Bool(flag) => flag.to_string(),
            value => text(value)?,
        };
        let value = if is_secret(name) {
            "•••".to_owned()
        } else {
            shown(value, scrub)
        };
        Some((shown(name.clone(), scrub), value))
    };
    details.iter().filter_map(pair).take(DETAILS)
}

/// Cut last: a part of a secret is not known as one.
fn shown(text: String, scrub: Scrub) -> String {
    excerpt(&scrub(text), EXCERPT).to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests may
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_far_as_they_can_be() {
        let body = br#"[
            { "remote_instance_id": "a", "mcp_endpoint_url": "http://h/mcp", "instance_id": "x",
              "additional_details": { "region": "eu", "api_token": "hush", "cores": 2, "deep": {} } },
            { "remote_instance_id": 7 },
            { "mcp_endpoint_url": 7 },
            "odd"
        ]"#;
        let items = items(body, &|text| text).unwrap();
        let pair = |(name, value): &(String, String)| format!("{name}={value}");
        let details: Vec<_> = items[0].details.iter().map(pair).collect();
        assert_eq!(
            details,
            [
                "instance id of the API=x",
                "region=eu",
                "api_token=•••",
                "cores=2"
            ]
        );
        assert_eq!(items[0].id.as_deref(), Some("a"));
        assert_eq!(items[1].id.as_deref(), Some("7"));
        assert_eq!(items[2..], [Item::default(), Item::default()]);
    }

    #[test]
    fn an_answer_of_another_shape_is_quoted() {
        for (body, right) in [
            ("<html>\n oops", "not with JSON: <html> oops"),
            (
                r#"{"instances": []}"#,
                r#"not with a list of instances: {"instances":[]}"#,
            ),
        ] {
            assert_eq!(items(body.as_bytes(), &|text| text).unwrap_err(), right);
        }
    }
}
