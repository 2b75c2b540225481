//! What a client sends through a relay: whole messages, and which requests are on their way.

use std::io;

use memchr::memchr;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Read at once.
const CHUNK: usize = 64 << 10;

/// Cuts a stream into lines, which are messages.
pub struct Messages<R> {
    read: R,
    buffer: Vec<u8>,
    /// No line break before this offset.
    scanned: usize,
}

/// A message to a server.
#[derive(Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub text: String,
    /// Of a request that is answered once and for all.
    pub request: Option<u64>,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    method: Option<String>,
}

impl<R: AsyncRead + Unpin> Messages<R> {
    pub fn new(read: R) -> Self {
        Self {
            read,
            buffer: Vec::new(),
            scanned: 0,
        }
    }

    /// The next message; `None` at the end. Cancel-safe.
    pub async fn next(&mut self) -> io::Result<Option<Outgoing>> {
        loop {
            if let Some(end) = memchr(b'\n', &self.buffer[self.scanned..]) {
                let rest = self.buffer.split_off(self.scanned + end + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                self.scanned = 0;
                match Outgoing::of(&line) {
                    Some(message) => return Ok(Some(message)),
                    None => continue,
                }
            }
            self.scanned = self.buffer.len();
            self.buffer.reserve(CHUNK);
            if self.read.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

impl Outgoing {
    /// `None` for an empty line, which a runtime would hand on.
    fn of(line: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(line.trim_ascii()).into_owned();
        if text.is_empty() {
            return None;
        }
        // A server that is still starting answers the first question when it can, on whatever relay there is then.
        let is_first =
            |method: &String| matches!(method.as_str(), "initialize" | "server/discover");
        let head: Option<Head<'_>> = serde_json::from_str(&text).ok();
        let request = head.and_then(|head| {
            head.method.filter(|method| !is_first(method))?;
            head.id?.get().parse().ok()
        });
        Some(Self { text, request })
    }

    /// What answers it in the server's place, if it wants an answer.
    pub fn refusal(&self, why: &str) -> Option<String> {
        let head: Head<'_> = serde_json::from_str(&self.text).ok()?;
        let id = head.method.and(head.id)?;
        // JSON-RPC 2.0, section 5.1: the server's side of errors that are not its method's.
        let error = json!({ "code": -32_000, "message": why });
        Some(json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(text: &str) -> Vec<(String, Option<u64>)> {
        let mut messages = Messages::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some(message) = messages.next().await.expect("no error") {
            found.push((message.text, message.request));
        }
        found
    }

    #[tokio::test]
    async fn requests_are_known_by_their_ids() {
        let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"id":9}}"#;
        let answer = r#"{"jsonrpc":"2.0","id":8,"result":{}}"#;
        let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
        let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let text = format!("{hello}\n\n{note}\r\n{call}\n{answer}\nhalf");
        let found = all(&text).await;
        let right = [(hello, None), (note, None), (call, Some(7)), (answer, None)];
        assert_eq!(found, right.map(|(text, id)| (text.to_owned(), id)));
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_answered_if_it_asks() {
        let call = Outgoing::of(br#"{"id":7,"method":"tools/call"}"#).expect("a message");
        let refusal = call.refusal("too large").expect("an answer");
        assert_eq!(
            refusal,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"too large"}}"#
        );
        let note = Outgoing::of(br#"{"method":"notifications/progress"}"#).expect("a message");
        assert_eq!(note.refusal("too large"), None);
    }
}
