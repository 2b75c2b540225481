//! Strings of a JSON text as text: unescaped, and divided into lines.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use memchr::{memchr, memchr_iter};

use super::json::clamp;

/// A line whose start is remembered comes at least so often: lines…
const MARK_LINES: usize = 64;
/// …and bytes.
const MARK_BYTES: usize = 64 << 10;

/// Text that is read line by line. Remembers the start of some lines, so that a hundred million short ones
/// cost little memory and any one is found fast.
#[derive(Debug)]
pub struct LinedText {
    text: Bytes,
    /// Lines and where they start, ordered; the first is line 0.
    marks: Vec<(usize, usize)>,
    lines: usize,
}

impl LinedText {
    pub(super) fn new(text: Bytes) -> Self {
        let mut marks = vec![(0, 0)];
        let (mut line, mut last) = (0, (0, 0));
        for end in memchr_iter(b'\n', &text) {
            line += 1;
            let start = end + 1;
            if line - last.0 >= MARK_LINES || start - last.1 >= MARK_BYTES {
                last = (line, start);
                marks.push(last);
            }
        }
        let is_unfinished = text.last().is_some_and(|byte| *byte != b'\n');
        Self {
            text,
            marks,
            lines: line + usize::from(is_unfinished),
        }
    }

    /// The whole text, unescaped.
    pub fn bytes(&self) -> &Bytes {
        &self.text
    }

    /// Number of lines. A line break ends a line: after the last one there is no further, empty line.
    pub fn len(&self) -> usize {
        self.lines
    }

    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Line `index` without its line break, decoded with replacement characters, not yet cleaned; empty
    /// if there is no such line.
    pub fn line(&self, index: usize) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.text[self.span(index)])
    }

    /// The bytes `part` of line `index` like [`LinedText::line`], without torn characters at its edges:
    /// what fits the screen of a line that may be long as the whole text.
    pub fn part(&self, index: usize, part: &Range<usize>) -> Cow<'_, str> {
        let line = &self.text[self.span(index)];
        let mut part = clamp(part, line.len());
        let is_torn = |at: usize| line.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        part.end -= (0..3)
            .take_while(|back| part.end > part.start + back && is_torn(part.end - back))
            .count();
        part.start += (0..3)
            .take_while(|on| part.start + on < part.end && is_torn(part.start + on))
            .count();
        String::from_utf8_lossy(&line[part])
    }

    /// Where line `index` is in [`LinedText::bytes`], without its line break.
    pub fn span(&self, index: usize) -> Range<usize> {
        if index >= self.lines {
            return self.text.len()..self.text.len();
        }
        let mark = self.marks.partition_point(|(line, _)| *line <= index);
        let (line, start) = self.marks[mark.saturating_sub(1)];
        let start = match index - line {
            0 => start,
            skip => memchr_iter(b'\n', &self.text[start..])
                .nth(skip - 1)
                .map_or(start, |at| start + at + 1),
        };
        let len = memchr(b'\n', &self.text[start..]).unwrap_or(self.text.len() - start);
        let has_return = self.text[start..start + len].ends_with(b"\r");
        start..start + len - usize::from(has_return)
    }

    /// The line that contains byte `offset` of the text.
    pub fn line_at(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        let mark = self.marks.partition_point(|(_, start)| *start <= offset);
        let (line, start) = self.marks[mark.saturating_sub(1)];
        let line = line + memchr_iter(b'\n', &self.text[start..offset]).count();
        line.min(self.lines.saturating_sub(1))
    }
}

/// The text of the string at `value`; of any other value, its JSON. Without escapes nothing is copied.
/// Lone surrogates become U+FFFD; an escape that JSON does not know stays as it is.
pub(super) fn unescape(bytes: &Bytes, value: &Range<usize>) -> Bytes {
    match inner(bytes, value) {
        Some(range) if memchr(b'\\', &bytes[range.clone()]).is_some() => {
            unescape_up_to(&bytes[range], usize::MAX).into()
        }
        Some(range) => bytes.slice(range),
        None => bytes.slice(clamp(value, bytes.len())),
    }
}

/// What is between the quotes of the string at `value`.
fn inner(bytes: &[u8], value: &Range<usize>) -> Option<Range<usize>> {
    let range = clamp(value, bytes.len());
    match &bytes[range.clone()] {
        [b'"', .., b'"'] => Some(range.start + 1..range.end - 1),
        [b'"', ..] => Some(range.start + 1..range.end),
        _ => None,
    }
}

/// Stops soon after `max` bytes of text.
fn unescape_up_to(mut raw: &[u8], max: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len().min(max));
    while text.len() < max && !raw.is_empty() {
        let head = &raw[..raw.len().min(max - text.len())];
        let plain = memchr(b'\\', head).unwrap_or(head.len());
        text.extend_from_slice(&head[..plain]);
        raw = &raw[plain..];
        if plain < head.len() {
            let (character, len) = escape(raw);
            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            raw = &raw[len..];
        }
    }
    text
}

