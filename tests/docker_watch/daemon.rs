//! An engine of the test's own, that may be stopped, killed, frozen and started again.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use envdeck::drivers::docker::Address;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::lab::{connect, eventually};

/// For an engine to start or to end.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Daemon {
    /// Short, because sockets below it must have names of less than 108 characters.
    home: TempDir,
    live_restore: bool,
    process: Option<Child>,
}

impl Daemon {
    /// Starts an engine of its own; with `live_restore` its containers outlive it.
    pub async fn new(live_restore: bool) -> Self {
        let home = tempfile::Builder::new()
            .prefix("ed")
            .tempdir_in("/tmp")
            .unwrap();
        let mut daemon = Self {
            home,
            live_restore,
            process: None,
        };
        daemon.start().await;
        daemon
    }

    pub fn address(&self) -> Address {
        Address::Unix(self.home.path().join("sock"))
    }

    pub async fn start(&mut self) {
        let home = self.home.path();
        let log = File::options()
            .create(true)
            .append(true)
            .open(home.join("log"))
            .unwrap();
        let option = |name: &str, file: &str| format!("--{name}={}", home.join(file).display());
        let mut command = Command::new("dockerd");
        command
            .args([option("data-root", "data"), option("exec-root", "exec")])
            .args([option("pidfile", "pid")])
            .arg(format!("--host=unix://{}", home.join("sock").display()))
            .args(["--bridge=none", "--iptables=false", "--log-level=error"])
            .arg(format!("--live-restore={}", self.live_restore))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        let started = command.spawn();
        self.process = Some(started.expect("dockerd on PATH: the Debian package docker.io"));
        let began = Instant::now();
        while !self.answers().await {
            assert!(began.elapsed() < PATIENCE, "{}", self.said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn answers(&self) -> bool {
        // A client of it cannot be made before there is a socket.
        let is_there = self.home.path().join("sock").exists();
        is_there && connect(&self.address()).ping().await.is_ok()
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            let pid = Pid::from_raw(process.id().try_into().unwrap());
            signal::kill(pid, signal).unwrap();
        }
    }

    /// Ends it with this signal, and waits for its end.
    pub async fn end(&mut self, signal: Signal) {
        self.signal(signal);
        let mut process = self.process.take().unwrap();
        eventually("the engine's end", || process.try_wait().unwrap()).await;
        // What supervises containers for it goes with it; the containers do not.
        self.sweep(|program| !program.starts_with("containerd-shim"));
        // Where nobody reaps orphans, its id looks alive to the next engine.
        let pid = self.home.path().join("exec/containerd/containerd.pid");
        let _ = std::fs::remove_file(pid);
    }

    /// Kills what the engine left: processes that name its directory, by their ids.
    fn sweep(&self, goes: impl Fn(&str) -> bool) {
        let home = self.home.path().to_string_lossy();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.parse::<i32>().ok());
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            let program = line.split('\0').next().unwrap_or_default();
            let program = program.rsplit('/').next().unwrap_or_default();
            if let Some(pid) = pid
                && line.contains(&*home)
                && goes(program)
            {
                // It may have ended meanwhile.
                let _ = signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

/// Takes off all that is mounted below this directory.
fn unmount(below: &Path) {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let ours = places.filter(|place| Path::new(place).starts_with(below));
    let mut ours: Vec<_> = ours.collect();
    ours.reverse();
    for place in ours {
        let _ = Command::new("umount").arg("-l").arg(place).status();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let pid = Pid::from_raw(process.id().try_into().unwrap_or(i32::MAX));
            // In this order it also ends when it is frozen.
            let _ = signal::kill(pid, Signal::SIGTERM);
            let _ = signal::kill(pid, Signal::SIGCONT);
            let began = Instant::now();
            while began.elapsed() < PATIENCE && matches!(process.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        self.sweep(|_| true);
        unmount(self.home.path());
    }
}
