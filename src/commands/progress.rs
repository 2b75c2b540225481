//! What a person at the terminal sees on stderr while something takes its time.

use std::io::{self, IsTerminal, Write};

/// One line of stderr that is written over as long as things move on; nothing where nobody would see it.
pub struct Progress {
    is_live: bool,
    is_open: bool,
}

impl Progress {
    /// Live on a terminal, silent elsewhere.
    pub fn new() -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            is_live: io::stderr().is_terminal() && !is_dumb,
            is_open: false,
        }
    }

    /// Whether a terminal shows the steps.
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// What is going on now, in place of what was said before.
    pub fn step(&mut self, text: &str) {
        if self.is_live {
            self.is_open = true;
            write(&format!("\r{text}\x1b[K"));
        }
    }

    /// Something that stays to be read, on a terminal or not.
    pub fn line(&mut self, text: &str) {
        self.clear();
        write(&format!("{text}\n"));
    }

    /// Takes the last step away.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.is_open) {
            write("\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Not `eprint!`: it panics where the terminal is gone.
fn write(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}
