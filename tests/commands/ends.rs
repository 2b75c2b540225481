//! Signals: everything is taken down, a second one insists, and the exit code tells.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::common::{DEADLINE, eventually};
use crate::shell::{Run, Shell};

/// A call that waits, and that its server knows of.
#[track_caller]
fn waiting_call(shell: &Shell, server: &str) -> Run {
    let run = shell.start(&[
        "call",
        "silent",
        "--",
        "sh",
        "-c",
        "exec python3 \"$1\" 2>words",
        "sh",
        server,
    ]);
    let words = shell.home().join("words");
    let is_called =
        || std::fs::read_to_string(&words).is_ok_and(|words| words.contains("silent now"));
    assert!(eventually(DEADLINE, is_called));
    run
}

#[test]
fn a_signal_ends_it_cleanly_and_by_itself() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let shell = Shell::new();
        let run = waiting_call(&shell, &shell.server("", ""));
        run.signal(signal);
        let said = run.end();
        assert_eq!(said.status.signal(), Some(signal as i32), "{said:#?}");
        let expected = format!(
            "envdeck: interrupted by {signal}\nstopped 0 of 1 instances\nstopped 1 of 1 instances\n"
        );
        assert_eq!((said.stdout.as_str(), said.stderr), ("", expected));
        shell.assert_clean();
    }
}

#[test]
fn a_second_signal_insists() {
    let shell = Shell::new();
    let run = waiting_call(&shell, &shell.stubborn());
    run.signal(Signal::SIGINT);
    let pid = run.pid();
    // It is stopping as soon as it has asked its server to end, which that ignores.
    assert!(eventually(DEADLINE, || shell.home().join("asked").exists()));
    let began = Instant::now();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGINT).unwrap();
    let said = run.end();
    // All of it is gone, and that was seen: nothing is left to complain of.
    assert_eq!(
        said.status.signal(),
        Some(Signal::SIGINT as i32),
        "{said:#?}"
    );
    // Well below the grace of 5 s that a server has by default.
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    shell.assert_clean();
}

#[test]
fn a_loop_of_a_shell_ends_with_it() {
    let shell = Shell::new();
    let said = shell.bash(
        "set -m; (for i in 1 2 3; do echo $i; envdeck call demo hang; done) & \
         sleep 1; kill -INT -$!; wait $!; echo $?",
    );
    assert_eq!(said.stdout, "1\n130\n", "{}", said.stderr);
    shell.assert_clean();
}

#[test]
fn what_is_ignored_stays_ignored() {
    let shell = Shell::new();
    let said = shell.bash(
        "trap '' INT HUP; envdeck call demo countdown seconds=1 --text & \
         sleep 0.4; kill -INT $!; kill -HUP $!; wait $!; echo $?",
    );
    assert!(said.stdout.ends_with("\n0\n"), "{said:#?}");
    shell.assert_clean();
}

#[test]
fn a_signal_is_heard_from_the_first_moment_on() {
    for delay in 0..12 {
        let shell = Shell::new();
        let run = shell.start(&["call", "silent", "--", "python3", &shell.stubborn()]);
        // Not a wait for anything: each round hits another moment of the start.
        std::thread::sleep(Duration::from_millis(delay * 4));
        run.signal(Signal::SIGTERM);
        let said = run.end();
        assert_eq!(
            said.status.signal(),
            Some(Signal::SIGTERM as i32),
            "{delay}: {said:#?}"
        );
        shell.assert_clean();
    }
}

#[test]
fn a_reader_that_does_not_read_does_not_keep_it() {
    let shell = Shell::new();
    let mut command = shell.command(&["call", "demo", "blob", "megabytes=20"]);
    let mut child = command.spawn().unwrap();
    // The first byte, and no other.
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0]).unwrap();
    let run = Run::of(child);
    run.signal(Signal::SIGINT);
    let said = run.end();
    assert_eq!(said.status.signal(), Some(Signal::SIGINT as i32));
    assert!(
        said.stderr.contains("stopped 1 of 1 instances"),
        "{said:#?}"
    );
    drop(stdout);
    shell.assert_clean();
}
