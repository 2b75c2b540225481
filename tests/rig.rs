//! The test rig tested on programs that every machine has: what it cannot see, no test built on it can.
#![allow(clippy::unwrap_used)] // tests may

mod common;

use std::time::Duration;

use common::{
    DEADLINE, eventually, keys, processes,
    pty::{Pty, regex},
};
use nix::sys::signal::Signal;

fn sh(script: &str) -> Pty {
    Pty::spawn("sh", &["-c", script], 40, 8, &[])
}

#[test]
fn what_is_typed_reaches_the_program_and_comes_back() {
    let pty = Pty::spawn("cat", &[], 40, 8, &[]);
    pty.type_text("grüße ✓");
    pty.key("Enter");
    let screen = pty.wait_for(regex("^grüße ✓\ngrüße ✓$"), DEADLINE);
    assert_eq!(screen, "grüße ✓\ngrüße ✓");
    pty.key("Ctrl+D");
    pty.assert_clean_exit(0);
    assert_eq!(
        String::from_utf8(pty.raw_bytes()).unwrap(),
        "grüße ✓\r\ngrüße ✓\r\n"
    );
}

#[test]
fn an_exit_status_and_a_deadly_signal_are_told_apart() {
    assert_eq!(sh("exit 7").wait_exit(DEADLINE), 7);
    let pty = sh("echo ready; exec sleep 100");
    pty.wait_for("ready", DEADLINE);
    pty.signal(Signal::SIGTERM);
    assert_eq!(pty.wait_exit(DEADLINE), 128 + Signal::SIGTERM as i32);
    assert_eq!(
        Pty::spawn("/no/such/program", &[], 80, 4, &[]).wait_exit(DEADLINE),
        127
    );
}

#[test]
fn ctrl_c_interrupts_the_foreground_program() {
    let pty = sh("echo ready; exec sleep 100");
    pty.wait_for("ready", DEADLINE);
    pty.key("Ctrl+C");
    assert_eq!(pty.wait_exit(DEADLINE), 128 + Signal::SIGINT as i32);
}

#[test]
fn a_full_screen_program_draws_scrolls_and_leaves_the_terminal_as_it_was() {
    let pty = Pty::spawn("sh", &["-c", "seq 1 200 | less"], 40, 8, &[("LESS", "")]);
    pty.wait_for(regex("^7$"), DEADLINE);
    pty.key("Space");
    pty.wait_for(regex("^14$"), DEADLINE);
    pty.wait_gone(regex("^7$"), DEADLINE);
    pty.key("q");
    pty.assert_clean_exit(0);
}

#[test]
fn a_resize_reaches_the_program() {
    let pty = sh("trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done");
    pty.wait_for("ready", DEADLINE);
    pty.resize(100, 30);
    pty.wait_for("30 100", DEADLINE);
}

#[test]
fn terminal_modes_left_on_are_all_reported() {
    let pty = sh(
        r"stty raw -echo; printf '\033[?1049h\033[?25l\033[?1003h\033[?1006h\033[?2004h\033[?1004h\033[>1u\033[31m'",
    );
    assert_eq!(pty.wait_exit(DEADLINE), 0);
    let left = pty.leftovers().join("; ");
    for word in [
        "alternate screen",
        "cursor is hidden",
        "mouse",
        "paste",
        "mode 1004",
        "keyboard",
        "colour",
        "ECHO is off",
        "ICANON is off",
    ] {
        assert!(left.contains(word), "{word} is missing in: {left}");
    }
}

#[test]
fn terminal_modes_put_back_are_not_reported() {
    sh(r"saved=$(stty -g); stty raw; printf '\033[?1049h\033[?1003h\033[?25l\033[>1u'; printf '\033[<u\033[?25h\033[?1003l\033[?1049l'; stty $saved").assert_clean_exit(0);
}

#[test]
fn a_process_left_behind_is_reported_even_in_a_session_of_its_own() {
    let pty = sh("setsid sleep 300 & sleep 301 & echo started");
    assert_eq!(pty.wait_exit(DEADLINE), 0);
    assert!(eventually(DEADLINE, || pty
        .leftovers()
        .iter()
        .filter(|left| left.contains("(sleep) still runs"))
        .count()
        == 2));
}

