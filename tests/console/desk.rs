//! How every test here begins: the program on a screen of usual size, the demo or a scripted server ready.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::common::pty::{Pty, regex};
use crate::common::{DEADLINE, eventually, processes};

/// The program under test.
pub const ENVDECK: &str = env!("CARGO_BIN_EXE_envdeck");

/// Starts the program with these arguments on a screen of 120×36.
#[track_caller]
pub fn envdeck(args: &[&str]) -> Pty {
    Pty::spawn(ENVDECK, args, 120, 36, &[])
}

/// The demo, up and ready.
#[track_caller]
pub fn demo() -> Pty {
    let pty = envdeck(&[]);
    wait_ready(&pty);
    pty
}

/// Waits until an instance is ready and its tools are listed.
#[track_caller]
pub fn wait_ready(pty: &Pty) {
    pty.wait_for("● ready", DEADLINE);
}

/// Opens the call form of a tool: by name, whatever is selected.
#[track_caller]
pub fn open_form(pty: &Pty, tool: &str) {
    pty.type_text("3/");
    pty.wait_for(regex(r"^│/"), DEADLINE);
    pty.type_text(tool);
    pty.wait_for(regex(&format!("> {tool} ")), DEADLINE);
    pty.key("Enter");
    pty.key("Escape");
    pty.wait_for(regex(&format!("> {tool} ")), DEADLINE);
    pty.type_text("c");
    pty.wait_for(format!("4 Call ─ {tool}").as_str(), DEADLINE);
}

/// Asks to quit and confirms.
#[track_caller]
pub fn quit(pty: &Pty) {
    pty.type_text("q");
    pty.wait_for("Quit envdeck?", DEADLINE);
    pty.type_text("y");
}

/// Quits and asserts that nothing is left: exit code 0, the terminal as before, no process.
#[track_caller]
pub fn quit_clean(pty: &Pty) {
    quit(pty);
    pty.assert_clean_exit(0);
}

/// Runs the program to its end without a terminal, as a script does.
pub fn without_terminal(args: &[&str], home: &Path) -> Output {
    Command::new(ENVDECK)
        .args(args)
        .env_clear()
        .env("HOME", home)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// An MCP server in Python that stays as long as it is not told otherwise.
pub struct Script {
    directory: TempDir,
}

/// Answers `initialize` and `tools/list`; `PREAMBLE` runs first.
const SERVER: &str = r#"
import json, signal, sys
PREAMBLE
print("script ready", file=sys.stderr, flush=True)
for line in sys.stdin:
    ask = json.loads(line)
    if ask.get("method") == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                  "serverInfo": {"name": "script", "version": "1"}}
    elif ask.get("method") == "tools/list":
        result = {"tools": [{"name": "nothing", "inputSchema": {"type": "object"}}]}
    else:
        result = {}
    if "id" in ask:
        print(json.dumps({"jsonrpc": "2.0", "id": ask["id"], "result": result}), flush=True)
AFTERWARDS
"#;

/// A title, a clipboard, a cleared screen, a colour, an 8-bit control, a bell, a reversed text (in Python).
const EVIL: &str =
    r#""\x1b]0;evil\x07\x1b]52;c;ZXZpbA==\x07\x1b[2J\x1b[H\x1b[31m\x9b2J\a\u202e\r\x00""#;

impl Script {
    /// A server that ends when its input does.
    pub fn polite() -> Self {
        Self::new("", "")
    }

    /// A server that neither SIGTERM nor the end of its input ends.
    pub fn stubborn() -> Self {
        Self::new(
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
            "signal.pause()",
        )
    }

    /// A server all of whose words try to take the terminal over.
    pub fn hostile() -> Self {
        let script = Self::polite();
        let source = fs::read_to_string(script.path()).unwrap();
        let source = source
            .replace(r#""name": "script""#, r#""name": EVIL + "script""#)
            .replace(r#""version": "1""#, r#""version": EVIL, "title": EVIL"#)
            .replace(
                r#""name": "nothing""#,
                r#""name": EVIL + "tool", "title": EVIL, "description": EVIL"#,
            )
            .replace("import json", &format!("EVIL = {EVIL}\nimport json"))
            .replace(
                r#"print("script ready""#,
                r#"print(EVIL + "hostile words\nscript ready""#,
            );
        fs::write(script.path(), source).unwrap();
        script
    }

    fn new(preamble: &str, afterwards: &str) -> Self {
        let directory = TempDir::with_prefix("envdeck-script-").unwrap();
        let source = SERVER
            .replace("PREAMBLE", preamble)
            .replace("AFTERWARDS", afterwards);
        fs::write(directory.path().join("server.py"), source).unwrap();
        Self { directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("server.py")
    }

    /// The program over this server, which is ready; and the server's process.
    #[track_caller]
    pub fn open(&self) -> (Pty, i32) {
        self.open_with(&[])
    }

    /// The same with these variables in the environment.
    #[track_caller]
    pub fn open_with(&self, env: &[(&str, &str)]) -> (Pty, i32) {
        let path = self.path();
        let args = ["--", "python3", path.to_str().unwrap()];
        let pty = Pty::spawn(ENVDECK, &args, 120, 36, env);
        wait_ready(&pty);
        pty.wait_for("script ready", DEADLINE);
        let mut found = Vec::new();
        assert!(eventually(DEADLINE, || {
            found = processes::children(pty.pid());
            !found.is_empty()
        }));
        assert_eq!(found.len(), 1, "{found:?}");
        (pty, found[0])
    }
}
