//! On a terminal: steps on stderr that go again, JSON laid out, and nothing that moves the cursor.

use crate::common::DEADLINE;
use crate::common::pty::Pty;
use crate::shell::ENVDECK;

#[test]
fn steps_are_shown_and_taken_away() {
    let pty = Pty::spawn(
        ENVDECK,
        &["call", "demo", "countdown", "seconds=2"],
        100,
        30,
        &[],
    );
    pty.wait_for("countdown: ", DEADLINE);
    pty.assert_clean_exit(0);
    let screen = pty.screen();
    assert!(!screen.contains("countdown: "), "{screen}");
    assert!(
        screen.trim_start().starts_with("{\n  \"content\": ["),
        "{screen}"
    );
}

#[test]
fn foreign_text_cannot_move_the_cursor() {
    for flags in [&["--text"][..], &[]] {
        let args = [&["call", "demo", "ansi"], flags].concat();
        let pty = Pty::spawn(ENVDECK, &args, 120, 40, &[]);
        pty.assert_clean_exit(0);
        let raw = String::from_utf8_lossy(&pty.raw_bytes()).into_owned();
        // Only our own: clear to the end of the line.
        let foreign = raw.replace("\x1b[K", "");
        assert!(
            !foreign.contains('\x1b') && !foreign.contains('\u{9b}'),
            "{foreign:?}"
        );
    }
}

#[test]
fn ctrl_c_stops_it_with_a_line_and_a_second_one_at_once() {
    let pty = Pty::spawn(ENVDECK, &["call", "demo", "hang"], 100, 30, &[]);
    pty.wait_for("demo: hang", DEADLINE);
    pty.key("Ctrl+C");
    pty.wait_for("interrupted by SIGINT", DEADLINE);
    pty.wait_for("stopped 1 of 1 instances", DEADLINE);
    pty.assert_clean_exit(130);
}
