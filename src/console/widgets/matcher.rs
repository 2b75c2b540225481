//! What a user searches for: a regular expression, or plain text.

use std::ops::Range;

use regex::{Regex, RegexBuilder};

/// A pattern that was typed. Capitals in it make it case-sensitive; what is no valid regular expression
/// is taken literally.
#[derive(Clone, Debug)]
pub struct Matcher {
    typed: String,
    regex: Regex,
}

impl Matcher {
    /// `None` for an empty pattern.
    pub fn new(typed: &str) -> Option<Self> {
        Self::compile(typed, typed).or_else(|| Self::literal(typed))
    }

    /// The text itself, whatever characters it has.
    pub fn literal(typed: &str) -> Option<Self> {
        Self::compile(typed, &regex::escape(typed))
    }

    fn compile(typed: &str, pattern: &str) -> Option<Self> {
        if typed.is_empty() {
            return None;
        }
        let insensitive = !typed.chars().any(char::is_uppercase);
        let regex = RegexBuilder::new(pattern)
            .case_insensitive(insensitive)
            .multi_line(true)
            .build()
            .ok()?;
        Some(Self {
            typed: typed.to_owned(),
            regex,
        })
    }

    pub fn typed(&self) -> &str {
        &self.typed
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Where the first match starts.
    pub fn first(&self, text: &str) -> Option<usize> {
        self.regex.find(text).map(|found| found.start())
    }

    /// Where the last match starts.
    pub fn last(&self, text: &str) -> Option<usize> {
        self.regex.find_iter(text).last().map(|found| found.start())
    }

    /// Where it matches, without empty matches.
    pub fn ranges<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        let matches = self.regex.find_iter(text).map(|found| found.range());
        matches.filter(|range| !range.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_matters_only_if_a_capital_was_typed() {
        let matches = |typed, text| Matcher::new(typed).is_some_and(|m| m.is_match(text));
        assert!(matches("err.r", "ERROR"));
        assert!(!matches("Error", "ERROR"));
        assert!(matches("a(b", "A(B"), "an invalid expression is literal");
        assert!(Matcher::new("").is_none());
    }

    #[test]
    fn empty_matches_are_not_shown() {
        let matcher = Matcher::new("a*").expect("a pattern");
        let starts = matcher.ranges("baab").map(|range| (range.start, range.end));
        assert_eq!(starts.collect::<Vec<_>>(), [(1, 3)]);
    }
}
