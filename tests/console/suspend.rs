//! Ctrl-Z in a shell with job control, and the way back.

use nix::sys::signal::Signal;

use crate::common::{
    DEADLINE, eventually, processes,
    pty::{Pty, regex},
};
use crate::desk::ENVDECK;

fn shell() -> Pty {
    let shell = ["--norc", "--noprofile", "--noediting", "-i"];
    let pty = Pty::spawn("bash", &shell, 120, 36, &[("PS1", "$ ")]);
    pty.wait_for("$", DEADLINE);
    pty.type_text(&format!("{ENVDECK}\r"));
    pty.wait_for("● ready", DEADLINE);
    pty
}

#[track_caller]
fn wait_clean(pty: &Pty) {
    pty.wait_until("terminal as it was", DEADLINE, |terminal| {
        terminal.unrestored().is_empty().then_some(())
    });
}

#[track_caller]
fn quit(pty: &Pty) {
    pty.type_text("q");
    pty.wait_for("Quit envdeck?", DEADLINE);
    pty.type_text("y");
    pty.wait_for(regex(r"^stopped 1 of 1 instances\n\$"), DEADLINE);
    wait_clean(pty);
    pty.type_text("exit\r");
    pty.assert_clean_exit(0);
}

#[test]
fn ctrl_z_gives_the_terminal_back_and_fg_takes_it_again() {
    let pty = shell();
    for turn in 1..=2 {
        pty.key("Ctrl+Z");
        // What is typed before the prompt may still be typed in raw mode, where Enter ends no line.
        let stopped = format!(r"(?:Stopped[\s\S]*){{{turn}}}\n\$\s*\z");
        pty.wait_for(regex(&stopped), DEADLINE);
        wait_clean(&pty);
        pty.type_text(&format!("echo still a shell, turn {turn}\r"));
        pty.wait_for(regex(&format!("^still a shell, turn {turn}$")), DEADLINE);
        pty.type_text("fg\r");
        pty.wait_for("● ready", DEADLINE);
        pty.wait_for("2 Instances", DEADLINE);
        // Keys arrive again, and the mouse is captured again.
        pty.type_text("?");
        pty.wait_for("everywhere", DEADLINE);
        pty.key("Escape");
        pty.wait_gone("everywhere", DEADLINE);
    }
    quit(&pty);
}

#[test]
fn a_stop_signal_from_elsewhere_does_the_same() {
    let pty = shell();
    let console = processes::children(pty.pid())[0];
    let pid = nix::unistd::Pid::from_raw(console);
    nix::sys::signal::kill(pid, Signal::SIGTSTP).unwrap();
    pty.wait_for(regex(r"Stopped[^\n]*\n\$\s*\z"), DEADLINE);
    wait_clean(&pty);
    assert!(eventually(DEADLINE, || processes::process(console)
        .is_some_and(|p| p.state == 'T')));
    pty.type_text("fg\r");
    pty.wait_for("● ready", DEADLINE);
    quit(&pty);
}
