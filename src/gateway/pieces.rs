//! A message made of pieces: what is ours around what a backend sent, which is never built, parsed or copied whole.

use std::collections::VecDeque;

use bytes::Bytes;

/// Bytes made at a time.
const CHUNK: usize = 64 << 10;

/// The text of one JSON message, in pieces. It has no line breaks.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    queue: VecDeque<Piece>,
    len: u64,
}

#[derive(Debug)]
enum Piece {
    Plain(Bytes),
    /// To be sent as the inside of a JSON string.
    Quoted(Bytes),
}

impl Pieces {
    /// Appends JSON text of our own.
    pub fn push(&mut self, text: impl Into<Bytes>) {
        self.push_plain(text.into());
    }

    /// Appends JSON text that somebody else wrote, perhaps with line breaks between its tokens.
    pub fn push_json(&mut self, json: Bytes) {
        self.push_plain(on_one_line(json));
    }

    /// Appends JSON text as the inside of a JSON string.
    pub fn push_quoted(&mut self, json: Bytes) {
        let json = on_one_line(json);
        self.len += quoted_len(&json) as u64;
        self.queue.push_back(Piece::Quoted(json));
    }

    pub fn append(&mut self, other: Pieces) {
        self.len += other.len;
        self.queue.extend(other.queue);
    }

    fn push_plain(&mut self, text: Bytes) {
        if !text.is_empty() {
            self.len += text.len() as u64;
            self.queue.push_back(Piece::Plain(text));
        }
    }

    /// Bytes that are left.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The next bytes; `None` at the end. A small message comes at once.
    pub fn next(&mut self) -> Option<Bytes> {
        let chunk = if self.len <= CHUNK as u64 {
            self.rest()?
        } else {
            self.chunk()?
        };
        self.len -= chunk.len() as u64;
        Some(chunk)
    }

    fn rest(&mut self) -> Option<Bytes> {
        if self.queue.len() == 1
            && let Some(Piece::Plain(text)) = self.queue.front_mut()
        {
            let text = std::mem::take(text);
            self.queue.clear();
            return Some(text);
        }
        let mut all = Vec::with_capacity(usize::try_from(self.len).unwrap_or_default());
        for piece in self.queue.drain(..) {
            match piece {
                Piece::Plain(text) => all.extend_from_slice(&text),
                Piece::Quoted(json) => quote(&json, &mut all),
            }
        }
        (!all.is_empty()).then(|| all.into())
    }

    fn chunk(&mut self) -> Option<Bytes> {
        loop {
            match self.queue.pop_front()? {
                Piece::Plain(text) => return Some(text),
                Piece::Quoted(mut json) => {
                    let part = json.split_to(json.len().min(CHUNK));
                    if !json.is_empty() {
                        self.queue.push_front(Piece::Quoted(json));
                    }
                    let mut quoted = Vec::with_capacity(part.len() + part.len() / 8);
                    quote(&part, &mut quoted);
                    if !quoted.is_empty() {
                        return Some(quoted.into());
                    }
                }
            }
        }
    }
}

/// Line breaks can only be white space between tokens: strings have them escaped.
fn on_one_line(json: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &json).is_none() {
        return json;
    }
    let mut line = json.to_vec();
    for byte in &mut line {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    line.into()
}

/// JSON text on one line has three kinds of bytes that must be escaped in a string: quotes, backslashes, and
/// tabs between its tokens. Other control characters cannot stand in it.
fn specials(json: &[u8]) -> impl Iterator<Item = usize> {
    memchr::memchr3_iter(b'"', b'\\', b'\t', json)
}

fn quoted_len(json: &[u8]) -> usize {
    json.len() + specials(json).count()
}

fn quote(json: &[u8], to: &mut Vec<u8>) {
    let mut done = 0;
    for at in specials(json) {
        to.extend_from_slice(&json[done..at]);
        to.push(b'\\');
        to.push(if json[at] == b'\t' { b't' } else { json[at] });
        done = at + 1;
    }
    to.extend_from_slice(&json[done..]);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests may
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn all(mut pieces: Pieces) -> String {
        let (len, mut text) = (pieces.len(), Vec::new());
        while let Some(chunk) = pieces.next() {
            assert!(!chunk.is_empty(), "an empty chunk would end a stream");
            text.extend_from_slice(&chunk);
        }
        assert_eq!(len, text.len() as u64);
        assert_eq!(pieces.len(), 0);
        String::from_utf8(text).expect("text")
    }

    fn quoted(json: &str) -> String {
        let mut pieces = Pieces::default();
        pieces.push("\"");
        pieces.push_quoted(Bytes::copy_from_slice(json.as_bytes()));
        pieces.push("\"");
        all(pieces)
    }

    #[test]
    fn quoted_json_reads_back_as_the_same_text() {
        let json = "{\"a\":\t\"x\\n\\\"y\\u0000\", \"ü\": [1]}";
        let back: String = serde_json::from_str(&quoted(json)).expect("a string");
        assert_eq!(back, json);
    }

    #[test]
    fn line_breaks_between_tokens_become_spaces() {
        let mut pieces = Pieces::default();
        pieces.push_json(Bytes::from_static(b"{\r\n \"a\":\n1}"));
        assert_eq!(all(pieces), "{   \"a\": 1}");
        assert_eq!(quoted("{\n}"), "\"{ }\"");
    }

    #[test]
    fn nothing_is_no_chunk() {
        let mut pieces = Pieces::default();
        pieces.push("");
        pieces.push_json(Bytes::new());
        assert!(pieces.next().is_none());
    }

    #[test]
    fn a_large_message_comes_in_chunks_that_are_not_copied() {
        let large = Bytes::from(format!("[{}]", "1,".repeat(CHUNK)));
        let mut pieces = Pieces::default();
        pieces.push("{\"x\":");
        pieces.push_json(large.clone());
        pieces.push("}");
        assert_eq!(pieces.next().expect("ours"), "{\"x\":");
        let theirs = pieces.next().expect("theirs");
        assert_eq!(theirs.as_ptr(), large.as_ptr());
        assert_eq!(pieces.next().expect("ours"), "}");
        assert!(pieces.next().is_none());
    }

    proptest! {
        #[test]
        fn any_value_survives_quoting(text in ".{0,200}", repeat in 1_usize..2_000) {
            let value = json!({ "t": text, "a": vec![text.clone(); repeat.min(400)] });
            for json in [value.to_string(), format!("{value:#}")] {
                let back: String = serde_json::from_str(&quoted(&json)).unwrap();
                let back: Value = serde_json::from_str(&back).unwrap();
                prop_assert!(back == value);
            }
        }
    }
}
