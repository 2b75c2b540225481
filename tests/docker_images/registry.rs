//! A registry of our own on the loopback interface, with images that nobody else has.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::lab::{TINY, docker, run};

pub const USER: &str = "me";
/// In standard base64 it gives `+` and `/` wherever it begins.
pub const PASSWORD: &str = "~~~???>>>~~~???>>>";

pub struct Registry {
    child: Child,
    pub port: u16,
    folder: TempDir,
    has_login: bool,
}

impl Registry {
    pub fn start() -> Self {
        Self::launch(false)
    }

    /// Only for [`USER`] with [`PASSWORD`].
    pub fn with_login() -> Self {
        Self::launch(true)
    }

    fn launch(has_login: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let port = free_port();
        let mut config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\nhttp: {{addr: \
             '127.0.0.1:{port}'}}\n",
            path("images")
        );
        if has_login {
            let entry = run("htpasswd", &["-Bbn", USER, PASSWORD]);
            assert!(entry.status.success(), "htpasswd: install apache2-utils");
            fs::write(path("users"), entry.stdout).unwrap();
            let users = path("users");
            config += &format!("auth:\n  htpasswd: {{realm: test, path: {users}}}\n");
        }
        fs::write(path("config.yml"), config).unwrap();
        let log = File::create(path("log")).unwrap();
        let child = Command::new("docker-registry")
            .args(["serve", &path("config.yml")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("docker-registry: install the package of this name");
        let registry = Self {
            child,
            port,
            folder,
            has_login,
        };
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                Instant::now() < end,
                "the registry does not start: {}",
                registry.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// How often something was asked for, whose request line holds these words.
    pub fn requests(&self, words: &str) -> usize {
        let log = self.log();
        // Each appears twice, as an access log and as a structured message.
        log.lines()
            .filter(|line| line.starts_with("127.0.0.1 ") && line.contains(words))
            .count()
    }

    /// Of an image here.
    pub fn name(&self, path: &str) -> String {
        format!("127.0.0.1:{}/{path}", self.port)
    }

    /// A directory for `config.json` with the login of this registry.
    pub fn login(&self, config: &str) -> PathBuf {
        let folder = self.folder.path().join("docker");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.json"), config).unwrap();
        folder
    }

    pub fn basic(&self, password: &str) -> String {
        use base64::Engine as _;
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"));
        format!(
            r#"{{"auths": {{"127.0.0.1:{}": {{"auth": "{auth}"}}}}}}"#,
            self.port
        )
    }

    /// Puts the tiny image here, with a file of random bytes so that its layer is nobody else's; returns its name,
    /// which the engine does not know any more.
    pub fn push(&self, path: &str, bytes: usize) -> Pushed {
        let name = self.name(path);
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..bytes).map(|_| rand::random()).collect();
        fs::write(folder.path().join("random"), content).unwrap();
        fs::write(
            folder.path().join("Dockerfile"),
            format!("FROM {TINY}\nCOPY random /random\n"),
        )
        .unwrap();
        let folder = folder.path().to_str().unwrap();
        let built = Command::new("docker")
            .args(["build", "--quiet", "--force-rm", "--tag", &name, folder])
            .env("DOCKER_BUILDKIT", "0")
            .output()
            .unwrap();
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        let id = docker(&["image", "inspect", "--format", "{{.Id}}", &name]);
        self.push_local(&name);
        docker(&["rmi", &name]);
        Pushed { name, id }
    }

    fn push_local(&self, name: &str) {
        let config = self.login(&if self.has_login {
            self.basic(PASSWORD)
        } else {
            "{}".into()
        });
        docker(&[
            "--config",
            config.to_str().unwrap(),
            "push",
            "--quiet",
            name,
        ]);
        fs::remove_dir_all(config).unwrap();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An image in the registry; what was pulled of it goes with this.
pub struct Pushed {
    pub name: String,
    pub id: String,
}

impl Drop for Pushed {
    fn drop(&mut self) {
        run("docker", &["rmi", "--force", &self.name]);
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
