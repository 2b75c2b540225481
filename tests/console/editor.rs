//! While the user's editor has the terminal: the keys that mean something to the editor reach us, too.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use tempfile::TempDir;

use crate::common::{DEADLINE, processes, pty::Pty};
use crate::desk::{ENVDECK, open_form, wait_ready};

/// An editor that says hello, does `work`, and leaves its file as it is.
fn editor(home: &Path, work: &str) -> PathBuf {
    let path = home.join("editor");
    fs::write(&path, format!("#!/bin/sh\necho editor opened\n{work}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The demo with the editor open on the arguments of a call.
fn editing(work: &str) -> (Pty, TempDir) {
    let home = TempDir::with_prefix("envdeck-editor-").unwrap();
    let editor = editor(home.path(), work);
    let env = [("EDITOR", editor.to_str().unwrap())];
    let pty = Pty::spawn(ENVDECK, &[], 120, 36, &env);
    open_editor(&pty);
    (pty, home)
}

fn open_editor(pty: &Pty) {
    wait_ready(pty);
    open_form(pty, "echo");
    pty.key("F4");
    pty.wait_for("editor opened", DEADLINE);
}

/// Whatever has the keys.
fn quit(pty: &Pty) {
    pty.key("Ctrl+C");
    pty.wait_for("ctrl+c again quits", DEADLINE);
    pty.key("Ctrl+C");
}

#[test]
fn a_ctrl_c_in_the_editor_is_not_for_us() {
    // It stays long enough to be seen.
    let (pty, _home) = editing("trap '' INT; kill -INT 0; sleep 1");
    pty.wait_for("2 Instances", DEADLINE);
    quit(&pty);
    pty.assert_clean_exit(0);
}

#[test]
fn a_ctrl_z_in_the_editor_gives_the_shell_its_turn() {
    let home = TempDir::with_prefix("envdeck-editor-").unwrap();
    // What vim does for Ctrl-Z.
    let editor = editor(home.path(), "kill -TSTP 0\necho editor goes on");
    let env = [("PS1", "$ "), ("EDITOR", editor.to_str().unwrap())];
    let shell = ["--norc", "--noprofile", "-i"];
    let pty = Pty::spawn("bash", &shell, 120, 36, &env);
    pty.wait_for("$", DEADLINE);
    pty.type_text(&format!("{ENVDECK}\r"));
    open_editor(&pty);
    pty.wait_for("Stopped", DEADLINE);
    pty.type_text("fg\r");
    pty.wait_for("2 Instances", DEADLINE);
    quit(&pty);
    pty.wait_for("stopped 1 of 1 instances", DEADLINE);
    pty.type_text("exit\r");
    pty.assert_clean_exit(0);
}

#[test]
fn a_signal_ends_us_and_the_editor() {
    let (pty, _home) = editing("exec sleep 600");
    let editors = processes::children(pty.pid());
    assert_eq!(editors.len(), 1);
    pty.signal(Signal::SIGTERM);
    pty.assert_clean_exit(0);
    processes::assert_gone(&editors, DEADLINE);
}

/// As in `docker run -it` or `ssh -t`: nobody above us has an `fg`.
#[test]
fn without_a_shell_above_ctrl_z_does_not_stop_us_for_ever() {
    let home = TempDir::with_prefix("envdeck-home-").unwrap();
    let size = PtySize {
        rows: 36,
        cols: 120,
        ..PtySize::default()
    };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(ENVDECK);
    command.env_clear();
    command.env("HOME", home.path());
    command.env("TERM", "xterm-256color");
    let mut child = pair.slave.spawn_command(command).unwrap();
    let mut output = pair.master.try_clone_reader().unwrap();
    let (seen_tx, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            if seen_tx.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    let mut input = pair.master.take_writer().unwrap();
    let mut screen = String::new();
    let mut wait_for = |text: &str| {
        let end = Instant::now() + DEADLINE;
        while !screen.contains(text) {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(bytes) = seen.recv_timeout(left) else {
                child.kill().unwrap();
                panic!("waited in vain: {text}");
            };
            screen.push_str(&String::from_utf8_lossy(&bytes));
        }
    };
    wait_for("ready");
    input.write_all(b"\x1a").unwrap();
    wait_for("suspended");
    input.write_all(b"\x03\x03").unwrap();
    wait_for("stopped 1 of 1");
    let end = Instant::now() + DEADLINE;
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "it still runs");
        std::thread::sleep(Duration::from_millis(10));
    }
}
