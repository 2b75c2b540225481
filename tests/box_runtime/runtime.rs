//! A real Box runtime on the real engine, which leaves nothing behind.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use envdeck::drivers::sandbox::remote::actions::{MountMode, Network, ProcessSpec, SessionSpec};
use envdeck::drivers::sandbox::remote::{Connection, Place};
use envdeck::model::{SandboxTenant, Secret};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::proxy::Proxy;

/// Far more than anything here takes, far less than a hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The versions that `install` installs: one of each dialect.
pub const VERSIONS: [Version; 2] = [Version::Lines, Version::Chunks];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Lines,
    Chunks,
}

impl Version {
    fn number(self) -> &'static str {
        match self {
            Version::Lines => "0.4.1",
            Version::Chunks => "0.7.18",
        }
    }
}

const TOKEN: &str = "test-control-token-0123456789abcdef0123456789";
/// Node on busybox, without an entry point; `tests/images/build` makes it.
pub const IMAGE: &str = "mcp/everything";
/// Debian with Python and pip; from there, too.
pub const PYTHON: &str = "envdeck-tests/sandbox-python";

/// A runtime that runs. Dropping it kills it and removes what it made.
pub struct Runtime {
    pub version: Version,
    port: u16,
    process: Child,
    directory: TempDir,
    /// A second runtime on an engine removes all that the first one made.
    _only: File,
}

impl Runtime {
    /// Waits for its turn and starts it.
    pub async fn start(version: Version) -> Self {
        let home = home();
        let lock = home.join("engine.lock");
        let only = tokio::task::spawn_blocking(move || {
            let file = File::create(&lock).unwrap_or_else(|error| {
                panic!(
                    "{}: {error}; run tests/box_runtime/install first",
                    lock.display()
                )
            });
            file.lock().unwrap();
            file
        });
        let only = only.await.unwrap();
        let directory = TempDir::with_prefix("envdeck-box-").unwrap();
        let server = directory.path().join("project");
        std::fs::create_dir(&server).unwrap();
        std::fs::write(server.join("server.mjs"), include_str!("server.mjs")).unwrap();
        let port = free_port();
        let mut runtime = Self {
            version,
            port,
            process: spawn(version, port, &directory),
            directory,
            _only: only,
        };
        runtime.answers().await;
        runtime
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again at the same place.
    pub async fn restart(&mut self) {
        self.process = spawn(self.version, self.port, &self.directory);
        self.answers().await;
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same place, reached through a wire that can be cut.
    pub fn place_through(&self, proxy: &Proxy) -> Place {
        self.place_at(proxy.port)
    }

    async fn answers(&mut self) {
        let end = Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port))
            .await
            .is_err()
        {
            let ended = self.process.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < end,
                "the runtime: {ended:?}\n{}",
                self.log()
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    pub fn endpoint(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// Where it is, and who we are there.
    pub fn place(&self) -> Place {
        self.place_at(self.port)
    }

    fn place_at(&self, port: u16) -> Place {
        let mut place = Place::at(&format!("ws://127.0.0.1:{port}")).unwrap();
        if self.version == Version::Chunks {
            place.token = Some(Secret::new(TOKEN));
            place.tenant = Some(SandboxTenant {
                instance: "envdeck-tests".to_owned(),
                workspace: "default".to_owned(),
                generation: 1,
            });
        }
        place
    }

    pub fn connect(&self) -> Connection {
        Connection::new(self.place())
    }

    /// A session with the server of the tests in its workspace.
    pub fn session(&self, id: &str) -> SessionSpec {
        let project = self.directory.path().join("project");
        SessionSpec {
            session_id: id.to_owned(),
            image: IMAGE.to_owned(),
            network: Network::Off,
            host_path: Some(project.to_str().unwrap().to_owned()),
            host_path_mode: MountMode::Ro,
            mount_path: "/workspace".to_owned(),
            persistent: false,
            cpus: 1.0,
            memory_mb: 512,
            pids_limit: 128,
            read_only_rootfs: false,
            workspace_quota_mb: 0,
        }
    }
}

/// The server of the tests as a process.
pub fn server(id: &str, args: &[&str]) -> ProcessSpec {
    let script = ["/workspace/server.mjs"];
    ProcessSpec {
        process_id: id.to_owned(),
        command: "node".to_owned(),
        args: script.iter().chain(args).map(ToString::to_string).collect(),
        env: [("PRIVATE".to_owned(), Secret::new("s3cr3t"))].into(),
        cwd: "/workspace".to_owned(),
    }
}

impl Drop for Runtime {
    #[allow(clippy::print_stderr)] // beside a failure, its log says more
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the runtime\n{}", self.log());
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        // What any runtime removes when it starts.
        let script = "docker ps --all --quiet --filter label=langbot.box=true | xargs -r docker rm --force >/dev/null";
        let _ = Command::new("sh").args(["-c", script]).status();
    }
}

/// One that the system gives to nobody who asks for any, so that it is still free when the runtime listens, and again
/// after it was killed.
fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| rand::random_range(15_000..30_000));
    let free = ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.unwrap()
}

fn home() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache =
        cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    cache.join("envdeck-tests/box-runtime")
}

fn spawn(version: Version, port: u16, directory: &TempDir) -> Child {
    let python = home().join(version.number()).join("bin/python");
    let log = File::options()
        .create(true)
        .append(true)
        .open(directory.path().join("log"))
        .unwrap();
    let mut command = Command::new(&python);
    command
        .args([
            "-m",
            "langbot_plugin.cli.__init__",
            "box",
            "--host",
            "127.0.0.1",
        ])
        .args(["--ws-control-port", &port.to_string()])
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    if version == Version::Chunks {
        command.env("LANGBOT_BOX_CONTROL_TOKEN", TOKEN);
    }
    command.spawn().unwrap_or_else(|error| {
        panic!(
            "{}: {error}; run tests/box_runtime/install first",
            python.display()
        )
    })
}
