//! Agents come in beside the operator, who sees them.

use crate::common::DEADLINE;
use crate::common::pty::regex;
use crate::desk::{ENVDECK, envdeck, quit_clean, wait_ready};

#[test]
fn the_console_listens_and_shows_where() {
    let pty = envdeck(&["--listen", "0"]);
    wait_ready(&pty);
    let screen = pty.wait_for(regex(r"gateway 127\.0\.0\.1:[1-9][0-9]+"), DEADLINE);
    let address = screen.split("gateway ").nth(1).unwrap();
    let port = address
        .split_whitespace()
        .next()
        .unwrap()
        .rsplit(':')
        .next()
        .unwrap();
    let url = format!("http://127.0.0.1:{port}/mcp");
    // Another envdeck is the agent: it opens a session of the same demo by the tools of the gateway.
    let mut ping = std::process::Command::new(ENVDECK);
    ping.args(["call", "ping", "--text", "--url", &url]);
    let answered = ping.output().unwrap();
    assert!(answered.status.success(), "{answered:?}");
    let open = r#"{"backends":[{"backend_name_ref":"demo","num_instances":2}]}"#;
    let mut agent = std::process::Command::new(ENVDECK);
    agent.args(["call", "initialize_session", "--json", open, "--url", &url]);
    assert!(agent.output().unwrap().status.success());
    pty.wait_for("3 inst", DEADLINE);
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
