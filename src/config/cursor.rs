//! Typed reading of a configuration tree: each reader says what it expected and where it was.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;
use strum::VariantNames;

use super::problem::{self, Report};
use super::tree::{Entry, Kind, Node};
use super::units;

/// A node with the path that leads to it. A reader that fails reports and returns nothing.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    pub node: &'a Node,
    path: String,
    report: &'a Report,
}

impl<'a> Cursor<'a> {
    pub fn root(node: &'a Node, report: &'a Report) -> Self {
        Self {
            node,
            path: String::new(),
            report,
        }
    }

    pub fn is_mapping(&self) -> bool {
        matches!(self.node.kind, Kind::Map(_))
    }

    pub fn is_text(&self) -> bool {
        matches!(self.node.kind, Kind::Text { .. })
    }

    pub fn is_list(&self) -> bool {
        matches!(self.node.kind, Kind::List(_))
    }

    fn child(&self, node: &'a Node, path: String) -> Self {
        Self {
            node,
            path,
            report: self.report,
        }
    }

    pub fn problem(&self, text: impl Into<String>) {
        self.report.add(self.node.id, &self.path, text);
    }

    pub fn problem_with_hint(&self, text: impl Into<String>, hint: impl Into<String>) {
        self.report
            .add_with_hint(self.node.id, &self.path, text, hint);
    }

    /// A problem between this value and an earlier one.
    pub fn problem_pointing_at(&self, text: &str, other: &Cursor) {
        let text = format!("{text}: {}", other.path);
        self.report
            .add_pointing_at(self.node.id, &self.path, text, other.node.id);
    }

    /// How many problems the file has up to now.
    pub fn problem_count(&self) -> usize {
        self.report.len()
    }

    fn wrong<T>(&self, expected: &str) -> Option<T> {
        if !matches!(self.node.kind, Kind::Unusable(_)) {
            self.problem(format!("expected {expected}, found {}", self.node.noun()));
        }
        None
    }

