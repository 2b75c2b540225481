//! HTTP/1.1 by hand, as far as a test wants to look at it or to break it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For any single step; nothing takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub async fn within<T>(step: impl Future<Output = T>) -> T {
    timeout(PATIENCE, step).await.expect("it hangs")
}

/// A connection.
pub struct Wire {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

/// The head of a response.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A whole response.
#[derive(Debug)]
pub struct Response {
    pub head: Head,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?} {}", self.head, self.text()))
    }

    /// The JSON-RPC error in it.
    #[track_caller]
    pub fn error(&self) -> (i64, String) {
        let json = self.json();
        let error = &json["error"];
        (
            error["code"].as_i64().unwrap(),
            error["message"].as_str().unwrap().to_owned(),
        )
    }

    /// The messages in it, whether they came as events or as one.
    #[track_caller]
    pub fn messages(&self) -> Vec<Value> {
        if self.head.header("content-type") != Some("text/event-stream") {
            return vec![self.json()];
        }
        let text = self.text();
        let events = text.split("\n\n").filter_map(event);
        events.collect()
    }
}

/// The message in an event; comments have none.
pub fn event(text: &str) -> Option<Value> {
    let data = text.lines().find_map(|line| line.strip_prefix("data: "))?;
    Some(serde_json::from_str(data).unwrap())
}

impl Wire {
    pub async fn to(address: SocketAddr) -> Self {
        let stream = within(TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: vec![],
        }
    }

    /// Sends bytes as they are; what the other end thinks of it shows later.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = within(self.stream.write_all(bytes)).await;
    }

    /// A request with a body; `headers` are lines without their ends.
    pub async fn request(&mut self, method: &str, path: &str, headers: &[String], body: &[u8]) {
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        for header in headers {
            request += header;
            request += "\r\n";
        }
        if !body.is_empty() {
            for part in ["content-length: ", &body.len().to_string(), "\r\n"] {
                request += part;
            }
        }
        let mut bytes = (request + "\r\n").into_bytes();
        bytes.extend_from_slice(body);
        self.send(&bytes).await;
    }

    pub async fn head(&mut self) -> Head {
        self.try_head().await.expect("the connection ended")
    }

    /// `None` if the connection ended before.
    pub async fn try_head(&mut self) -> Option<Head> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            if !self.fill().await {
                return None;
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let text = String::from_utf8(head).unwrap();
        let mut lines = text.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        Some(Head { status, headers })
    }

    /// The body behind a head.
    pub async fn body(&mut self, head: &Head) -> Vec<u8> {
        if let Some(length) = head.header("content-length") {
            let length: usize = length.parse().unwrap();
            return self.exactly(length).await;
        }
        let mut body = vec![];
        if head.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk().await {
                body.extend_from_slice(&chunk);
            }
        }
        body
    }

    /// The next chunk of a body that comes in chunks; `None` at its end, also if it broke off.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                break end;
            }
            if !self.fill().await {
                return None;
            }
        };
        let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
        let size = std::str::from_utf8(&line).unwrap().trim();
        let size = usize::from_str_radix(size, 16).unwrap();
        let mut chunk = self.exactly(size + 2).await;
        chunk.truncate(size);
        (size > 0).then_some(chunk)
    }

    pub async fn response(&mut self) -> Response {
        let head = self.head().await;
        let body = self.body(&head).await;
        Response { head, body }
    }

    /// Resolves when the other end has closed the connection.
    pub async fn closed(&mut self) {
        while self.fill().await {}
    }

    async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            assert!(self.fill().await, "the connection ended in a body");
        }
        self.buffer.drain(..length).collect()
    }

    async fn fill(&mut self) -> bool {
        let read = within(self.stream.read_buf(&mut self.buffer)).await;
        read.is_ok_and(|count| count > 0)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
