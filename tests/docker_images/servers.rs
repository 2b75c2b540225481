//! The real servers in their images, spoken to by hand: if one of these fails, it is not envdeck's doing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lab::{PATIENCE, docker, run};

/// A container, and our end of its streams if it has been attached to.
struct Server {
    name: String,
    child: Option<Child>,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Server {
    /// `docker run` with these arguments, on stdin and stdout.
    fn attached(arguments: &[&str]) -> Self {
        let name = format!("envdeck-tests-{:016x}", rand::random::<u64>());
        let mut child = Command::new("docker")
            .args(["run", "--rm", "--interactive", "--init", "--name", &name])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker");
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self {
            name,
            stdin: child.stdin.take(),
            child: Some(child),
            lines,
        }
    }

    fn ask(&mut self, id: u64, method: &str, params: &Value) -> Value {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("an answer");
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["id"] == id && message["method"].is_null() {
                return message["result"].clone();
            }
        }
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.stdin.as_mut().unwrap(), "{message}").unwrap();
    }

    /// The text of a tool's answer.
    fn call(&mut self, tool: &str, arguments: &Value) -> String {
        let hello = self.ask(1, "initialize", &hello());
        assert!(hello["serverInfo"]["name"].is_string(), "{hello}");
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        let result = self.ask(
            2,
            "tools/call",
            &json!({ "name": tool, "arguments": arguments }),
        );
        assert_ne!(result["isError"], true, "{result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        run("docker", &["rm", "--force", &self.name]);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }
}

fn hello() -> Value {
    json!({
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" },
    })
}

fn says(arguments: &[&str], tool: &str, with: &Value, expected: &str) {
    let said = Server::attached(arguments).call(tool, with);
    assert!(said.contains(expected), "{expected:?} is not in: {said}");
}

#[test]
#[ignore = "needs an engine"]
fn filesystem() {
    says(
        &["mcp/filesystem"],
        "write_file",
        &json!({ "path": "/data/a", "content": "b" }),
        "wrote to /data/a",
    );
}

#[test]
#[ignore = "needs an engine"]
fn memory() {
    let entities =
        json!({ "entities": [{ "name": "Ada", "entityType": "person", "observations": [] }] });
    says(&["mcp/memory"], "create_entities", &entities, "Ada");
}

#[test]
#[ignore = "needs an engine"]
fn everything() {
    says(
        &["mcp/everything"],
        "echo",
        &json!({ "message": "over stdio" }),
        "Echo: over stdio",
    );
}

#[test]
#[ignore = "needs an engine"]
fn time() {
    says(
        &["mcp/time"],
        "get_current_time",
        &json!({ "timezone": "Asia/Tokyo" }),
        "+09:00",
    );
}

#[test]
#[ignore = "needs an engine"]
fn duckdb() {
    says(
        &["mcp/duckdb"],
        "execute_query",
        &json!({ "sql": "select 6 * 7 as answer" }),
        "42",
    );
}

#[test]
#[ignore = "needs an engine"]
fn fetch() {
    let name = format!("envdeck-tests-{:016x}", rand::random::<u64>());
    let page = "mkdir /www && echo '<p>a page of the test</p>' > /www/index.html && exec httpd -f -p 80 -h /www";
    docker(&[
        "run",
        "--detach",
        "--init",
        "--name",
        &name,
        "envdeck-tests/tiny",
        "sh",
        "-c",
        page,
    ]);
    let site = Server {
        name,
        child: None,
        stdin: None,
        lines: mpsc::channel().1,
    };
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = docker(&["inspect", "--format", format, &site.name]);
    says(
        &["mcp/fetch", "--allow-private-ips"],
        "fetch",
        &json!({ "url": format!("http://{address}/index.html") }),
        "a page of the test",
    );
}

#[test]
#[ignore = "needs an engine"]
fn everything_over_http() {
    let name = format!("envdeck-tests-{:016x}", rand::random::<u64>());
    let publish = [
        "--publish",
        "127.0.0.1::3001",
        "mcp/everything",
        "node",
        "dist/index.js",
        "streamableHttp",
    ];
    docker(
        &[
            &[
                "run",
                "--detach",
                "--init",
                "--name",
                &name,
                "--env",
                "PORT=3001",
            ],
            &publish[..],
        ]
        .concat(),
    );
    let server = Server {
        name,
        child: None,
        stdin: None,
        lines: mpsc::channel().1,
    };
    let address = docker(&["port", &server.name, "3001/tcp"]);
    let began = Instant::now();
    let mut answer = post(
        &address,
        None,
        &json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello() }),
    );
    while answer.is_empty() {
        assert!(began.elapsed() < PATIENCE, "no answer at {address}");
        thread::sleep(Duration::from_millis(50));
        answer = post(
            &address,
            None,
            &json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello() }),
        );
    }
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("serverInfo"),
        "{answer}"
    );
    let session = answer.lines().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("mcp-session-id: ")
            .map(str::to_owned)
    });
    post(
        &address,
        session.as_deref(),
        &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
    );
    let call = json!({ "name": "echo", "arguments": { "message": "over http" } });
    let answer = post(
        &address,
        session.as_deref(),
        &json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call }),
    );
    assert!(answer.contains("Echo: over http"), "{answer}");
}

/// The whole answer, or nothing if nobody listens yet.
fn post(address: &str, session: Option<&str>, message: &Value) -> String {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return String::new();
    };
    // A request that came too early may never be answered.
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let body = message.to_string();
    let session = session
        .map(|id| format!("mcp-session-id: {id}\r\n"))
        .unwrap_or_default();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\nAccept: \
         application/json, text/event-stream\r\n{session}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut answer = String::new();
    let asked = stream
        .write_all((head + &body).as_bytes())
        .and_then(|()| stream.read_to_string(&mut answer));
    asked.map_or_else(|_| String::new(), |_| answer)
}
