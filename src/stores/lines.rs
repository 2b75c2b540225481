//! Bytes from outside become clean lines: split, capped, decoded, and without any power over the terminal.

use std::borrow::Cow;

use memchr::{memchr, memrchr};
use unicode_width::UnicodeWidthStr;

use super::sgr::Escape;
pub use super::sgr::{Sgr, SgrColor};

/// The longest line kept, bytes, not counting the `…` that marks the cut.
pub const MAX_LINE: usize = 16 << 10;

/// The most changes of look kept in one line; later text looks like the last of them.
/// With [`MAX_LINE`] it bounds the memory of a line.
pub const MAX_RUNS: usize = 512;

const TAB: usize = 8;

/// From this byte of the line on, text looks so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub from: u32,
    pub look: Sgr,
}

/// A line that is safe to draw: no control characters, no bidi overrides, tabs expanded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanLine {
    pub text: Box<str>,
    /// Empty for plain text; ordered by `from`. Text before the first run looks plain.
    pub runs: Box<[Run]>,
}

/// Turns chunks of raw output into clean lines; how the bytes are cut into chunks makes no difference.
///
/// - A line ends at `\n`; `\r` before it is dropped. Of a line with a lone `\r` inside, the text
///   after the last one stays, as a terminal would show the final state of a progress bar.
/// - Lines over [`MAX_LINE`] are cut; the rest up to the line break is skipped.
/// - SGR sequences become runs and are forgotten at the end of the line, so that a colour left open
///   does not tint the rest of the log. Other well-formed escape sequences are removed.
/// - Every other control character, and whatever reorders or hides text, becomes a visible symbol.
#[derive(Debug, Default)]
pub struct LineSplitter {
    /// The unfinished line, at most [`MAX_LINE`] bytes of it.
    partial: Vec<u8>,
    /// More than that has come.
    is_cut: bool,
    /// A `\r` has come after `partial`: any text that follows replaces it.
    carriage_return: bool,
}

impl LineSplitter {
    /// The lines that `bytes` complete.
    pub fn push(&mut self, mut bytes: &[u8]) -> Vec<CleanLine> {
        let mut lines = Vec::new();
        while let Some(end) = memchr(b'\n', bytes) {
            let line = &bytes[..end];
            bytes = &bytes[end + 1..];
            lines.push(if self.is_fresh() {
                whole(line)
            } else {
                self.complete(line)
            });
        }
        self.append(bytes);
        lines
    }

    /// The unfinished last line of a stream that has ended.
    pub fn finish(&mut self) -> Option<CleanLine> {
        let is_empty = self.partial.is_empty();
        let line = self.complete(&[]);
        (!is_empty).then_some(line)
    }

    fn is_fresh(&self) -> bool {
        self.partial.is_empty() && !self.carriage_return
    }

    fn append(&mut self, bytes: &[u8]) {
        let text = trim_returns(bytes);
        if !text.is_empty() {
            let latest = after_return(text);
            if self.carriage_return || latest.len() < text.len() {
                self.partial.clear();
                self.is_cut = false;
            }
            let room = MAX_LINE - self.partial.len();
            self.is_cut |= latest.len() > room;
            self.partial
                .extend_from_slice(&latest[..latest.len().min(room)]);
            self.carriage_return = false;
        }
        self.carriage_return |= text.len() < bytes.len();
    }

    fn complete(&mut self, bytes: &[u8]) -> CleanLine {
        self.append(bytes);
        let line = clean_line(&self.partial, self.is_cut);
        self.partial.clear();
        // One giant line must not hold its memory for ever.
        self.partial.shrink_to(MAX_LINE / 16);
        (self.is_cut, self.carriage_return) = (false, false);
        line
    }
}

/// A line that came in one piece: no copy to the partial line.
fn whole(line: &[u8]) -> CleanLine {
    let line = after_return(trim_returns(line));
    clean_line(&line[..line.len().min(MAX_LINE)], line.len() > MAX_LINE)
}

fn trim_returns(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r'] = bytes {
        bytes = rest;
    }
    bytes
}

fn after_return(bytes: &[u8]) -> &[u8] {
    memrchr(b'\r', bytes).map_or(bytes, |at| &bytes[at + 1..])
}

fn clean_line(raw: &[u8], is_cut: bool) -> CleanLine {
    match std::str::from_utf8(raw) {
        Ok(text) if !is_cut && is_plain(raw) => CleanLine {
            text: text.into(),
            runs: Box::default(),
        },
        _ => {
            let mut cleaner = Cleaner {
                is_cut,
                ..Cleaner::default()
            };
            cleaner.line(&String::from_utf8_lossy(if is_cut {
                trim_torn(raw)
            } else {
                raw
            }));
            cleaner.finish()
        }
    }
}

