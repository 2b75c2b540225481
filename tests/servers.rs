//! The real MCP servers of the rig, spoken to by hand: if one of these fails, it is not envdeck's doing.
#![allow(clippy::unwrap_used)] // tests may

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
};

use common::{
    DEADLINE, eventually,
    servers::{RealServer, RealServers},
};
use serde_json::{Value, json};

/// A server spoken to over its pipes, line by line.
struct Wire {
    child: Child,
    lines: Receiver<String>,
}

impl Wire {
    fn start(server: &RealServer) -> Self {
        let (program, arguments) = server.command.split_first().unwrap();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(server.env.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{message}").unwrap();
    }

    fn ask(&mut self, id: u32, method: &str, params: &Value) -> Value {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let line = self
                .lines
                .recv_timeout(DEADLINE)
                .unwrap_or_else(|error| panic!("{method}: {error}"));
            let mut message: Value = serde_json::from_str(&line)
                .unwrap_or_else(|error| panic!("{method}: {error}: {line}"));
            if message["id"] == id && message.get("method").is_none() {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
        }
    }

    /// Closes stdin, as the specification asks of a client, and returns what stood on stderr.
    fn close(mut self) -> String {
        drop(self.child.stdin.take());
        let ended = eventually(DEADLINE, || self.child.try_wait().unwrap().is_some());
        if !ended {
            self.child.kill().unwrap();
        }
        assert!(ended, "did not end when its stdin was closed");
        let mut stderr = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        stderr
    }
}

#[test]
#[ignore = "needs the servers of tests/servers/install"]
fn each_server_starts_lists_its_tools_and_answers_a_call() {
    let real = RealServers::prepare();
    assert_eq!(real.servers.len(), 7);
    for server in &real.servers {
        let name = server.name;
        let mut wire = Wire::start(server);
        let client = json!({ "name": "rig", "version": "1" });
        wire.ask(
            1,
            "initialize",
            &json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client }),
        );
        wire.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        let listed = wire.ask(2, "tools/list", &json!({}));
        let tools: Vec<_> = listed["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["name"].as_str().unwrap())
            .collect();
        assert_eq!(tools.len(), server.tools, "{name}: {tools:?}");
        assert!(tools.contains(&server.tool), "{name}: {tools:?}");
        let answer = wire.ask(
            3,
            "tools/call",
            &json!({ "name": server.tool, "arguments": server.arguments }),
        );
        assert_ne!(answer["isError"], json!(true), "{name}: {answer}");
        let texts: Vec<_> = answer["content"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|block| block["text"].as_str())
            .collect();
        assert!(texts.concat().contains(server.expect), "{name}: {answer}");
        let stderr = wire.close();
        assert!(stderr.contains(server.stderr), "{name}: {stderr}");
    }
}
