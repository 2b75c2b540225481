//! The user's browser: whether there may be one, and how it is opened.

use std::env;
use std::process::{Command, Stdio};

/// Who would log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Browser {
    /// Somebody sits before us.
    Open,
    /// Nobody does: a login fails at once, in words that say what to do.
    Nobody,
}

impl Browser {
    /// Somebody does if there is a terminal, or if `BROWSER` says what to open.
    pub fn found(has_terminal: bool) -> Self {
        if has_terminal || chosen().is_some() {
            Self::Open
        } else {
            Self::Nobody
        }
    }
}

/// The command in `BROWSER`.
fn chosen() -> Option<String> {
    env::var("BROWSER")
        .ok()
        .filter(|command| !command.trim().is_empty())
}

/// Opens the browser without waiting for it; whether that worked. Where there is no desktop, nothing is opened: what
/// is found there would take over the terminal.
pub(super) fn open(url: &str) -> bool {
    if let Some(command) = chosen() {
        return spawn(Command::new(command).arg(url));
    }
    let needs_display = cfg!(all(unix, not(target_os = "macos")));
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    if needs_display && !has_display {
        return false;
    }
    open::commands(url).iter_mut().any(spawn)
}

fn spawn(command: &mut Command) -> bool {
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    // Somebody has to hear of its end.
    std::thread::spawn(move || child.wait());
    true
}
