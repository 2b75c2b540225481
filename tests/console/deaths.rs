//! What dies is explained, and what was known of it stays.

use crate::common::{DEADLINE, pty::regex};
use crate::desk::{demo, envdeck, open_form, quit_clean};

#[test]
fn a_crash_leaves_its_evidence_and_takes_nothing_away() {
    let pty = demo();
    open_form(&pty, "echo");
    pty.type_text("before");
    pty.key("Ctrl+S");
    pty.wait_for(r#"text: "before""#, DEADLINE);
    pty.key("Escape");
    open_form(&pty, "crash");
    pty.key("Ctrl+S");
    pty.wait_for("is ready again", DEADLINE);
    pty.key("Escape");
    // The tools, the log and the history of the one that died are those of the one that runs now.
    let screen = pty.wait_for("● ready", DEADLINE);
    assert!(screen.contains("> crash"), "{screen}");
    pty.type_text("8z");
    let calls = pty.wait_for(regex(r"#1 "), DEADLINE);
    assert!(calls.contains("#2 ") && calls.contains("echo"), "{calls}");
    pty.type_text("z7z");
    let log = pty.wait_for("SystemExit: the demo server crashes", DEADLINE);
    assert!(log.contains("call #1 echo → ok"), "{log}");
    pty.type_text("z2i");
    pty.wait_for("last death", DEADLINE);
    quit_clean_from_dialog(&pty);
}

#[test]
fn the_death_card_has_the_status_the_last_words_and_the_call_in_flight() {
    let pty = demo();
    open_form(&pty, "crash");
    pty.key("Ctrl+S");
    pty.wait_for("died: run: exited with status 3", DEADLINE);
    pty.key("Escape");
    pty.type_text("6");
    pty.key("Enter");
    let card = pty.wait_for("Death card", DEADLINE);
    for part in [
        "exited with status 3",
        "Traceback (most recent call last):",
        "SystemExit: the demo server crashes because it was asked to",
        "calls in flight",
        r#"crash {"status":3}"#,
    ] {
        assert!(card.contains(part), "{part} is missing in:\n{card}");
    }
    quit_clean_from_dialog(&pty);
}

#[test]
fn a_command_that_is_not_there_fails_with_a_hint() {
    let pty = envdeck(&["--", "nonexistent-cmd", "--flag"]);
    pty.wait_for("✖ failed", DEADLINE);
    pty.wait_for("start: command not found: nonexistent-cmd", DEADLINE);
    pty.key("Enter");
    let card = pty.wait_for("Death card", DEADLINE);
    assert!(card.contains("is it installed and on PATH?"), "{card}");
    pty.key("Escape");
    pty.wait_gone("Death card", DEADLINE);
    // Nothing runs, so nothing is asked.
    pty.type_text("q");
    pty.assert_clean_exit(0);
}

#[test]
fn a_server_that_exits_at_once_is_shown_with_its_status_and_its_last_words() {
    let pty = envdeck(&["--", "sh", "-c", "echo oops >&2; exit 3"]);
    pty.wait_for("✖ failed", DEADLINE);
    pty.wait_for(regex("stderr +oops"), DEADLINE);
    pty.type_text("i");
    let card = pty.wait_for("Death card", DEADLINE);
    for part in [
        "exited with status 3",
        "oops",
        "it never was",
        "sh -c 'echo oops >&2; exit 3'",
    ] {
        assert!(card.contains(part), "{part} is missing in:\n{card}");
    }
    pty.key("Escape");
    pty.wait_gone("Death card", DEADLINE);
    pty.type_text("q");
    pty.assert_clean_exit(0);
}

#[track_caller]
fn quit_clean_from_dialog(pty: &crate::common::pty::Pty) {
    pty.key("Escape");
    pty.wait_for("2 Instances", DEADLINE);
    quit_clean(pty);
}
