//! Every way out: asked for, by key, by signal, twice; the terminal is as before and no process is left.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::common::pty::Pty;
use crate::common::{DEADLINE, processes};
use crate::desk::{ENVDECK, Script, demo, open_form, quit, quit_clean, wait_ready};

#[test]
fn q_asks_and_y_quits() {
    let pty = demo();
    pty.type_text("q");
    pty.wait_for("1 running instance will be stopped", DEADLINE);
    pty.key("Escape");
    pty.wait_gone("Quit envdeck?", DEADLINE);
    quit_clean(&pty);
}

#[test]
fn escape_never_quits() {
    let pty = demo();
    for pane in 1..=9 {
        pty.type_text(&pane.to_string());
        for _ in 0..3 {
            pty.key("Escape");
        }
    }
    pty.type_text("?");
    pty.wait_for("everywhere", DEADLINE);
    for _ in 0..3 {
        pty.key("Escape");
    }
    pty.wait_gone("everywhere", DEADLINE);
    quit_clean(&pty);
}

#[test]
fn ctrl_c_twice_quits() {
    let pty = demo();
    pty.key("Ctrl+C");
    pty.wait_for("ctrl+c again quits", DEADLINE);
    pty.key("Ctrl+C");
    pty.assert_clean_exit(0);
}

#[test]
fn ctrl_c_cancels_a_running_call_and_does_not_quit() {
    let pty = demo();
    open_form(&pty, "countdown");
    pty.key("Ctrl+S");
    pty.wait_for("1 running", DEADLINE);
    pty.key("Ctrl+C");
    pty.wait_for("cancelling", DEADLINE);
    pty.wait_for("countdown  cancelled", DEADLINE);
    pty.wait_gone("1 running", DEADLINE);
    pty.key("Escape");
    quit_clean(&pty);
}

#[test]
fn signals_end_it_with_its_server() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let script = Script::polite();
        let (pty, server) = script.open();
        pty.signal(signal);
        pty.assert_clean_exit(0);
        processes::assert_gone(&[server], DEADLINE);
    }
}

/// Gives the terminal to a program as a shell does; on SIGUSR1 takes it back and ends the program, as a shell does
/// that is ended itself. Fails if the program stops instead.
const SHELL: &str = r#"
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    os.execv(sys.argv[1], sys.argv[1:])
signal.sigwait([signal.SIGUSR1])
os.tcsetpgrp(0, os.getpgrp())
os.kill(child, signal.SIGTERM)
_, status = os.waitpid(child, os.WUNTRACED)
sys.exit("it stopped" if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status))
"#;

#[test]
fn it_ends_also_where_the_terminal_belongs_to_another_already() {
    let pty = Pty::spawn("python3", &["-c", SHELL, ENVDECK], 120, 36, &[]);
    wait_ready(&pty);
    pty.signal(Signal::SIGUSR1);
    pty.assert_clean_exit(0);
}

#[test]
fn a_call_in_flight_does_not_hold_up_the_end() {
    let pty = demo();
    open_form(&pty, "hang");
    pty.key("Ctrl+S");
    pty.wait_for("1 running", DEADLINE);
    pty.key("Escape");
    pty.type_text("q");
    pty.wait_for("1 running call will be cancelled", DEADLINE);
    pty.type_text("y");
    pty.assert_clean_exit(0);
}

#[test]
fn a_stubborn_server_is_killed_when_its_grace_is_over() {
    let script = Script::stubborn();
    let (pty, server) = script.open();
    quit(&pty);
    pty.assert_clean_exit(0);
    processes::assert_gone(&[server], DEADLINE);
}

#[test]
fn a_second_signal_insists() {
    let script = Script::stubborn();
    let (pty, server) = script.open();
    pty.signal(Signal::SIGTERM);
    // The screen is given back first; from then on a signal insists.
    pty.wait_for("stopped 0 of 1 instances", DEADLINE);
    let started = std::time::Instant::now();
    pty.signal(Signal::SIGTERM);
    // Killed and seen to end: nothing is left behind.
    pty.assert_clean_exit(0);
    // Well below the grace of 5 s that a server has by default.
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
    processes::assert_gone(&[server], DEADLINE);
}

#[test]
fn what_a_killed_console_left_is_cleared_up_by_the_next_one() {
    let script = Script::stubborn();
    let (killed, server) = script.open();
    killed.signal(Signal::SIGKILL);
    killed.wait_exit(DEADLINE);
    assert!(processes::alive(server), "the end of its input ended it");
    let next = demo();
    processes::assert_gone(&[server], DEADLINE);
    quit_clean(&next);
}
