//! A client of the gateway: a connection, and what the protocol wants to be said on it.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::http::{Head, Response, Wire, event};
use crate::rig::Rig;

pub const STATELESS: &str = "2026-07-28";
pub const LATEST: &str = "2025-11-25";

pub struct Agent {
    pub wire: Wire,
    /// The transport session, in the revisions that have one.
    pub session: Option<String>,
    protocol: String,
    next: u64,
}

/// A session of environments.
#[derive(Clone, Debug)]
pub struct Opened {
    pub id: String,
    /// Backend and instance.
    pub instances: Vec<(String, String)>,
}

impl Agent {
    /// Connects and initializes.
    pub async fn join(rig: &Rig) -> Self {
        Self::speaking(rig.address, LATEST).await
    }

    pub async fn speaking(address: SocketAddr, protocol: &str) -> Self {
        let mut agent = Self {
            wire: Wire::to(address).await,
            session: None,
            protocol: protocol.to_owned(),
            next: 1,
        };
        if protocol != STATELESS {
            let params = json!({
                "protocolVersion": protocol,
                "capabilities": {},
                "clientInfo": { "name": "tester", "version": "1" },
            });
            let response = agent.request("initialize", params).await;
            assert_eq!(response.json()["result"]["protocolVersion"], protocol);
            agent.session = response.head.header("mcp-session-id").map(str::to_owned);
            assert!(agent.session.is_some());
            let initialized = agent.notify("notifications/initialized", json!({})).await;
            assert_eq!(initialized.head.status, 202);
        }
        agent
    }

    /// The headers of a message.
    pub fn headers(&self, method: &str, params: &Value) -> Vec<String> {
        let mut headers = vec![
            "host: localhost".to_owned(),
            "content-type: application/json".to_owned(),
            "accept: application/json, text/event-stream".to_owned(),
        ];
        if self.protocol == STATELESS {
            headers.push(format!("mcp-protocol-version: {STATELESS}"));
            headers.push(format!("mcp-method: {method}"));
            if let Some(name) = params["name"].as_str() {
                headers.push(format!("mcp-name: {name}"));
            }
        } else if let Some(session) = &self.session {
            headers.push(format!("mcp-protocol-version: {}", self.protocol));
            headers.push(format!("mcp-session-id: {session}"));
        }
        headers
    }

    /// Sends a request and does not wait; returns its id.
    pub async fn begin(&mut self, method: &str, mut params: Value) -> u64 {
        if self.protocol == STATELESS {
            let meta = &mut params["_meta"];
            meta["io.modelcontextprotocol/protocolVersion"] = STATELESS.into();
            meta["io.modelcontextprotocol/clientInfo"] =
                json!({ "name": "tester", "version": "1" });
            meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
        }
        let id = self.next;
        self.next += 1;
        let headers = self.headers(method, &params);
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let body = body.to_string();
        self.wire
            .request("POST", "/mcp", &headers, body.as_bytes())
            .await;
        id
    }

    pub async fn request(&mut self, method: &str, params: Value) -> Response {
        self.begin(method, params).await;
        self.wire.response().await
    }

    pub async fn notify(&mut self, method: &str, params: Value) -> Response {
        let headers = self.headers(method, &params);
        let body = json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string();
        self.wire
            .request("POST", "/mcp", &headers, body.as_bytes())
            .await;
        self.wire.response().await
    }

    /// The result of a call of one of our tools.
    pub async fn tool(&mut self, name: &str, arguments: Value) -> Value {
        let params = json!({ "name": name, "arguments": arguments });
        let response = self.request("tools/call", params).await;
        assert_eq!(response.head.status, 200, "{}", response.text());
        let message = response.messages().pop().unwrap();
        assert!(message["error"].is_null(), "{message}");
        message["result"].clone()
    }

    /// What one of our tools answers, which is the same in both of its forms.
    pub async fn answer(&mut self, name: &str, arguments: Value) -> Value {
        let result = self.tool(name, arguments).await;
        assert_eq!(result["isError"], false, "{result}");
        let text = result["content"][0]["text"].as_str().unwrap();
        let text: Value = serde_json::from_str(text).unwrap();
        assert_eq!(text, result["structuredContent"], "both forms are the same");
        text
    }

    /// The words with which one of our tools refuses.
    pub async fn refusal(&mut self, name: &str, arguments: Value) -> String {
        let result = self.tool(name, arguments).await;
        assert_eq!(result["isError"], true, "{result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }

    pub async fn open(&mut self, asks: &[(&str, usize)]) -> Opened {
        let backend = |(name, count): &(&str, usize)| json!({ "backend_name_ref": name, "num_instances": count });
        let backends: Vec<_> = asks.iter().map(backend).collect();
        let answer = self
            .answer("initialize_session", json!({ "backends": backends }))
            .await;
        opened(&answer)
    }

    pub async fn close(&mut self, session: &Opened) {
        let arguments = json!({ "rk_session_id": session.id });
        let answer = self.answer("cleanup_session", arguments).await;
        assert_eq!(answer["status"], "cleaned");
    }

    /// Reads a stream of events up to the next message.
    pub async fn event(&mut self) -> Option<Value> {
        loop {
            let chunk = self.wire.chunk().await?;
            let text = String::from_utf8(chunk).unwrap();
            if let Some(message) = event(&text) {
                return Some(message);
            }
        }
    }

    /// Sends a request whose answer comes as a stream.
    pub async fn begin_stream(&mut self, method: &str, params: Value) -> Head {
        self.begin(method, params).await;
        let head = self.wire.head().await;
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        head
    }
}

/// The arguments that reach a tool of a session's first instance.
pub fn at(session: &Opened, tool: &str, arguments: &Value) -> Value {
    nth(session, 0, tool, arguments)
}

pub fn nth(session: &Opened, index: usize, tool: &str, arguments: &Value) -> Value {
    let (backend, instance) = &session.instances[index];
    json!({
        "rk_session_id": session.id,
        "backend_name_ref": backend,
        "instance_id": instance,
        "tool_name": tool,
        "tool_args": arguments,
    })
}

/// What `initialize_session` answered.
pub fn opened(answer: &Value) -> Opened {
    let groups = answer["initialized_backends"].as_array().unwrap().iter();
    let instances = groups.flat_map(|group| group["instances"].as_array().unwrap());
    let name = |value: &Value| value.as_str().unwrap().to_owned();
    Opened {
        id: name(&answer["rk_session_id"]),
        instances: instances
            .map(|one| (name(&one["backend_name_ref"]), name(&one["instance_id"])))
            .collect(),
    }
}
