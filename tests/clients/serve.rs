//! `envdeck serve` as a process, and the clients that are run against it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A running gateway; killed if a test fails.
pub struct Serve {
    child: Child,
    pub url: String,
    home: tempfile::TempDir,
}

/// The backends of a configuration: the embedded demo.
pub fn demo() -> String {
    "  - { backend_name_ref: demo, orchestration_mode: embedded }\n".to_owned()
}

/// A process as a backend.
pub fn process(name: &str, command: &str, args: &[&str]) -> String {
    // JSON is YAML.
    let args = serde_json::to_string(args).unwrap();
    format!(
        "  - {{ backend_name_ref: {name}, orchestration_mode: local_process, command: {command}, args: {args} }}\n"
    )
}

/// The program in a home of its own.
fn envdeck(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_envdeck"));
    command
        .env("XDG_STATE_HOME", home.join("state"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env_remove("ENVDECK_TOKEN")
        .stdin(Stdio::null());
    command
}

impl Serve {
    pub fn start(backends: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("deck.yaml");
        fs::write(&config, format!("backends:\n{backends}")).unwrap();
        let mut child = envdeck(home.path())
            .arg("serve")
            .args(["--port", "0", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.find("http://").map(|at| line[at..].to_owned()))
            .expect("it says where it serves");
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| eprintln!("{line}"));
        });
        let url = url.split(['"', ' ']).next().unwrap().to_owned();
        Self { child, url, home }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What `envdeck ps` tells of it.
    pub fn ps(&self) -> serde_json::Value {
        let mut ps = envdeck(self.home.path());
        ps.args(["ps", "--json"]);
        let told: serde_json::Value = serde_json::from_str(&said(ps)).unwrap();
        told["runs"][0].clone()
    }

    /// Asks it to end, which must leave nothing behind.
    pub fn end(mut self) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `ENVDECK_TEST_CLIENTS` or where `tests/clients/install` puts them.
pub fn clients() -> PathBuf {
    std::env::var_os("ENVDECK_TEST_CLIENTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mcp-clients"),
        PathBuf::from,
    )
}

/// A program of theirs, run from the top of the project, with their node in front of any other.
pub fn client(program: &str) -> Command {
    let path = clients().join(program);
    assert!(
        path.exists(),
        "{}: run tests/clients/install first",
        path.display()
    );
    let node = clients().join("node/node_modules/node/bin");
    let others = std::env::var_os("PATH").unwrap_or_default();
    let search = std::iter::once(node).chain(std::env::split_paths(&others));
    let mut command = Command::new(path);
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PATH", std::env::join_paths(search).unwrap())
        .stdin(Stdio::null());
    command
}

/// What it prints; it must succeed.
#[track_caller]
pub fn said(mut command: Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{said}\n{complaints}");
    said
}

/// It must say that it passed.
#[track_caller]
pub fn passes(command: Command) {
    let said = said(command);
    assert_eq!(said.trim(), "passed");
}
