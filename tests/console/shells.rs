//! A shell inside an instance has the terminal, and gives it back clean however it ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::common::{
    DEADLINE, processes,
    pty::{Pty, regex},
};
use crate::desk::{Script, demo, quit_clean};

/// The console over a process, whose shell is this program.
fn beside(shell: &str) -> (Pty, i32, Script) {
    let script = Script::polite();
    let (pty, server) = script.open_with(&[("SHELL", shell), ("PS1", "$ "), ("ENV", "")]);
    (pty, server, script)
}

/// The same with a shell that says `inside` and then does `work`.
fn beside_program(work: &str) -> (Pty, i32, Script, TempDir) {
    let home = TempDir::with_prefix("envdeck-shell-").unwrap();
    let path = home.path().join("shell");
    fs::write(
        &path,
        format!("#!/bin/sh\n{work}\necho inside\nread forever\n"),
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let (pty, server, script) = beside(path.to_str().unwrap());
    pty.type_text("e");
    pty.wait_for(regex("^inside"), DEADLINE);
    (pty, server, script, home)
}

/// The shell, and what else is not the server.
fn shells(pty: &Pty, server: i32) -> Vec<i32> {
    let mut children = processes::children(pty.pid());
    children.retain(|pid| *pid != server);
    children
}

#[test]
fn a_shell_runs_where_the_instance_does_and_its_end_brings_the_console_back() {
    let (pty, _, _script) = beside("/bin/sh");
    pty.type_text("e");
    pty.wait_for(regex(r"^envdeck: a shell inside .*\n\$$"), DEADLINE);
    pty.type_text("stty size; tty | cut -c 1-5; echo $((40 + 2)) $ENVDECK_OWNER.\r");
    pty.wait_for(regex(r"^36 120\n/dev/\n42 \.\n\$$"), DEADLINE);
    // Keys that mean something to a terminal reach the shell, not us.
    pty.type_text("cat\r");
    pty.type_text("one\r");
    pty.wait_for(regex(r"^one\none$"), DEADLINE);
    pty.key("Ctrl+C");
    pty.wait_for(regex(r"^\^C\s+\$$"), DEADLINE);
    pty.resize(100, 30);
    pty.type_text("stty size\r");
    pty.wait_for(regex("^30 100$"), DEADLINE);
    pty.type_text("exit 3\r");
    pty.wait_for("2 Instances", DEADLINE);
    pty.wait_for("exited with status 3", DEADLINE);
    // Keys are ours again, each of them, and the mouse is captured.
    pty.type_text("?");
    pty.wait_for("everywhere", DEADLINE);
    pty.key("Escape");
    quit_clean(&pty);
}

#[test]
fn what_is_typed_at_once_after_the_key_is_for_the_shell() {
    let (pty, _, _script) = beside("/bin/sh");
    pty.type_text("eecho ahead $((40 + 2))\rexit\r");
    pty.wait_for("exited with status 0", DEADLINE);
    let shown = String::from_utf8_lossy(&pty.raw_bytes()).into_owned();
    assert!(shown.contains("ahead 42"), "{shown}");
    quit_clean(&pty);
}

#[test]
fn modes_that_a_shell_leaves_on_are_turned_off() {
    let (pty, ..) = beside_program(
        r"printf '\033[?1049h\033[?25l\033[?1000;1006h\033[?2004h\033[>1u\033[2 q\033[31m'",
    );
    pty.type_text("\r");
    pty.wait_for("2 Instances", DEADLINE);
    quit_clean(&pty);
}

#[test]
fn a_shell_that_hangs_is_left_by_three_escapes() {
    let (pty, server, ..) = beside_program("stty raw -echo; trap '' INT TERM QUIT HUP");
    let shells = shells(&pty, server);
    assert_eq!(shells.len(), 1);
    for _ in 0..3 {
        pty.key("Ctrl+]");
    }
    pty.wait_for("2 Instances", DEADLINE);
    pty.wait_for("it was hung up on", DEADLINE);
    processes::assert_gone(&shells, DEADLINE);
    quit_clean(&pty);
}

#[test]
fn a_signal_ends_us_and_the_shell() {
    let (pty, server, ..) = beside_program(r"printf '\033[?1049h\033[?25l'");
    let shells = shells(&pty, server);
    pty.signal(Signal::SIGTERM);
    pty.assert_clean_exit(0);
    processes::assert_gone(&shells, DEADLINE);
    processes::assert_gone(&[server], DEADLINE);
}

#[test]
fn a_shell_that_is_not_there_is_told_and_changes_nothing() {
    let (pty, ..) = beside("/no/such/shell");
    pty.type_text("e");
    pty.wait_for("set SHELL to a shell that is there", DEADLINE);
    quit_clean(&pty);
}

#[test]
fn the_demo_has_no_shell_inside() {
    let pty = demo();
    pty.type_text("e");
    pty.wait_for("no shell inside", DEADLINE);
    // And the keys are heard again.
    quit_clean(&pty);
}
