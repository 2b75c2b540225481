//! MCP in bare JSON lines: an endpoint without anybody's client.

use envdeck::drivers::{Endpoint, Running};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use crate::bench::PATIENCE;

pub struct Wire {
    read: BufReader<Box<dyn AsyncRead + Send + Unpin>>,
    write: Box<dyn AsyncWrite + Send + Unpin>,
    asked: u64,
}

impl Wire {
    pub fn open(running: &mut Box<dyn Running>) -> Self {
        let Endpoint::Stdio { read, write } = running.endpoint() else {
            panic!("not over pipes")
        };
        Self {
            read: BufReader::new(read),
            write,
            asked: 0,
        }
    }

    pub async fn shake_hands(running: &mut Box<dyn Running>) -> Self {
        let mut wire = Self::open(running);
        let hello = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        });
        let answer = wire.ask("initialize", hello).await;
        assert!(
            answer["result"]["serverInfo"]["name"].is_string(),
            "{answer}"
        );
        wire.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
            .await;
        wire
    }

    pub async fn send(&mut self, message: &Value) {
        self.write
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
        self.write.flush().await.unwrap();
    }

    /// The next message; `None` at the end.
    pub async fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.read.read_line(&mut line))
            .await
            .expect("a message");
        (read.unwrap() > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    pub async fn request(&mut self, method: &str, params: Value) -> u64 {
        self.asked += 1;
        let id = self.asked;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
            .await;
        id
    }

    /// The answer, and what was notified before it.
    pub async fn answer(&mut self, id: u64) -> (Value, Vec<Value>) {
        let mut before = Vec::new();
        loop {
            let message = self.next().await.expect("an answer before the end");
            if message["id"] == id {
                return (message, before);
            }
            before.push(message);
        }
    }

    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params).await;
        self.answer(id).await.0
    }

    pub async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask(
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        )
        .await
    }
}
