//! `serve`: who may come in, and what is told on stderr.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::common::{DEADLINE, eventually};
use crate::shell::Shell;

/// Where the only envdeck of this shell listens, as `ps` tells.
fn address(shell: &Shell) -> Option<String> {
    let running = shell.run(&["ps", "--json"]).json();
    let listens = running["running"][0]["listens"].as_str()?;
    Some(listens.to_owned())
}

#[track_caller]
fn wait_for_address(shell: &Shell) -> String {
    let mut found = None;
    let listens = eventually(DEADLINE, || {
        found = address(shell);
        found.is_some()
    });
    assert!(listens);
    found.unwrap()
}

/// Has a session opened and closed; returns the answers.
async fn visit(address: &str, token: Option<&str>) -> Vec<Value> {
    let client = reqwest::Client::new();
    let mut answers = Vec::new();
    let mut session = None;
    let call = |name: &str, arguments: Value| {
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
                "params": { "name": name, "arguments": arguments } })
    };
    let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } } });
    let open =
        json!({ "mcp_servers_requested": [{ "backend_name_ref": "demo", "num_instances": 1 }] });
    for message in [
        hello,
        call("ping", json!({})),
        call("initialize_session", open),
    ] {
        let mut request = client
            .post(format!("http://{address}/mcp"))
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(message.to_string());
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(session) = &session {
            request = request.header("mcp-session-id", session);
        }
        let response = request.send().await.unwrap();
        session = response
            .headers()
            .get("mcp-session-id")
            .cloned()
            .or(session);
        let text = response.text().await.unwrap();
        let json = text
            .lines()
            .find_map(|line| serde_json::from_str(line.trim_start_matches("data:")).ok());
        answers.push(json.unwrap_or(Value::Null));
    }
    answers
}

#[tokio::test]
async fn what_happens_is_told_as_json_lines() {
    let shell = Shell::new();
    let run = shell.start(&["serve", "--port", "0", "--log-format", "json"]);
    let address = wait_for_address(&shell);
    let answers = visit(&address, None).await;
    assert_eq!(answers[2]["result"]["isError"], false, "{answers:?}");
    run.signal(Signal::SIGTERM);
    let said = run.end();
    said.code(0);
    let lines: Vec<Value> = said
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect();
    let tells = |text: &str| {
        lines
            .iter()
            .any(|line| line["message"].as_str().unwrap().contains(text))
    };
    assert!(
        tells(&format!("serving on http://{address}/mcp")),
        "{}",
        said.stderr
    );
    assert!(
        tells("session-opened") && tells("phase-changed"),
        "{}",
        said.stderr
    );
    assert!(tells("stopped 1 of 1 instances"), "{}", said.stderr);
    shell.assert_clean();
}

#[tokio::test]
async fn a_token_of_the_environment_is_asked_for_and_never_told() {
    let shell = Shell::new();
    let mut command = shell.command(&["serve", "--port", "0"]);
    command.env("ENVDECK_TOKEN", "hunter2");
    let run = crate::shell::Run::of(command.spawn().unwrap());
    let address = wait_for_address(&shell);
    let stranger = visit(&address, None).await;
    assert!(
        stranger.iter().all(|answer| answer.get("result").is_none()),
        "{stranger:?}"
    );
    let friend = visit(&address, Some("hunter2")).await;
    assert_eq!(friend[2]["result"]["isError"], false, "{friend:?}");
    run.signal(Signal::SIGINT);
    let said = run.end();
    said.code(0);
    assert!(!said.stderr.contains("hunter2"), "{}", said.stderr);
}

#[test]
fn what_is_wrong_is_told_before_anything_starts() {
    let shell = Shell::new();
    shell.run(&["serve", "--token", "two words"]).complains(
        2,
        "envdeck: --token (or ENVDECK_TOKEN) must be of visible ASCII characters without spaces",
    );
    let open = shell.run(&["serve", "--host", "0.0.0.0", "--port", "0"]);
    assert!(
        open.code(3).stderr.contains("set a token"),
        "{}",
        open.stderr
    );
    shell.run(&["tools", "--url", "ftp://somewhere"]).complains(
        2,
        "envdeck: --url: expected a URL that begins with http:// or https://",
    );
    shell
        .run(&["tools", "--image", "time", "--run-arg=--memori=1g"])
        .complains(
            2,
            "envdeck: --run-arg: unknown option --memori — did you mean --memory?",
        );
    shell.assert_clean();
}