/// Without the first bytes of a character that the cap has torn apart.
fn trim_torn(raw: &[u8]) -> &[u8] {
    let tail = raw.len().saturating_sub(3);
    let lead = raw[tail..]
        .iter()
        .rposition(|&byte| byte >= 0xc0)
        .map_or(raw.len(), |at| tail + at);
    match std::str::from_utf8(&raw[lead..]) {
        Err(error) if error.error_len().is_none() => &raw[..lead],
        _ => raw,
    }
}

/// Printable ASCII only: what most output is.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, 0x20..=0x7e))
}

/// The visible stand-in of a character that must not reach the terminal.
fn symbol(character: char) -> Option<char> {
    match character {
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(character)),
        '\x7f' => Some('␡'),
        // Next line, line separator, paragraph separator.
        '\u{85}' | '\u{2028}' | '\u{2029}' => Some('␤'),
        // C1; bidi marks, embeddings, overrides and isolates; deprecated formats; interlinear
        // annotations; tag characters, in which text can be smuggled past a reader's eyes.
        '\u{80}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{206f}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => Some('␦'),
        _ => None,
    }
}

fn next_foreign(text: &str) -> Option<(usize, char)> {
    text.char_indices()
        .find(|&(_, character)| symbol(character).is_some())
}

/// Builds clean text.
#[derive(Default)]
struct Cleaner {
    text: String,
    runs: Vec<Run>,
    look: Sgr,
    /// Where the text after the last tab starts, and the column there.
    measured: (usize, usize),
    is_cut: bool,
}

impl Cleaner {
    fn line(&mut self, mut rest: &str) {
        while let Some((at, character)) = next_foreign(rest) {
            self.push(&rest[..at]);
            rest = &rest[at..];
            if character == '\x1b'
                && let Some(escape) = Escape::parse(rest)
            {
                if let Some(parameters) = escape.sgr {
                    self.look.apply(parameters);
                }
                rest = &rest[escape.len..];
            } else {
                self.stand_in(character);
                rest = &rest[character.len_utf8()..];
            }
            if self.text.len() > MAX_LINE {
                return;
            }
        }
        self.push(rest);
    }

    fn stand_in(&mut self, character: char) {
        if character == '\t' {
            let (from, column) = self.measured;
            let column = column + self.text[from..].width();
            let spaces = TAB - column % TAB;
            self.push(&"        "[..spaces]);
            self.measured = (self.text.len(), column + spaces);
        } else if let Some(symbol) = symbol(character) {
            self.push(symbol.encode_utf8(&mut [0; 4]));
        }
    }

    fn push(&mut self, text: &str) {
        let current = self.runs.last().map(|run| run.look).unwrap_or_default();
        if !text.is_empty() && self.look != current && self.runs.len() < MAX_RUNS {
            // A line is cut soon after `MAX_LINE`, long before this saturates.
            let from = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
            self.runs.push(Run {
                from,
                look: self.look,
            });
        }
        self.text.push_str(text);
    }

    fn finish(mut self) -> CleanLine {
        if self.text.len() > MAX_LINE {
            let end = (0..=MAX_LINE)
                .rev()
                .find(|&at| self.text.is_char_boundary(at))
                .unwrap_or(0);
            self.text.truncate(end);
            self.runs.retain(|run| (run.from as usize) < end);
            self.is_cut = true;
        }
        if self.is_cut {
            self.text.push('…');
        }
        CleanLine {
            text: self.text.into(),
            runs: self.runs.into(),
        }
    }
}

