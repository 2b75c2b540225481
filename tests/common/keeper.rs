//! Starts a program under a shell that holds the terminal, and moves bytes between the two.

use std::{
    io::{Read, Write},
    path::Path,
    sync::mpsc::{Receiver, Sender},
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use portable_pty::CommandBuilder;

use super::emulator::Emulator;

/// Leads the terminal's session in the program's stead, for two reasons: when a session leader ends, Linux
/// hangs the terminal up and resets its modes, which would hide that the program did not restore them; and
/// only with a shell above it does a program have job control. Says in band (APC strings, which terminals
/// ignore) where the program's output begins and ends. Its own stderr is the terminal opened for reading: job
/// control needs a terminal there, and bash's `Killed` must not reach the
/// screen. The last word is an exit trap, because bash leaves when its child dies of Ctrl+C; then it stops, so
/// that the terminal lives until [`super::pty::Pty`] has looked at it.
const KEEPER: &str = r#"
trap 'printf "\033_%s exit %d\033\\" "$0" $?; kill -STOP $$' EXIT
trap 'trap - EXIT; exit' HUP
set -m
exec 3>&2 2</dev/tty
( trap - EXIT HUP; printf '\033_%s pid %d\033\\' "$0" "$BASHPID"; exec "$@" 2>&3 3>&- )
"#;

/// The terminal as seen from the test's thread and from the reading one.
pub(super) struct Shared {
    pub emulator: Mutex<Emulator>,
    pub changed: Condvar,
}

pub(super) fn command(
    program: &Path,
    args: &[&str],
    env: &[(&str, &str)],
    home: &Path,
    mark: &str,
) -> CommandBuilder {
    let mut command = CommandBuilder::new("bash");
    command.args(["-c", KEEPER, mark]);
    // Through env(1), because bash keeps some variables (PS1) to itself.
    command.arg("env");
    command.args(env.iter().map(|(name, value)| format!("{name}={value}")));
    command.arg(program);
    command.args(args);
    command.cwd(home);
    command.env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", home);
    command.env(MARK_VARIABLE, mark);
    command.env("TERM", "xterm-256color");
    command.env("COLORTERM", "truecolor");
    command.env("LC_ALL", "C.UTF-8");
    command
}

/// In the environment of everything started in the terminal, so that no process can hide by leaving its session.
pub(super) const MARK_VARIABLE: &str = "ENVDECK_TEST_TERMINAL";

/// Feeds the screen until the terminal is gone.
pub(super) fn read_output(
    mut reader: Box<dyn Read + Send>,
    shared: &Shared,
    answers: &Sender<Vec<u8>>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        let answer = shared.emulator.lock().feed(&buffer[..count]);
        if !answer.is_empty() && answers.send(answer).is_err() {
            return;
        }
        shared.changed.notify_all();
    }
}

/// Writes on a thread of its own: a program that does not read must block no test.
pub(super) fn write_input(mut writer: Box<dyn Write + Send>, typed: &Receiver<Vec<u8>>) {
    for bytes in typed {
        if writer.write_all(&bytes).is_err() {
            return;
        }
        if bytes == [0x1b] {
            // Nobody presses the next key within the same millisecond, and read at once Escape, x is Alt+x.
            thread::sleep(Duration::from_millis(50));
        }
    }
}
