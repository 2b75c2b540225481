//! JSON as text: laid out anew or taken apart without touching a digit or an escape.

use std::fmt::Write;

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object in their order, each value as it was written. Of a repeated name the last
/// value counts, as it does for most readers.
pub struct Members(pub Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    match members.iter_mut().find(|(known, _)| *known == name) {
                        Some(member) => member.1 = value,
                        None => members.push((name, value)),
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The items of an array, each as it was written.
pub struct Items(pub Vec<Box<RawValue>>);

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array;
        impl<'de> Visitor<'de> for Array {
            type Value = Items;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a JSON array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Items, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(Array)
    }
}

/// Whether `text` is one JSON value; else where it stops being one. Numbers of any size are fine.
pub fn check(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<&RawValue>(text).map(|_| ())
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Valid JSON without white space between its tokens.
pub fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for token in Tokens(json) {
        out.push_str(token);
    }
    out
}

/// Valid JSON on several lines, indented by two spaces.
pub fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut tokens = Tokens(json).peekable();
    let line = |out: &mut String, depth: usize| {
        let _ = write!(out, "\n{:1$}", "", depth * 2);
    };
    while let Some(token) = tokens.next() {
        match token {
            "{" | "[" => {
                out.push_str(token);
                if let Some(close) = tokens.next_if(|next| matches!(*next, "}" | "]")) {
                    out.push_str(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            "}" | "]" => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push_str(token);
            }
            "," => {
                out.push(',');
                line(&mut out, depth);
            }
            ":" => out.push_str(": "),
            other => out.push_str(other),
        }
    }
    out
}

/// Strings, other scalars and single punctuation marks.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r']);
        let bytes = self.0.as_bytes();
        let len = match *bytes.first()? {
            b'"' => string_len(bytes),
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            _ => bytes
                .iter()
                .position(|byte| b" \t\n\r{}[],:\"".contains(byte))
                .unwrap_or(bytes.len()),
        };
        let (token, rest) = self.0.split_at(len);
        self.0 = rest;
        Some(token)
    }
}

fn string_len(bytes: &[u8]) -> usize {
    let mut escaped = false;
    let close = bytes.iter().skip(1).position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    });
    close.map_or(bytes.len(), |at| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{ "a" : [1e400, 9007199254740993 ,{}, [ ]],"b\"\\": "x  \u00e9" }"#;

    #[test]
    fn layout_changes_nothing_but_white_space() {
        assert_eq!(
            compact(TEXT),
            r#"{"a":[1e400,9007199254740993,{},[]],"b\"\\":"x  \u00e9"}"#
        );
        insta::assert_snapshot!(pretty(TEXT), @r#"
        {
          "a": [
            1e400,
            9007199254740993,
            {},
            []
          ],
          "b\"\\": "x  \u00e9"
        }
        "#);
        assert_eq!(compact(&pretty(TEXT)), compact(TEXT));
    }

    #[test]
    fn members_keep_their_text_and_their_order() {
        let Members(members) =
            serde_json::from_str(r#"{"b": 1e400, "a": 1, "b": 2.50}"#).expect("an object");
        let members: Vec<_> = members
            .iter()
            .map(|(name, value)| (&**name, value.get()))
            .collect();
        assert_eq!(members, [("b", "2.50"), ("a", "1")]);
    }
}
