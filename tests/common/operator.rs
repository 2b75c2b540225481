//! What an operator does at the console: opens it in a terminal, picks a tool, fills in, sends, reads, leaves.

use std::time::Duration;

use super::{
    DEADLINE,
    pty::{Pty, regex},
};

/// A console in a terminal of 160×45, with one instance.
pub struct Operator {
    pub pty: Pty,
}

impl Operator {
    /// Runs `envdeck` with these arguments and does not wait.
    #[track_caller]
    pub fn run(args: &[&str], env: &[(&str, &str)]) -> Self {
        let pty = Pty::spawn(env!("CARGO_BIN_EXE_envdeck"), args, 160, 45, env);
        Self { pty }
    }

    /// Opens the console on a server of the command line and waits until it is ready.
    #[track_caller]
    pub fn open(command: &[&str], env: &[(&str, &str)]) -> Self {
        let operator = Self::run(&[&["--"], command].concat(), env);
        operator.pty.wait_for("● ready", DEADLINE);
        operator
    }

    /// Selects a tool by typing its name and goes on to its form, whose first field is then edited.
    #[track_caller]
    pub fn choose(&self, tool: &str) {
        // Out of a field, and out of the tool filter of the last time.
        for key in ["Escape", "Escape", "3", "Escape", "/"] {
            self.pty.key(key);
        }
        self.pty.type_text(tool);
        self.pty.key("Enter");
        self.pty
            .wait_for(regex(&format!("^│> {tool}\\b")), DEADLINE);
        self.pty.key("Enter");
        let title = regex(&format!("4 Call ─ {tool}\\b"));
        let screen = self.pty.wait_for(title, DEADLINE);
        let raw = format!("4 Call ─ {tool}  JSON");
        if screen.contains(&raw) {
            // The last time it was raw.
            self.pty.key("F2");
            self.pty.wait_gone(raw.as_str(), DEADLINE);
            self.pty.key("c");
        }
    }

    /// Types into the first fields of the form, in its order. `+text` is the only item of a list.
    pub fn fill(&self, fields: &[impl AsRef<str>]) {
        for field in fields {
            let field = field.as_ref();
            let item = field.strip_prefix('+');
            if item.is_some() {
                self.pty.key("Ctrl+N");
            }
            // A default stands there to be edited.
            self.pty.key("Ctrl+U");
            self.pty.type_text(item.unwrap_or(field));
            self.pty.key("Enter");
        }
    }

    /// Replaces the arguments by this JSON, in the raw editor.
    #[track_caller]
    pub fn fill_raw(&self, json: &str) {
        self.pty.key("F2");
        self.pty.wait_for("a JSON object", DEADLINE);
        // Begins editing, or is white space.
        self.pty.key("Enter");
        // What the form has made of it, bit by bit: a person sees when it is gone.
        for _ in 0..50 {
            if self.pty.screen().contains("✖ EOF") {
                break;
            }
            (0..10).for_each(|_| self.pty.key("Delete"));
            self.pty.wait_quiet(Duration::from_millis(20), DEADLINE);
        }
        self.pty.paste(json);
        self.pty.wait_for("a JSON object", DEADLINE);
    }

    /// Sends, and waits until the result's title says how it ended, such as `ok` or `failed`.
    #[track_caller]
    pub fn send(&self, tool: &str, ended: &str) -> String {
        self.send_within(tool, ended, DEADLINE)
    }

    #[track_caller]
    pub fn send_within(&self, tool: &str, ended: &str, deadline: Duration) -> String {
        self.pty.key("Ctrl+S");
        self.wait_end(tool, ended, deadline)
    }

    #[track_caller]
    pub fn wait_end(&self, tool: &str, ended: &str, deadline: Duration) -> String {
        let title = regex(&format!("5 Result ─ {tool}  {ended}\\b"));
        self.pty.wait_for(title, deadline)
    }

    /// Reads the result on the whole screen.
    #[track_caller]
    pub fn read(&self, expect: &str) -> String {
        for key in ["Escape", "5", "z"] {
            self.pty.key(key);
        }
        let screen = self.pty.wait_for(expect, DEADLINE);
        self.pty.key("z");
        self.pty.wait_for("1 Sessions", DEADLINE);
        screen
    }

    /// Opens and closes the help `times` times: keys reach the screen whatever else goes on. How soon is
    /// measured in `benches/`.
    #[track_caller]
    pub fn answers_keys(&self, times: usize) {
        for _ in 0..times {
            self.pty.key("?");
            self.pty.wait_for("everywhere", DEADLINE);
            self.pty.key("q");
            self.pty.wait_gone("everywhere", DEADLINE);
        }
    }

    /// Leaves, and proves that nothing stays behind.
    #[track_caller]
    pub fn quit(&self) {
        self.pty.key("Ctrl+C");
        self.pty.key("Ctrl+C");
        self.pty.assert_clean_exit(0);
    }
}
