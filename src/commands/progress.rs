//! What a person at the terminal sees on stderr while something takes its time.

use std::io::{self, IsTerminal, Write};

use jiff::Timestamp;
use serde_json::json;

use crate::telemetry::Format;

/// One line of stderr that is written over as long as things move on; nothing where nobody would see it.
pub struct Progress {
    is_live: bool,
    is_open: bool,
    is_json: bool,
}

impl Progress {
    /// Live on a terminal, silent elsewhere.
    pub fn new() -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            is_live: io::stderr().is_terminal() && !is_dumb,
            is_open: false,
            is_json: false,
        }
    }

    /// As lines of a log of this format; `None` is as [`Progress::new`].
    pub fn of(format: Option<Format>) -> Self {
        let progress = Self::new();
        Self {
            is_live: progress.is_live && format.is_none(),
            is_json: format == Some(Format::Json),
            ..progress
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
        if self.is_json {
            let line = json!({ "timestamp": Timestamp::now().to_string(), "level": "INFO", "message": text });
            write(&format!("{line}\n"));
        } else {
            write(&format!("{text}\n"));
        }
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
