//! Agents come in beside the operator, who sees them.

use serde_json::{Value, json};

use crate::common::DEADLINE;
use crate::common::pty::{Pty, regex};
use crate::desk::{envdeck, open_form, quit_clean, wait_ready, without_terminal};

/// A console that listens, and where.
fn listening() -> (Pty, String) {
    let pty = envdeck(&["--listen", "0"]);
    wait_ready(&pty);
    let screen = pty.wait_for(regex(r"gateway 127\.0\.0\.1:[1-9][0-9]+"), DEADLINE);
    let address = screen.split("gateway ").nth(1).unwrap();
    let address = address.split_whitespace().next().unwrap();
    (pty, format!("http://{address}/mcp"))
}

/// Another envdeck is the agent: it calls a tool of the gateway, and returns its result.
fn agent(url: &str, tool: &str, arguments: &Value) -> Value {
    let home = tempfile::tempdir().unwrap();
    let arguments = arguments.to_string();
    let words = ["call", tool, "--json", &arguments, "--url", url];
    let output = without_terminal(&words, home.path());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn the_console_listens_and_shows_where() {
    let (pty, url) = listening();
    let answer = agent(&url, "ping", &json!({}));
    assert_eq!(answer["structuredContent"]["reply"], "pong");
    quit_clean(&pty);
}

#[test]
fn agents_are_seen_and_the_operator_uses_and_closes_their_sessions() {
    let (pty, url) = listening();
    let open = json!({ "backends": [{ "backend_name_ref": "demo" }] });
    let opened = agent(&url, "initialize_session", &open)["structuredContent"].clone();
    let session = &opened["rk_session_id"].as_str().unwrap()[..6];
    let instance = &opened["initialized_backends"][0]["instances"][0]["instance_id"];
    pty.wait_for(regex(&format!("{session} envdeck +1 ●")), DEADLINE);

    let echo = json!({
        "rk_session_id": opened["rk_session_id"], "backend_name_ref": "demo",
        "instance_id": instance, "tool_name": "echo", "tool_args": { "text": "agent here" },
    });
    let answer = agent(&url, "call_backend_tool", &echo);
    assert_eq!(answer["isError"], false, "{answer}");
    let instance = instance.as_str().unwrap();
    pty.type_text("8");
    let row = r#"envdeck +echo +✔ ok +\S+ ?\S+ +\d+ B +\{"text":"a"#;
    pty.wait_for(regex(row), DEADLINE);

    // The last one.
    pty.type_text("1G");
    pty.wait_for(regex(&format!("2 Instances ─ {session}")), DEADLINE);
    open_form(&pty, "countdown");
    pty.key("Ctrl+S");
    pty.type_text("8");
    pty.wait_for(regex("operator +countdown"), DEADLINE);
    let last = format!("{instance} +demo .* countdown");
    pty.wait_for(regex(&last), DEADLINE);

    pty.type_text("1D");
    pty.wait_for(&*format!("Close session {session}?"), DEADLINE);
    pty.wait_for("envdeck may still be using it", DEADLINE);
    pty.type_text("y");
    pty.wait_gone(&*format!("{session} envdeck"), DEADLINE);
    let refused = agent(&url, "call_backend_tool", &echo)["content"][0]["text"].to_string();
    assert!(refused.contains("there is no session"), "{refused}");
    quit_clean(&pty);
}

#[test]
fn an_address_that_is_taken_is_told_before_the_screen_opens() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let pty = envdeck(&["--listen", &address]);
    pty.wait_for(
        regex(&format!("envdeck: .*cannot listen on {address}")),
        DEADLINE,
    );
    assert_eq!(pty.wait_exit(DEADLINE), 3);
}
