//! npm `server-everything` over HTTP, in its own process.

use std::process::{Child, Command, Stdio};

use envdeck::drivers::HttpEndpoint;
use envdeck::mcp::http::ready;
use envdeck::model::{Era, HttpServer};
use tokio::time::Instant;

use crate::common::servers;
use crate::peer::{Desk, PATIENCE, RunningCall};
use crate::remote::{connect, free_port};

/// A server process; dropping it ends it.
struct Everything {
    child: Child,
    port: u16,
}

impl Everything {
    /// Starts it, and does not wait for it.
    fn start(transport: &str, port: u16) -> Self {
        let command = servers::command("everything");
        let child = Command::new(&command[0])
            .args([&command[1], transport])
            .env("PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port }
    }

    fn server(&self, path: &str) -> HttpServer {
        HttpServer::at(format!("http://127.0.0.1:{}{path}", self.port))
    }
}

impl Drop for Everything {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

async fn up(server: &HttpServer) {
    let endpoint = HttpEndpoint::from(server.clone());
    ready(&endpoint, Instant::now() + PATIENCE).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the installed MCP servers: tests/servers/install"]
async fn streamable_http() {
    let everything = Everything::start("streamableHttp", free_port());
    let server = everything.server("/mcp");
    up(&server).await;
    let desk = Desk::new();
    let (client, _) = connect(&desk, server).await;
    let client = client.unwrap();
    assert_eq!(client.server().era, Era::Sessions);
    assert!(client.list_tools(PATIENCE).await.unwrap().len() >= 13);
    let sum = RunningCall::start(&client, "get-sum", r#"{"a": 19, "b": 23}"#);
    let answer = sum.answer().await;
    assert_eq!(answer["content"][0]["text"], "The sum of 19 and 23 is 42.");
    let long = r#"{"duration": 1, "steps": 4}"#;
    let mut long = RunningCall::start(&client, "trigger-long-running-operation", long);
    assert!(long.progress().await.total == Some(4.0));
    assert_eq!(long.answer().await["isError"], serde_json::Value::Null);
    client.close(PATIENCE).await;
    assert_eq!(desk.remarks(), "");
}