    /// Any text that can be handed to an operating system.
    pub fn text(&self) -> Option<&'a str> {
        match &self.node.kind {
            Kind::Text { text, .. } if text.contains('\0') => {
                self.problem("holds a NUL character");
                None
            }
            Kind::Text { text, .. } => Some(text),
            Kind::Number(_) | Kind::Bool(_) => {
                let found = self.node.noun();
                self.problem_with_hint(format!("expected text, found {found}"), "put it in quotes");
                None
            }
            _ => self.wrong("text"),
        }
    }

    pub fn nonempty_text(&self) -> Option<&'a str> {
        let text = self.text()?;
        if text.trim().is_empty() {
            self.problem("must not be empty");
            return None;
        }
        Some(text)
    }

    /// One of the names of `T`.
    pub fn choice<T: FromStr + VariantNames>(&self) -> Option<T> {
        let Kind::Text { text, .. } = &self.node.kind else {
            return self.wrong(&one_of(T::VARIANTS));
        };
        let chosen = text.parse().ok();
        if chosen.is_none() {
            self.not_one_of(text, T::VARIANTS);
        }
        chosen
    }

    pub fn not_one_of(&self, text: &str, names: &[&str]) {
        let expected = format!("expected {}", one_of(names));
        match problem::did_you_mean(text, names) {
            Some(hint) => self.problem_with_hint(expected, hint),
            None => self.problem(expected),
        }
    }

    pub fn flag(&self) -> Option<bool> {
        match &self.node.kind {
            Kind::Bool(flag) => Some(*flag),
            Kind::Text {
                text,
                interpolated: true,
            } => {
                let flag = text.trim().parse().ok();
                if flag.is_none() {
                    self.problem("expected true or false");
                }
                flag
            }
            _ => self.wrong("true or false"),
        }
    }

    pub fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let number = match &self.node.kind {
            Kind::Number(number) => number.as_u64(),
            Kind::Text {
                text,
                interpolated: true,
            } => text.trim().parse().ok(),
            Kind::Text { text, .. } if text.trim().parse::<u64>().is_ok() => {
                self.problem_with_hint("expected a whole number, found text", "remove the quotes");
                return None;
            }
            _ => return self.wrong("a whole number"),
        };
        let found = number.filter(|number| range.contains(number));
        if found.is_none() {
            let (least, most) = range.into_inner();
            self.problem(format!("expected a whole number from {least} to {most}"));
        }
        found
    }

    /// A whole number of any sign.
    pub fn signed(&self) -> Option<i64> {
        let number = match &self.node.kind {
            Kind::Number(number) => number.as_i64(),
            Kind::Text {
                text,
                interpolated: true,
            } => text.trim().parse().ok(),
            _ => None,
        };
        number.or_else(|| self.wrong("a whole number"))
    }

    /// A number that may have a fraction.
    pub fn number(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let number = match &self.node.kind {
            Kind::Number(number) => number.as_f64(),
            Kind::Text {
                text,
                interpolated: true,
            } => text.trim().parse().ok(),
            _ => return self.wrong("a number"),
        };
        let found = number.filter(|number| range.contains(number));
        if found.is_none() {
            let (least, most) = range.into_inner();
            self.problem(format!("expected a number from {least} to {most}"));
        }
        found
    }

    pub fn boolean(&self) -> Option<bool> {
        match &self.node.kind {
            Kind::Bool(value) => Some(*value),
            Kind::Text {
                text,
                interpolated: true,
            } if text.parse::<bool>().is_ok() => text.parse().ok(),
            _ => self.wrong("true or false"),
        }
    }

    /// Text, or a number as it would be written.
    pub fn scalar(&self) -> Option<String> {
        match &self.node.kind {
            Kind::Number(number) => Some(number.to_string()),
            _ => self.text().map(str::to_owned),
        }
    }

    /// Like [`Self::scalar`], or nothing for nothing.
    pub fn scalar_or_nothing(&self) -> Option<String> {
        match &self.node.kind {
            Kind::Null => Some(String::new()),
            _ => self.scalar(),
        }
    }

    /// Like [`Self::scalar`], or a boolean.
    pub fn word(&self) -> Option<String> {
        match &self.node.kind {
            Kind::Bool(value) => Some(value.to_string()),
            _ => self.scalar(),
        }
    }

    /// A number of seconds, or text with a unit.
    pub fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        const EXPECTED: &str = "a duration such as 500ms, 10s, 2m, 1h or a number of seconds";
        let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
        let found = match &self.node.kind {
            Kind::Number(number) => number.as_f64().and_then(seconds),
            Kind::Text { text, interpolated } => units::duration(text).or_else(|| {
                text.trim()
                    .parse()
                    .ok()
                    .filter(|_| *interpolated)
                    .and_then(seconds)
            }),
            _ => return self.wrong(EXPECTED),
        };
        let Some(found) = found else {
            self.problem(format!("expected {EXPECTED}"));
            return None;
        };
        if !range.contains(&found) {
            let (least, most) = (units::shown(*range.start()), units::shown(*range.end()));
            self.problem(format!("must be from {least} to {most}"));
            return None;
        }
        Some(found)
    }

    /// A number of bytes, or text with a unit.
    pub fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        const EXPECTED: &str = "a size such as 64KiB, 256MiB, 1GiB or a number of bytes";
        let found = match &self.node.kind {
            Kind::Number(number) => number.as_u64(),
            Kind::Text { text, interpolated } => {
                units::size(text).or_else(|| text.trim().parse().ok().filter(|_| *interpolated))
            }
            _ => return self.wrong(EXPECTED),
        };
        let Some(found) = found else {
            self.problem(format!("expected {EXPECTED}"));
            return None;
        };
        if !range.contains(&found) {
            self.problem(format!(
                "must be from {} to {} bytes",
                range.start(),
                range.end()
            ));
            return None;
        }
        Some(found)
    }

    pub fn items(&self) -> Vec<Cursor<'a>> {
        let Kind::List(items) = &self.node.kind else {
            self.wrong::<()>("a list");
            return Vec::new();
        };
        let item = |(index, node)| self.child(node, format!("{}[{index}]", self.path));
        items.iter().enumerate().map(item).collect()
    }

    pub fn texts(&self) -> Vec<String> {
        self.items()
            .iter()
            .filter_map(Cursor::text)
            .map(str::to_owned)
            .collect()
    }

    /// The entries of a mapping whose keys are names of the user's own.
    pub fn entries(&self) -> Vec<(&'a str, Cursor<'a>)> {
        let Kind::Map(entries) = &self.node.kind else {
            self.wrong::<()>("a mapping");
            return Vec::new();
        };
        let entry = |entry: &'a Entry| {
            let path = problem::join(&self.path, entry.name());
            (entry.name(), self.child(&entry.value, path))
        };
        entries.iter().map(entry).collect()
    }

    /// A mapping of anything, as JSON.
    pub fn object(&self) -> serde_json::Map<String, Value> {
        let json = |(key, at): (&str, Cursor)| (key.to_owned(), at.node.to_json());
        self.entries().into_iter().map(json).collect()
    }

    /// The text at `key`, if that is what is there; reports nothing.
    pub fn peek(&self, key: &str) -> Option<(Cursor<'a>, &'a str)> {
        let Kind::Map(entries) = &self.node.kind else {
            return None;
        };
        let value = &entries.iter().find(|entry| entry.name() == key)?.value;
        let Kind::Text { text, .. } = &value.kind else {
            return None;
        };
        Some((self.child(value, problem::join(&self.path, key)), text))
    }

    /// A mapping with exactly these keys.
    pub fn fields(&self, keys: &[&str]) -> Fields<'a> {
        self.fields_or(keys, |_| None)
    }

    /// Like [`Self::fields`]; `elsewhere` may say where an unknown key would belong.
    pub fn fields_or(
        &self,
        keys: &[&str],
        elsewhere: impl Fn(&str) -> Option<String>,
    ) -> Fields<'a> {
        let Kind::Map(entries) = &self.node.kind else {
            self.wrong::<()>("a mapping");
            return Fields {
                of: self.clone(),
                entries: None,
            };
        };
        for entry in entries.iter().filter(|entry| !keys.contains(&entry.name())) {
            let path = problem::join(&self.path, entry.name());
            if let Some(place) = elsewhere(entry.name()) {
                self.report.add(entry.key.id, &path, place);
            } else if let Some(hint) = problem::did_you_mean(entry.name(), keys) {
                self.report
                    .add_with_hint(entry.key.id, &path, "unknown key", hint);
            } else {
                let hint = format!("known here: {}", keys.join(", "));
                self.report
                    .add_with_hint(entry.key.id, &path, "unknown key", hint);
            }
        }
        Fields {
            of: self.clone(),
            entries: Some(entries),
        }
    }
}

fn one_of(names: &[&str]) -> String {
    format!("one of {}", names.join(", "))
}

/// The keys of one mapping.
pub(super) struct Fields<'a> {
    pub of: Cursor<'a>,
    /// `None` where the mapping is something else, which has been reported.
    entries: Option<&'a [Entry]>,
}

impl<'a> Fields<'a> {
    /// A key that is absent or `null` is not there.
    pub fn get(&self, key: &str) -> Option<Cursor<'a>> {
        let entry = self.entries?.iter().find(|entry| entry.name() == key)?;
        let there = !matches!(entry.value.kind, Kind::Null);
        there.then(|| {
            self.of
                .child(&entry.value, problem::join(&self.of.path, key))
        })
    }

    /// Reports a key that is not there; `why` completes "required".
    pub fn require(&self, key: &str, why: &str) -> Option<Cursor<'a>> {
        let found = self.get(key);
        if found.is_none() && self.entries.is_some() {
            let path = problem::join(&self.of.path, key);
            self.of.report.add(
                self.of.node.id,
                &path,
                format!("required{why}, but missing"),
            );
        }
        found
    }
}
