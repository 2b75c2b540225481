//! The same tools as an operator meets them: on the screen of a real terminal.

use std::fs;
use std::time::Duration;

use crate::common::DEADLINE;
use crate::common::operator::Operator;
use crate::common::pty::regex;
use crate::host::{SCRIPT, console};

/// For what a debug build does with a hundred megabytes on a busy machine.
const LONG: Duration = Duration::from_secs(60);
/// The most memory the program has had, bytes: proc(5), `VmHWM`.
fn peak(console: &Operator) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", console.pty.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kibibytes.parse::<u64>().unwrap() << 10
}

/// The console on a configuration file, with a first session opened by hand.
#[track_caller]
fn configured(limits: &str, policy: &str) -> Operator {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("nasty.yaml");
    let text = format!(
        "{limits}\nbackends:\n  - backend_name_ref: nasty\n    orchestration_mode: local_process\n    \
         command: python3\n    args: [{SCRIPT:?}]\n    {policy}\n"
    );
    fs::write(&file, text).unwrap();
    let console = Operator::run(&["--config", file.to_str().unwrap()], &[]);
    console.pty.wait_for("no sessions yet", DEADLINE);
    console.pty.key("n");
    console.pty.wait_for("New session", DEADLINE);
    console.pty.key("Enter");
    console.pty.wait_for("● ready", DEADLINE);
    console
}

#[test]
fn progress_is_drawn_and_a_cancel_tells_who_obeys() {
    let console = console(&[]);
    for (tool, truth) in [
        ("slow", "the server fell silent"),
        ("stubborn", "the server ignored the cancellation"),
    ] {
        console.choose(tool);
        console.fill(&["12"]);
        console.pty.key("Ctrl+S");
        console
            .pty
            .wait_for(regex(r"█.* [1-9]\d?%  step \d+ of 120"), DEADLINE);
        console.pty.key("Ctrl+C");
        console.wait_end(tool, "cancelled", DEADLINE);
        console.pty.wait_for(truth, DEADLINE);
    }
    console.quit();
}

#[test]
fn stray_prints_errors_new_tools_pictures_and_floods_are_told() {
    let console = console(&[]);
    console.choose("garbage");
    console.send("garbage", "ok");
    console
        .pty
        .wait_for("the server writes to stdout", DEADLINE);
    console
        .pty
        .wait_for("stdout! a stray print, not JSON-RPC", DEADLINE);

    console.choose("rpc_error");
    console.send("rpc_error", "failed");
    console
        .pty
        .wait_for(r#"data: {"why": "because"}"#, DEADLINE);

    console.choose("list_changed");
    console.send("list_changed", "ok");
    console.choose("new_0");

    console.choose("image");
    console.send("image", "ok");
    console.pty.wait_for("image/png", DEADLINE);

    console.choose("deep");
    console.fill(&["900"]);
    console.send("deep", "ok");
    console.pty.wait_for("structuredContent", DEADLINE);

    console.choose("stderr_flood");
    console.fill(&["100000"]);
    console.send("stderr_flood", "ok");
    console.pty.wait_for("flood line 00099999", DEADLINE);
    console.quit();
}

#[test]
fn a_hung_call_ends_at_the_deadline_of_the_configuration() {
    let console = configured("", "call_timeout: 1s");
    console.choose("hang");
    console.send("hang", "failed");
    console
        .pty
        .wait_for("no answer to tools/call within 1s", DEADLINE);
    console.quit();
}

#[test]
fn a_result_of_a_hundred_megabytes_opens_without_a_stall() {
    let console = console(&[]);
    console.choose("huge");
    console.fill(&["100"]);
    console.pty.key("Ctrl+S");
    console.answers_keys(5);
    console.wait_end("huge", "ok", LONG);
    console.pty.wait_for("▸ rows: [", LONG);
    // Into the rows, and to the last of a million.
    for key in ["Escape", "5", "G", "l"] {
        console.pty.key(key);
    }
    console.answers_keys(3);
    console.pty.wait_for("rows: [1 000 000]", LONG);
    console.pty.key("G");
    console.pty.wait_for("row 00999999", LONG);
    assert!(peak(&console) < 400 << 20, "{} bytes", peak(&console));
    console.answers_keys(3);
    console.quit();
}

#[test]
fn a_flood_of_lines_never_holds_up_a_key() {
    let console = console(&[]);
    let before = peak(&console);
    console.choose("pour");
    console.fill(&["100000", "10"]);
    console.pty.key("Ctrl+S");
    console.pty.wait_for("pour line", DEADLINE);
    console.answers_keys(5);
    console.wait_end("pour", "ok", LONG);
    let grown = peak(&console) - before;
    // The ring of the log on screen, what was on its way, and what the allocator keeps of both.
    assert!(grown < 64 << 20, "{grown} bytes");
    console.pty.wait_for("pour line 00999999", DEADLINE);
    console.quit();
}

#[test]
fn a_line_without_end_takes_no_memory() {
    let console = configured("limits: { max_message: 16MiB }", "");
    let before = peak(&console);
    console.choose("endless");
    console.fill(&["300"]);
    console.send_within("endless", "ok", LONG);
    let grown = peak(&console) - before;
    // Twice the limit: a buffer may double to take the last byte of it.
    assert!(grown < 40 << 20, "{grown} bytes");
    console.quit();
}