#[test]
fn dropping_the_terminal_kills_all_that_runs_in_it() {
    let pty = sh("setsid sleep 302 & sleep 303 & echo started; exec cat");
    pty.wait_for("started", DEADLINE);
    assert!(eventually(DEADLINE, || processes::children(pty.pid())
        .len()
        == 2));
    let mut pids = processes::descendants(pty.pid());
    pids.push(pty.pid());
    drop(pty);
    processes::assert_gone(&pids, DEADLINE);
}

#[test]
fn queries_are_answered_like_a_terminal_does() {
    let pty = sh(
        r#"stty raw -echo; printf 'ab\033[6n\033[c'; answer=$(dd bs=1 count=15 2>/dev/null | tr '\033' '^'); stty sane; echo "<$answer>""#,
    );
    pty.wait_for("<^[1;3R^[?62;22c>", DEADLINE);
}

#[test]
fn styles_titles_and_copies_are_seen() {
    let pty = sh(
        r"printf '\033]2;title\007\033]52;c;aGk=\007\a\033[1;38;2;1;2;3mbold\033[0m plain'; exec cat",
    );
    pty.wait_for("bold plain", DEADLINE);
    assert!(pty.cell_of("bold").bold());
    assert_eq!(pty.cell_of("bold").fgcolor(), vt100::Color::Rgb(1, 2, 3));
    assert!(!pty.cell_of("plain").bold());
    assert_eq!(pty.find("plain"), Some((0, 5)));
    pty.host(|host| {
        assert_eq!(
            (
                host.titles.as_slice(),
                host.clipboard.as_slice(),
                host.bells
            ),
            (&["title".to_owned()][..], &["hi".to_owned()][..], 1)
        );
    });
    assert!(pty.raw_bytes().starts_with(b"\x1b]2;title\x07"));
}

#[test]
fn a_program_is_suspended_and_continued_from_a_shell() {
    let pty = Pty::spawn(
        "bash",
        &["--norc", "--noprofile", "-i"],
        60,
        10,
        &[("PS1", "$ ")],
    );
    pty.wait_for("$", DEADLINE);
    pty.type_text("cat\r");
    assert!(eventually(DEADLINE, || !processes::children(pty.pid()).is_empty()));
    pty.type_text("one\r");
    pty.wait_for(regex("^one\none$"), DEADLINE);
    pty.key("Ctrl+Z");
    pty.wait_for("Stopped", DEADLINE);
    pty.type_text("fg\r");
    pty.wait_for(regex("^\\$ fg\ncat$"), DEADLINE);
    pty.type_text("two\r");
    pty.wait_for(regex("^two\ntwo$"), DEADLINE);
}

#[test]
#[should_panic(expected = "no `never` within 200ms; the screen:")]
fn waiting_in_vain_ends_at_the_deadline() {
    sh("echo something; exec cat").wait_for("never", Duration::from_millis(200));
}

#[test]
#[should_panic(expected = "the program ended with status 3 before `never`; the screen:")]
fn waiting_for_a_program_that_has_ended_fails_at_once() {
    sh("echo something; exit 3").wait_for("never", DEADLINE);
}

#[test]
fn a_program_that_does_not_read_blocks_no_test() {
    let pty = sh("echo ready; exec sleep 100");
    pty.wait_for("ready", DEADLINE);
    pty.type_text(&"x".repeat(1 << 20));
    pty.signal(Signal::SIGKILL);
    assert_eq!(pty.wait_exit(DEADLINE), 128 + Signal::SIGKILL as i32);
}

#[test]
fn keys_send_what_an_xterm_sends() {
    let cases: [(&str, &[u8]); 16] = [
        ("Enter", b"\r"),
        ("Tab", b"\t"),
        ("Shift+Tab", b"\x1b[Z"),
        ("Escape", b"\x1b"),
        ("Backspace", b"\x7f"),
        ("Up", b"\x1b[A"),
        ("Ctrl+Left", b"\x1b[1;5D"),
        ("Ctrl+Shift+Left", b"\x1b[1;6D"),
        ("PageDown", b"\x1b[6~"),
        ("F2", b"\x1bOQ"),
        ("F12", b"\x1b[24~"),
        ("Ctrl+C", b"\x03"),
        ("Alt+x", b"\x1bx"),
        ("Alt+Enter", b"\x1b\r"),
        ("Ctrl++", b""),
        ("+", b"+"),
    ];
    for (name, expected) in cases {
        assert_eq!(keys::bytes(name).unwrap_or_default(), expected, "{name}");
    }
    for wrong in ["Entre", "Meta+x", "Ctrl+ä", ""] {
        assert!(keys::bytes(wrong).is_err(), "{wrong}");
    }
}
