//! What a relay says, as the bytes of a stream of lines: runtimes of 0.4 relay lines, later ones chunks.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::connection::Dialect;

/// What runtimes put in the place of bytes that are not UTF-8 in themselves, as the halves of a character are.
const BROKEN: char = char::REPLACEMENT_CHARACTER;
/// In Rust and on the wire.
const LINE_FEED: u8 = b'\n';

/// Makes the bytes of lines of what comes, and watches over what is lost at the borders.
pub struct Framing {
    dialect: Dialect,
    /// The last chunk ended in the middle of a line.
    is_inside: bool,
    /// It also ended with a broken character.
    is_broken: bool,
    /// Characters of this line that a border has broken.
    broken: u64,
}

/// Bytes of the stream, and how many lines that end in them hold characters that the runtime has broken.
pub struct Piece {
    pub bytes: Bytes,
    pub spoiled: u64,
}

impl Framing {
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            is_inside: false,
            is_broken: false,
            broken: 0,
        }
    }

    /// The bytes of the next message.
    pub fn take(&mut self, message: Utf8Bytes) -> Piece {
        if self.dialect == Dialect::Lines {
            let line = [message.as_bytes(), &[LINE_FEED]].concat();
            return Piece {
                bytes: line.into(),
                spoiled: 0,
            };
        }
        // Each chunk was decoded by itself. A character in two of them leaves a trace on both sides of the border.
        if self.is_inside && self.is_broken && message.starts_with(BROKEN) {
            self.broken += 1;
        }
        let first_end = message.as_bytes().contains(&LINE_FEED);
        let spoiled = u64::from(first_end && self.broken > 0);
        if first_end {
            self.broken = 0;
        }
        if !message.is_empty() {
            self.is_inside = !message.ends_with('\n');
            self.is_broken = message.ends_with(BROKEN);
        }
        Piece {
            bytes: message.into(),
            spoiled,
        }
    }

    /// The relay is gone: what comes on another one is no continuation of a line that is half done.
    pub fn cut(&mut self) -> Option<Bytes> {
        let is_inside = std::mem::take(&mut self.is_inside);
        (self.is_broken, self.broken) = (false, 0);
        is_inside.then(|| Bytes::from_static(b"\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(parts: &[&str]) -> (String, u64) {
        let mut framing = Framing::new(Dialect::Chunks);
        let mut all = (String::new(), 0);
        for part in parts {
            let piece = framing.take((*part).into());
            all.0
                .push_str(std::str::from_utf8(&piece.bytes).expect("UTF-8"));
            all.1 += piece.spoiled;
        }
        all
    }

    #[test]
    fn lines_get_their_ends_back() {
        let mut framing = Framing::new(Dialect::Lines);
        for (line, bytes) in [("{}", "{}\n"), ("", "\n"), ("{}\r", "{}\r\n")] {
            assert_eq!(framing.take(line.into()).bytes, bytes.as_bytes());
        }
        assert!(framing.cut().is_none(), "never inside a line");
    }

    #[test]
    fn chunks_are_joined_as_they_come() {
        let joined = chunks(&["{\"a\":", "1}\n{\"b\"", "", ":2}\n{}\n"]);
        assert_eq!(joined, ("{\"a\":1}\n{\"b\":2}\n{}\n".to_owned(), 0));
    }

    #[test]
    fn characters_that_a_border_broke_are_counted_by_lines() {
        // "ü" is two bytes: each half becomes a replacement of its own.
        assert_eq!(chunks(&["a\u{fffd}", "\u{fffd}b", "c\n{}\n"]).1, 1);
        assert_eq!(
            chunks(&["\u{fffd}", "\u{fffd}\u{fffd}", "\u{fffd}x\n"]).1,
            1,
            "one line"
        );
        assert_eq!(
            chunks(&["a\u{fffd}", "\u{fffd}\n\u{fffd}", "\u{fffd}\n"]).1,
            2,
            "two lines"
        );
        // What the server itself wrote so stands in the middle, or on one side only.
        assert_eq!(chunks(&["a\u{fffd}b", "c\n"]).1, 0);
        assert_eq!(chunks(&["a\u{fffd}", "c\n"]).1, 0);
        assert_eq!(chunks(&["a\u{fffd}\n", "\u{fffd}\n"]).1, 0);
    }

    #[test]
    fn half_a_line_ends_with_its_relay() {
        let mut framing = Framing::new(Dialect::Chunks);
        framing.take("{\"half\": \"a\u{fffd}".into());
        assert_eq!(framing.cut().as_deref(), Some(&b"\n"[..]));
        assert!(framing.cut().is_none(), "once");
        assert_eq!(framing.take("\u{fffd}rest\"}\n".into()).spoiled, 0);
    }
}
