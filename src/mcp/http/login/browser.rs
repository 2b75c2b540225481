//! The user's browser: whether there may be one, and how it is opened.

use std::env;
use std::process::{Command, Stdio};

/// Where a user logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Browser {
    /// What the desktop opens; where there is none, the user is only told.
    Desktop,
    /// A command that gets the address as its argument.
    Command(String),
    /// Nobody is there: a login fails at once, in words that say what to do.
    Nobody,
}

impl Browser {
    /// The command in `BROWSER`, or what the desktop has if somebody sits before us.
    pub fn of_user(has_terminal: bool) -> Self {
        let chosen = env::var("BROWSER").ok();
        match chosen.filter(|command| !command.trim().is_empty()) {
            Some(command) => Self::Command(command),
            None if has_terminal => Self::Desktop,
            None => Self::Nobody,
        }
    }

    /// Opens an address without waiting for its end; whether that worked.
    pub(super) fn open(&self, url: &str) -> bool {
        match self {
            Self::Command(command) => spawn(Command::new(command).arg(url)),
            // Without a desktop, what would be found takes over the terminal.
            Self::Desktop => has_desktop() && open::commands(url).iter_mut().any(spawn),
            Self::Nobody => false,
        }
    }
}

fn has_desktop() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let needs_display = cfg!(all(unix, not(target_os = "macos")));
    !needs_display || ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(is_set)
}

fn spawn(command: &mut Command) -> bool {
    command.stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    // Somebody has to hear of its end.
    std::thread::spawn(move || child.wait());
    true
}
