//! How every test here runs the program: in a home of its own, and nothing of it is left afterwards.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::common::{DEADLINE, eventually, processes};

pub const ENVDECK: &str = env!("CARGO_BIN_EXE_envdeck");

/// An environment for some runs of the program. Dropping it kills what they left.
pub struct Shell {
    home: TempDir,
    /// In the environment of everything that is started from here.
    mark: String,
}

/// What a run said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    #[track_caller]
    pub fn code(&self, code: i32) -> &Self {
        assert_eq!(self.status.code(), Some(code), "{self:#?}");
        self
    }

    /// All of stderr, and nothing on stdout.
    #[track_caller]
    pub fn complains(&self, code: i32, stderr: &str) {
        self.code(code);
        assert_eq!(self.stderr.trim_end(), stderr);
        assert_eq!(self.stdout, "");
    }

    /// Nothing but JSON on stdout, and nothing on stderr.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.stderr, "");
        serde_json::from_str(&self.stdout).unwrap()
    }
}

impl Shell {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self {
            home: TempDir::with_prefix("envdeck-home-").unwrap(),
            mark: format!("commands-{}-{count}", std::process::id()),
        }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The program with these arguments, not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(ENVDECK);
        command.args(args);
        self.prepare(&mut command);
        command
    }

    /// A small environment, the same everywhere; the streams are pipes.
    pub fn prepare(&self, command: &mut Command) {
        command
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("ENVDECK_TEST_MARK", &self.mark)
            .current_dir(self.home())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Said {
        Run::of(self.command(args).spawn().unwrap()).end()
    }

    /// The same with this on stdin.
    #[track_caller]
    pub fn run_with(&self, stdin: &str, args: &[&str]) -> Said {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        // It may have seen enough before all is written.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        Run::of(child).end()
    }

    /// Runs a line of bash, in which `envdeck` is the program under test.
    #[track_caller]
    pub fn bash(&self, line: &str) -> Said {
        let mut command = Command::new("bash");
        command.args([
            "-c",
            &format!("envdeck() {{ '{ENVDECK}' \"$@\"; }}; {line}"),
        ]);
        self.prepare(&mut command);
        Run::of(command.spawn().unwrap()).end()
    }

    pub fn start(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).spawn().unwrap())
    }

    /// What of it runs, children and their children included.
    pub fn processes(&self) -> Vec<i32> {
        processes::with_environment(&format!("ENVDECK_TEST_MARK={}", self.mark))
    }

    /// Asserts that no process and no run directory is left.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(eventually(DEADLINE, || self.processes().is_empty()));
        assert_eq!(self.runs(), Vec::<PathBuf>::new());
    }

    /// The directories of runs.
    pub fn runs(&self) -> Vec<PathBuf> {
        let cache = fs::read_dir(self.home().join(".cache/envdeck"));
        let entries = cache.into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        paths.filter(|path| path.is_dir()).collect()
    }

    /// Writes an MCP server in Python and returns its path. It answers `initialize`, `tools/list` and every call,
    /// except of the tool `silent`; `preamble` runs first, `afterwards` when its input has ended.
    pub fn server(&self, preamble: &str, afterwards: &str) -> String {
        let source = SERVER
            .replace("PREAMBLE", preamble)
            .replace("AFTERWARDS", afterwards);
        let path = self.home().join("server.py");
        fs::write(&path, source).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A server that neither SIGTERM nor the end of its input ends; asked to, it writes the file `asked`.
    pub fn stubborn(&self) -> String {
        self.server(
            "signal.signal(signal.SIGTERM, lambda *_: open('asked', 'w').close())",
            "while True: signal.pause()",
        )
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

const SERVER: &str = r#"
import json, os, signal, sys
PREAMBLE
print("script ready", file=sys.stderr, flush=True)
for line in sys.stdin:
    ask = json.loads(line)
    method = ask.get("method")
    if method == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                  "serverInfo": {"name": "script", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ["say", "silent"]]}
    elif method == "tools/call" and ask["params"]["name"] == "silent":
        print("silent now", file=sys.stderr, flush=True)
        continue
    elif method == "tools/call":
        result = {"content": [{"type": "text", "text": json.dumps(ask["params"].get("arguments"))}]}
    else:
        result = {}
    if "id" in ask:
        print(json.dumps({"jsonrpc": "2.0", "id": ask["id"], "result": result}), flush=True)
AFTERWARDS
"#;

/// A running program whose output is collected. Dropping it kills it.
pub struct Run {
    child: Child,
    stdout: Option<thread::JoinHandle<String>>,
    stderr: Option<thread::JoinHandle<String>>,
}

impl Run {
    pub fn of(mut child: Child) -> Self {
        let collect = |mut from: Box<dyn Read + Send>| {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = from.read_to_end(&mut bytes);
                String::from_utf8_lossy(&bytes).into_owned()
            })
        };
        let stdout = child.stdout.take().map(|out| collect(Box::new(out)));
        let stderr = child.stderr.take().map(|err| collect(Box::new(err)));
        Self {
            child,
            stdout,
            stderr,
        }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Said {
        let mut status = None;
        let ended = eventually(DEADLINE, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        if !ended {
            let _ = self.child.kill();
        }
        let text = |reader: &mut Option<thread::JoinHandle<String>>| {
            reader
                .take()
                .map(|reader| reader.join().unwrap())
                .unwrap_or_default()
        };
        let (stdout, stderr) = (text(&mut self.stdout), text(&mut self.stderr));
        let status = status.unwrap_or_else(|| panic!("it hangs\n{stdout}\n{stderr}"));
        Said {
            status,
            stdout,
            stderr,
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
