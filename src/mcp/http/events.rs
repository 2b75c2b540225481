//! Server-sent events, as the HTML standard defines their stream.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncRead;

use super::words;
use crate::mcp::stdio::{Line, Lines};
use crate::model::Cause;

/// Room for what stands before a line's value.
const FIELD: usize = 16;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// `message` unless the server named it.
    pub kind: Box<str>,
    pub data: Bytes,
}

/// Reads a stream of events of at most `limit` bytes each.
pub(super) struct Events<R> {
    lines: Lines<R>,
    limit: usize,
    server: String,
    data: Option<Data>,
    kind: Box<str>,
    pub cursor: Cursor,
}

/// Where a broken stream can be taken up again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The id of the last event.
    pub last_event: Option<Box<str>>,
    /// How long the server wants us to wait before.
    pub retry: Option<Duration>,
}

/// One line of data is handed on without a copy; more are joined.
enum Data {
    One(Bytes),
    Joined(Vec<u8>),
}

impl<R: AsyncRead + Unpin> Events<R> {
    pub fn new(read: R, limit: usize, server: &str, cursor: Cursor) -> Self {
        Self {
            lines: Lines::with_any_break(read, limit.saturating_add(FIELD)),
            limit,
            server: server.to_owned(),
            data: None,
            kind: "".into(),
            cursor,
        }
    }

    /// The next event; `None` at the end of the stream. An event without an end is none. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Event>, Cause> {
        loop {
            while let Some(line) = self.lines.take() {
                match line {
                    Line::Whole(line) | Line::Half(line) => {
                        if let Some(event) = self.line(&line)? {
                            return Ok(Some(event));
                        }
                    }
                    Line::TooLong { size, .. } => return Err(self.too_large(size)),
                }
            }
            // What is over the limit already need not be read to its end.
            if let Some(size) = self.lines.overlong() {
                return Err(self.too_large(size));
            }
            let read = self.lines.fill().await;
            if read.map_err(|error| words::broken(&self.server, &error))? == 0 {
                return Ok(None);
            }
        }
    }

    fn line(&mut self, line: &Bytes) -> Result<Option<Event>, Cause> {
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let (field, value) = match memchr::memchr(b':', line) {
            // A comment, which keeps the connection open.
            Some(0) => return Ok(None),
            Some(colon) => {
                let value = line.slice(colon + 1..);
                let space = usize::from(value.first() == Some(&b' '));
                (&line[..colon], value.slice(space..))
            }
            None => (&line[..], Bytes::new()),
        };
        match field {
            b"data" => self.add(value)?,
            b"event" => self.kind = text(&value),
            b"id" if !value.contains(&0) => {
                self.cursor.last_event = Some(text(&value)).filter(|id| !id.is_empty());
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.cursor.retry = text(&value).parse().ok().map(Duration::from_millis);
            }
            // The mark that some streams begin with.
            _ if line.starts_with("\u{feff}".as_bytes()) => {
                return self.line(&line.slice("\u{feff}".len()..));
            }
            _ => {}
        }
        Ok(None)
    }

    fn add(&mut self, value: Bytes) -> Result<(), Cause> {
        let data = match self.data.take() {
            None => Data::One(value),
            Some(before) => {
                let mut joined = match before {
                    Data::One(bytes) => bytes.to_vec(),
                    Data::Joined(bytes) => bytes,
                };
                joined.push(b'\n');
                joined.extend_from_slice(&value);
                Data::Joined(joined)
            }
        };
        let size = match &data {
            Data::One(bytes) => bytes.len(),
            Data::Joined(bytes) => bytes.len(),
        };
        self.data = Some(data);
        if size > self.limit {
            return Err(self.too_large(size as u64));
        }
        Ok(())
    }

    fn dispatch(&mut self) -> Option<Event> {
        let kind = std::mem::take(&mut self.kind);
        let data = match self.data.take()? {
            Data::One(bytes) => bytes,
            Data::Joined(bytes) => bytes.into(),
        };
        let kind = if kind.is_empty() {
            "message".into()
        } else {
            kind
        };
        Some(Event { kind, data })
    }

    fn too_large(&self, size: u64) -> Cause {
        Cause::TooLarge {
            size,
            limit: self.limit as u64,
        }
    }
}

fn text(value: &Bytes) -> Box<str> {
    String::from_utf8_lossy(value).into()
}