/// The character that the escape at the start of `raw` stands for, and the length of the escape.
fn escape(raw: &[u8]) -> (char, usize) {
    let simple = match raw.get(1) {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(byte @ (b'"' | b'\\' | b'/')) => char::from(*byte),
        Some(b'u') => return code_unit(raw).map_or(('\\', 1), |unit| character(unit, &raw[6..])),
        _ => return ('\\', 1),
    };
    (simple, 2)
}

/// `\uXXXX` at the start of `raw`.
fn code_unit(raw: &[u8]) -> Option<u16> {
    let digits = raw.get(..6)?.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok()?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex
        .then(|| u16::from_str_radix(digits, 16).ok())
        .flatten()
}

fn character(unit: u16, rest: &[u8]) -> (char, usize) {
    let pair = |low| char::decode_utf16([unit, low]).next().and_then(Result::ok);
    match char::from_u32(u32::from(unit)) {
        Some(character) => (character, 6),
        None => match code_unit(rest).and_then(pair) {
            Some(character) => (character, 12),
            None => (char::REPLACEMENT_CHARACTER, 6),
        },
    }
}

/// The first `max` bytes of the string at `value` as text, unescaped; of any other value, its JSON. Ends with
/// `…` if there is more. Not yet cleaned.
pub(super) fn excerpt(bytes: &Bytes, value: &Range<usize>, max: usize) -> String {
    let ask = max.saturating_add(4);
    let text = if let Some(range) = inner(bytes, value) {
        unescape_up_to(&bytes[range], ask)
    } else {
        let range = clamp(value, bytes.len());
        bytes[range.start..range.end.min(range.start.saturating_add(ask))].to_vec()
    };
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if text.len() > max {
        let cut = (0..=max)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may")]
mod tests {
    use super::*;

    fn text(json: &str) -> String {
        let bytes = Bytes::copy_from_slice(json.as_bytes());
        String::from_utf8(unescape(&bytes, &(0..json.len())).to_vec()).unwrap()
    }

    #[test]
    fn escapes_become_characters() {
        assert_eq!(text(r#""a\n\t\"\\\/\u00e9\ud83e\udd80""#), "a\n\t\"\\/é🦀");
        assert_eq!(
            text(r#""\ud83e x \udd80 \ud83e\n""#),
            "\u{fffd} x \u{fffd} \u{fffd}\n"
        );
        assert_eq!(
            text(r#""\q \u12 \u+123""#),
            r"\q \u12 \u+123",
            "what is no escape stays"
        );
        assert_eq!(text("[1]"), "[1]");
    }

    #[test]
    fn text_without_escapes_is_not_copied() {
        let bytes = Bytes::from_static(br#"{"a":"plain"}"#);
        let text = unescape(&bytes, &(5..12));
        assert_eq!(text.as_ptr(), bytes[6..].as_ptr());
    }

    #[test]
    fn lines_are_found_wherever_the_marks_are() {
        for width in [0, 1, 100, 70_000] {
            let wanted: Vec<String> = (0..300)
                .map(|n| format!("{n}{}", "x".repeat(width)))
                .collect();
            let text = LinedText::new(wanted.join("\r\n").into());
            let lines: Vec<_> = (0..text.len())
                .map(|index| text.line(index).into_owned())
                .collect();
            assert_eq!(lines, wanted);
            assert!((0..300).all(|index| text.line_at(text.span(index).end) == index));
        }
    }

    #[test]
    fn a_line_break_ends_a_line() {
        let len = |text: &'static str| LinedText::new(text.into()).len();
        assert_eq!(
            [len(""), len("a"), len("a\n"), len("a\n\n"), len("\n")],
            [0, 1, 1, 2, 1]
        );
        assert_eq!(LinedText::new("a".into()).line(5), "");
    }

    #[test]
    fn a_part_of_a_line_has_whole_characters() {
        let lined = LinedText::new("🦀🦀🦀".into());
        assert_eq!(lined.part(0, &(0..6)), "🦀");
        assert_eq!(lined.part(0, &(2..8)), "🦀");
        assert_eq!(lined.part(0, &(1..3)), "");
        assert_eq!(lined.part(0, &(0..99)), "🦀🦀🦀");
    }

    #[test]
    fn an_excerpt_is_bounded_and_marked() {
        let json = format!(r#""{}""#, r"\ud83e\udd80".repeat(1000));
        let bytes = Bytes::from(json);
        assert_eq!(excerpt(&bytes, &(0..bytes.len()), 7), "🦀…");
        let short = Bytes::from_static(br#""a\nb""#);
        assert_eq!(excerpt(&short, &(0..6), 3), "a\nb");
        assert_eq!(excerpt(&short, &(0..6), 2), "a\n…");
    }
}
