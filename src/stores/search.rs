//! Finding text in a JSON text, in whatever way the server has spelled it.

use std::fmt::Write;

use regex::bytes::{Regex, RegexBuilder};

/// Backward search looks at pieces of this many bytes, from the end.
const PIECE: usize = 256 << 10;

/// Something to look for, without regard to ASCII case.
pub(super) struct Needle {
    pattern: Regex,
    /// Bytes of its longest spelling.
    longest: usize,
}

impl Needle {
    /// `None` if there is nothing to look for.
    pub fn new(text: &str) -> Option<Self> {
        let spellings = spellings(text);
        let longest = spellings.iter().map(String::len).max()?;
        let alternatives: Vec<String> = spellings.iter().map(|text| regex::escape(text)).collect();
        let mut builder = RegexBuilder::new(&alternatives.join("|"));
        // A literal can only fail to compile by its size.
        let pattern = builder.case_insensitive(true).unicode(false).build().ok()?;
        Some(Self { pattern, longest })
    }

    /// The start of the first occurrence at or after `from`, else of the first one at all; backward: of
    /// the last one that starts before `from`, else of the last one at all.
    pub fn find(&self, bytes: &[u8], from: usize, forward: bool) -> Option<usize> {
        let from = from.min(bytes.len());
        if forward {
            let found = self
                .pattern
                .find_at(bytes, from)
                .or_else(|| self.pattern.find(bytes));
            found.map(|found| found.start())
        } else {
            self.last_before(bytes, from)
                .or_else(|| self.last_before(bytes, bytes.len()))
        }
    }

    fn last_before(&self, bytes: &[u8], mut before: usize) -> Option<usize> {
        while before > 0 {
            let start = before.saturating_sub(PIECE);
            // An occurrence that starts in this piece may end in the next one.
            let piece = &bytes[start..bytes.len().min(before + self.longest - 1)];
            let starts =
                std::iter::successors(self.start_at(piece, 0), |at| self.start_at(piece, at + 1));
            if let Some(last) = starts.take_while(|at| start + at < before).last() {
                return Some(start + last);
            }
            before = start;
        }
        None
    }

    fn start_at(&self, bytes: &[u8], from: usize) -> Option<usize> {
        if from > bytes.len() {
            return None;
        }
        self.pattern.find_at(bytes, from).map(|found| found.start())
    }
}

/// The text as it is, and as JSON may write it: with escapes, and with nothing but ASCII as Python does.
fn spellings(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let mut escaped = String::new();
    let mut ascii = String::new();
    for character in text.chars() {
        let plain = match character {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '\t' => "\\t".to_owned(),
            other => other.to_string(),
        };
        escaped.push_str(&plain);
        if character.is_ascii() {
            ascii.push_str(&plain);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    let mut spellings = vec![text.to_owned(), escaped, ascii];
    spellings.dedup();
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, needle: &str, from: usize, forward: bool) -> Option<usize> {
        Needle::new(needle).and_then(|needle| needle.find(text.as_bytes(), from, forward))
    }

    #[test]
    fn search_wraps_both_ways() {
        let text = "aXbxcX";
        assert_eq!(find(text, "x", 0, true), Some(1));
        assert_eq!(find(text, "x", 2, true), Some(3));
        assert_eq!(find(text, "x", 6, true), Some(1));
        assert_eq!(find(text, "x", 3, false), Some(1));
        assert_eq!(find(text, "x", 1, false), Some(5));
        assert_eq!(find(text, "x", usize::MAX, false), Some(5));
        assert_eq!(find(text, "none", 0, true), None);
        assert_eq!(find(text, "", 0, true), None);
    }

    #[test]
    fn backward_search_sees_overlaps_and_piece_borders() {
        assert_eq!(find("aaaa", "aa", 3, false), Some(2));
        let text = format!("{}needle{}", "x".repeat(PIECE - 3), "y".repeat(PIECE));
        assert_eq!(find(&text, "NEEDLE", usize::MAX, false), Some(PIECE - 3));
    }

    #[test]
    fn a_needle_matches_as_it_is_typed_and_as_json_writes_it() {
        assert_eq!(find(r#"["say \"hi\""]"#, "say \"hi\"", 0, true), Some(2));
        assert_eq!(find(r#"{"name": 1}"#, "\"name\":", 0, true), Some(1));
        assert_eq!(
            find(r#"["na\u00EFve \ud83e\udd80"]"#, "naïve 🦀", 0, true),
            Some(2)
        );
        assert_eq!(find("[\"na\u{ef}ve\"]", "naïve", 0, true), Some(2));
        assert_eq!(find("a.b", "A.B", 0, true), Some(0));
        assert_eq!(find("axb", "a.b", 0, true), None);
    }
}