/// Makes one piece of foreign text safe to draw on one row: control characters (C0, C1, DEL), escape
/// sequences, line breaks and bidirectional overrides become visible symbols (`␛`, `␊`, `␦`, …), tabs become spaces.
/// Nothing else is changed or lost; joiners inside emoji stay.
pub fn clean(text: &str) -> Cow<'_, str> {
    if is_plain(text.as_bytes()) || next_foreign(text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut cleaner = Cleaner {
        text: String::with_capacity(text.len() + 16),
        ..Cleaner::default()
    };
    let mut rest = text;
    while let Some((at, character)) = next_foreign(rest) {
        cleaner.push(&rest[..at]);
        cleaner.stand_in(character);
        rest = &rest[at + character.len_utf8()..];
    }
    cleaner.push(rest);
    Cow::Owned(cleaner.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<CleanLine> {
        let mut splitter = LineSplitter::default();
        let mut lines: Vec<CleanLine> = chunks
            .iter()
            .flat_map(|chunk| splitter.push(chunk))
            .collect();
        lines.extend(splitter.finish());
        lines
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        lines(&[bytes])
            .into_iter()
            .map(|line| line.text.into())
            .collect()
    }

    #[test]
    fn lines_end_at_line_breaks_of_both_kinds() {
        assert_eq!(texts(b"one\ntwo\r\n\nthree"), ["one", "two", "", "three"]);
        assert!(texts(b"").is_empty());
    }

    #[test]
    fn of_a_progress_bar_the_last_state_stays() {
        assert_eq!(texts(b" 10%\r 50%\r100%\r\ndone\r"), ["100%", "done"]);
        let mut splitter = LineSplitter::default();
        for _ in 0..10_000 {
            assert!(splitter.push(b"still working\r").is_empty());
        }
        assert_eq!(splitter.push(b"ready\n")[0].text.as_ref(), "ready");
    }

    #[test]
    fn a_character_may_span_chunks() {
        let [first, second] = ["é".as_bytes()[..1].to_vec(), "é".as_bytes()[1..].to_vec()];
        assert_eq!(lines(&[&first, &second, b"\n"])[0].text.as_ref(), "é");
        assert_eq!(texts(b"a\xffb"), ["a\u{fffd}b"]);
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let long = "x".repeat(MAX_LINE + 1) + "\nnext\n";
        let lines = texts(long.as_bytes());
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], "x".repeat(MAX_LINE) + "…");
        assert_eq!(lines[1], "next");
        assert_eq!(
            texts("y".repeat(MAX_LINE).as_bytes()),
            ["y".repeat(MAX_LINE)]
        );
    }

    #[test]
    fn a_cut_never_tears_a_character() {
        for shift in 0..4 {
            let text = "x".repeat(shift) + &"🦀".repeat(MAX_LINE);
            let line = &texts(text.as_bytes())[0];
            assert!(!line.contains('\u{fffd}'), "shift {shift}");
            assert!(line.ends_with("🦀…"));
        }
    }

    #[test]
    fn what_cleaning_adds_counts_against_the_cap() {
        let line = &lines(&[&b"\t".repeat(MAX_LINE)])[0];
        assert_eq!(line.text.len(), MAX_LINE + "…".len());
        let colors: Vec<u8> = (0..2000)
            .flat_map(|n| format!("\x1b[{}mx", 31 + n % 2).into_bytes())
            .collect();
        assert_eq!(lines(&[&colors])[0].runs.len(), MAX_RUNS);
    }

    #[test]
    fn tabs_stop_at_every_eighth_column() {
        assert_eq!(texts("a\tb\t\tc".as_bytes()), ["a       b               c"]);
        assert_eq!(
            texts("日本\tx".as_bytes()),
            ["日本    x"],
            "wide characters take two columns"
        );
        assert_eq!(clean("1234567\t8"), "1234567 8");
    }

    #[test]
    fn colors_become_runs() {
        let line = &lines(&[b"plain \x1b[31;1mred\x1b[0m plain\x1b[m"])[0];
        assert_eq!(line.text.as_ref(), "plain red plain");
        let red = Sgr {
            foreground: Some(SgrColor::Indexed(1)),
            bold: true,
            ..Sgr::default()
        };
        assert_eq!(
            *line.runs,
            [
                Run { from: 6, look: red },
                Run {
                    from: 9,
                    look: Sgr::default()
                }
            ]
        );
    }

    #[test]
    fn a_color_left_open_ends_with_its_line() {
        assert!(lines(&[b"\x1b[31mred\nplain\n"])[1].runs.is_empty());
    }

    #[test]
    fn sequences_with_power_over_the_terminal_vanish_from_logs() {
        assert_eq!(
            texts(b"\x1b[2J\x1b[1;1Ha\x1b]0;title\x07b\x1b]52;c;AAAA\x1b\\c\x1bPq\x1b\\d\x1b(B"),
            ["abcd"]
        );
    }

    #[test]
    fn everything_else_shows_as_a_symbol() {
        assert_eq!(texts(b"\x07\x08\0\x7f\x1b"), ["␇␈␀␡␛"]);
        assert_eq!(
            texts("\u{9b}2J \u{202e}abc\u{2066}".as_bytes()),
            ["␦2J ␦abc␦"]
        );
    }

    #[test]
    fn clean_loses_nothing_and_keeps_emoji() {
        assert_eq!(clean("a\nb\x1b[31mc\r"), "a␊b␛[31mc␍");
        assert_eq!(clean("\u{202e}evil\u{e0041}"), "␦evil␦");
        for kept in ["plain", "naïve 日本", "👩\u{200d}👩\u{200d}👧", "❤\u{fe0f}"] {
            assert!(matches!(clean(kept), Cow::Borrowed(text) if text == kept));
        }
    }
}
