//! What is wrong with a configuration file: every problem with its place, its path and a hint.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;

use super::tree::NodeId;
use crate::nearest::nearest;

/// Problems of one file that are worth printing.
const SHOWN: usize = 100;
/// Characters of a key that are worth printing.
const KEY_SHOWN: usize = 60;
/// Names that are worth comparing for a hint; a file may define thousands.
const CANDIDATES: usize = 200;

/// A place in a file; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// One problem. No text of it ever holds a configured value: that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `None` where the file as a whole is meant.
    pub place: Option<Place>,
    /// `backends[2].docker_image`; empty for the document as a whole.
    pub path: String,
    pub text: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of the file as a whole.
    pub(super) fn of_file(text: impl Into<String>) -> Self {
        Self {
            place: None,
            path: String::new(),
            text: text.into(),
            hint: None,
        }
    }

    #[must_use]
    pub(super) fn at(self, place: Option<Place>) -> Self {
        Self { place, ..self }
    }

    #[must_use]
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl fmt::Display for Problem {
    /// `14:5: backends[2].dockr_image: unknown key — did you mean docker_image?`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column }) = self.place {
            write!(f, "{line}:{column}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.text)?;
        match &self.hint {
            Some(hint) => write!(f, " — {hint}"),
            None => Ok(()),
        }
    }
}

/// All problems of a file, in the order of the file; its text has one line a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    pub file: PathBuf,
    pub problems: Vec<Problem>,
    /// Problems beyond the first hundred.
    pub more: usize,
}

impl Invalid {
    pub(super) fn one(file: impl Into<PathBuf>, problem: Problem) -> Self {
        Self {
            file: file.into(),
            problems: vec![problem],
            more: 0,
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        for (index, problem) in self.problems.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            let space = if problem.place.is_some() { "" } else { " " };
            write!(f, "{newline}{file}:{space}{problem}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\n{file}: and {more} more"),
        }
    }
}

impl std::error::Error for Invalid {}

/// Collects problems while a tree is read; places are looked up at the end.
#[derive(Default)]
pub(super) struct Report(RefCell<Vec<Found>>);

struct Found {
    node: NodeId,
    path: String,
    text: String,
    hint: Option<String>,
    /// A second place that the text speaks of.
    other: Option<NodeId>,
}

impl Report {
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    pub fn add(&self, node: NodeId, path: &str, text: impl Into<String>) {
        self.push(node, path, text.into(), None, None);
    }

    pub fn add_with_hint(
        &self,
        node: NodeId,
        path: &str,
        text: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(node, path, text.into(), Some(hint.into()), None);
    }

    /// The text goes on with ` at line N`, the place of `other`.
    pub fn add_pointing_at(
        &self,
        node: NodeId,
        path: &str,
        text: impl Into<String>,
        other: NodeId,
    ) {
        self.push(node, path, text.into(), None, Some(other));
    }

    fn push(
        &self,
        node: NodeId,
        path: &str,
        text: String,
        hint: Option<String>,
        other: Option<NodeId>,
    ) {
        self.0.borrow_mut().push(Found {
            node,
            path: path.to_owned(),
            text,
            hint,
            other,
        });
    }

    /// The problems in the order of the file, or `None` if there are none.
    pub fn finish(self, file: PathBuf, place: impl Fn(NodeId) -> Option<Place>) -> Option<Invalid> {
        let mut found = self.0.into_inner();
        if found.is_empty() {
            return None;
        }
        // Each place costs a walk over the document, so only those that are shown are looked up.
        found.sort_by_key(|found| found.node);
        let more = found.len().saturating_sub(SHOWN);
        found.truncate(SHOWN);
        let locate = |found: Found| {
            let other = found.other.and_then(&place);
            let text = match other {
                Some(other) => format!("{} at line {}", found.text, other.line),
                None => found.text,
            };
            Problem {
                place: place(found.node),
                path: found.path,
                text,
                hint: found.hint,
            }
        };
        let mut problems: Vec<_> = found.into_iter().map(locate).collect();
        problems.sort_by_key(|problem| problem.place);
        Some(Invalid {
            file,
            problems,
            more,
        })
    }
}

/// The path of `key` in the mapping at `path`. Unusual keys are quoted, so that a key can neither
/// pass for a path nor reach a terminal with control characters.
pub(super) fn join(path: &str, key: &str) -> String {
    let plain = !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    if !plain || key.chars().count() > KEY_SHOWN {
        return format!("{path}[\"{}\"]", shown(key));
    }
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Text of a file, safe and short enough for a message.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(KEY_SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().count() > KEY_SHOWN {
        shown.push('…');
    }
    shown
}

/// The hint for a word that is not one of `candidates`.
pub(super) fn did_you_mean(word: &str, candidates: &[&str]) -> Option<String> {
    let candidates = candidates.iter().copied().take(CANDIDATES);
    nearest(word, candidates).map(|near| format!("did you mean {}?", shown(near)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusual_keys_are_quoted_escaped_and_cut() {
        assert_eq!(join("", "backends"), "backends");
        assert_eq!(join("a[0]", "b-c_1"), "a[0].b-c_1");
        assert_eq!(join("volumes", "/x"), "volumes[\"/x\"]");
        assert_eq!(join("", "a\u{1b}]0;x"), "[\"a\\u{1b}]0;x\"]");
        assert!(join("", &"k".repeat(1000)).len() < 80);
    }
}
