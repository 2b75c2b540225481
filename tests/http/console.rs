//! The console with `--url`, in a real terminal: a call, the inspection, the server's end and its return.

use crate::common::DEADLINE;
use crate::common::operator::Operator;
use crate::common::pty::regex;
use crate::remote::{Remote, free_port};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_calls_inspects_and_sees_it_go_and_come_back() {
    let port = free_port();
    let remote = Remote::start_at(port, |_| {}).await;
    let url = format!("{}?key=hush", remote.url);
    let operator = tokio::task::spawn_blocking(move || {
        let operator = Operator::run(&["--url", &url, "-H", "X-Key: hush"], &[]);
        operator.pty.wait_for("● ready", DEADLINE);
        operator.choose("echo");
        operator.send("echo", "ok");
        for key in ["Escape", "2", "i"] {
            operator.pty.key(key);
        }
        let screen = operator.pty.wait_for("streamable HTTP", DEADLINE);
        assert!(screen.contains("/mcp?key=•••"), "{screen}");
        assert!(!screen.contains("hush"), "{screen}");
        operator.pty.key("q");
        operator
    });
    let operator = operator.await.unwrap();
    drop(remote);
    let operator = tokio::task::spawn_blocking(move || {
        let waits = regex(&format!("wait for 127.0.0.1:{port}"));
        operator.pty.wait_for(waits, DEADLINE * 2);
        operator
    });
    let operator = operator.await.unwrap();
    let _back = Remote::start_at(port, |_| {}).await;
    let end = tokio::task::spawn_blocking(move || {
        operator.pty.wait_for("● ready", DEADLINE);
        operator.quit();
    });
    end.await.unwrap();
}
