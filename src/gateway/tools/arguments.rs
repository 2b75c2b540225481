//! The arguments of our tools: read field by field, so that each mistake is told by its name.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::gateway::wire::{Text, text};
use crate::nearest::nearest;

/// What is wrong with the arguments, for whoever wrote them.
pub(in crate::gateway) type Mistake = String;

/// The fields of an object, as sent.
pub(super) struct Fields<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Fields<'a> {
    /// Those of `raw`; of none, where it is absent.
    pub fn of(raw: Option<&'a RawValue>, what: &str) -> Result<Self, Mistake> {
        let Some(raw) = raw else {
            return Ok(Self(BTreeMap::new()));
        };
        let fields: BTreeMap<Text<'a>, &RawValue> = serde_json::from_str(raw.get())
            .map_err(|_| format!("{what} must be an object, not {}", kind(raw)))?;
        let named = fields.into_iter().map(|(Text(name), raw)| (name, raw));
        Ok(Self(named.collect()))
    }

    /// A field that is there and not `null`.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|raw| raw.get() != "null")
    }

    /// A text that must be there.
    pub fn text(&self, name: &str) -> Result<Cow<'a, str>, Mistake> {
        let raw = self.get(name).ok_or_else(|| self.missing(name))?;
        text(raw).ok_or_else(|| format!("`{name}` must be text, not {}", kind(raw)))
    }

    pub fn missing(&self, name: &str) -> Mistake {
        let others = self.0.keys().map(|key| &**key);
        match nearest(name, others) {
            Some(near) => format!("`{name}` is missing; is `{near}` meant to be it?"),
            None => format!("`{name}` is missing"),
        }
    }

    /// Refuses any field that is none of `known`.
    pub fn only(&self, known: &[&'static str], what: &str) -> Result<(), Mistake> {
        let Some(odd) = self.0.keys().find(|key| !known.contains(&&***key)) else {
            return Ok(());
        };
        Err(match nearest(odd, known.iter().copied()) {
            Some(near) => format!("{what} knows no `{odd}`; did you mean `{near}`?"),
            None => format!("{what} knows no `{odd}`, only {}", known.join(", ")),
        })
    }
}

/// The arguments of a tool, which existing clients wrap in one object `args`, some even as JSON in a text.
pub(super) fn unwrapped(
    arguments: Option<&RawValue>,
) -> Result<Option<Cow<'_, RawValue>>, Mistake> {
    let outer = Fields::of(arguments, "the arguments")?;
    let Some(inner) = outer.get("args") else {
        return Ok(arguments.map(Cow::Borrowed));
    };
    let Some(quoted) = text(inner) else {
        return Ok(Some(Cow::Borrowed(inner)));
    };
    let inner = RawValue::from_string(quoted.into_owned());
    let inner = inner.map_err(|error| format!("`args` is text, but not JSON: {error}"))?;
    Ok(Some(Cow::Owned(inner)))
}

/// A whole number of at least 1; clients that are written in haste send `2.0` or `"2"`.
pub(super) fn count(raw: &RawValue, name: &str) -> Result<usize, Mistake> {
    let wrong = || {
        format!(
            "`{name}` must be a whole number of at least 1, not {}",
            shown(raw)
        )
    };
    let quoted = text(raw);
    let number = quoted.as_deref().unwrap_or(raw.get()).trim();
    let digits = number.split_once('.').map_or(number, |(whole, fraction)| {
        if fraction.bytes().all(|digit| digit == b'0') {
            whole
        } else {
            number
        }
    });
    match digits.parse::<u128>() {
        Ok(0) | Err(_) => Err(wrong()),
        // Whatever is larger than that is over any limit.
        Ok(count) => Ok(usize::try_from(count).unwrap_or(usize::MAX)),
    }
}

/// What kind of JSON value it is, in words.
pub(super) fn kind(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "text",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn shown(raw: &RawValue) -> String {
    let short = raw.get().chars().take(40).collect::<String>();
    if short.len() < raw.get().len() {
        format!("{short}…")
    } else {
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("JSON")
    }

    #[test]
    fn arguments_come_bare_or_wrapped() {
        for wrapped in [
            r#"{"a":1.00}"#,
            r#"{"args":{"a":1.00}}"#,
            r#"{"args":"{\"a\":1.00}"}"#,
        ] {
            let wrapped = raw(wrapped);
            let bare = unwrapped(Some(&wrapped)).expect("fine").expect("there");
            assert_eq!(bare.get(), r#"{"a":1.00}"#);
        }
        assert!(unwrapped(None).expect("fine").is_none());
        let nothing = raw(r#"{"args":null}"#);
        assert_eq!(
            unwrapped(Some(&nothing))
                .expect("fine")
                .expect("there")
                .get(),
            r#"{"args":null}"#
        );
        for broken in ["[]", "5", r#"{"args":"{"}"#] {
            assert!(unwrapped(Some(&raw(broken))).is_err(), "{broken}");
        }
    }

    #[test]
    fn counts_are_whole_and_at_least_one() {
        for (text, number) in [
            ("1", 1),
            ("2.0", 2),
            ("\"3\"", 3),
            ("99999999999999999999", usize::MAX),
        ] {
            assert_eq!(count(&raw(text), "n"), Ok(number), "{text}");
        }
        for wrong in ["0", "-1", "1.5", "true", "\"many\"", "[]", "1e3"] {
            let mistake = count(&raw(wrong), "n").expect_err(wrong);
            assert!(mistake.contains("at least 1"), "{mistake}");
        }
    }

    #[test]
    fn a_misspelt_field_is_guessed() {
        let object = raw(r#"{"backend_name_ref":"x","num_instance":2,"zero":null}"#);
        let fields = Fields::of(Some(&object), "it").expect("an object");
        assert_eq!(fields.text("backend_name_ref").as_deref(), Ok("x"));
        assert_eq!(
            fields.text("num_instances").expect_err("misspelt"),
            "`num_instances` is missing; is `num_instance` meant to be it?"
        );
        assert!(fields.get("zero").is_none());
        let mistake = fields
            .only(&["backend_name_ref", "num_instances"], "it")
            .expect_err("odd");
        assert!(mistake.contains("`num_instances`?"), "{mistake}");
    }
}
